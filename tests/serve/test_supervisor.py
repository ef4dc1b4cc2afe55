"""A real server's life: who is told goodbye, what is left behind, and what happens when something is used up."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.client import connect, exchange, is_over, read_exactly, read_to_end
from support.processes import is_alive, kill, process
from support.server import Server
from support.waiting import WITHIN_S, wait_until

Run = Callable[..., Server]
HANDLERS = Path(__file__).parent / "handlers"
GREETING = b"220 hello\r\n"


def greeted(server: Server) -> socket.socket:
    visitor = connect(server.at())
    assert read_exactly(visitor, len(GREETING)) == GREETING
    return visitor


# ── goodbyes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stop_says_goodbye_to_those_who_wait_for_input(run: Run, model: str) -> None:
    server = run("battery", "--drain", "1h", model=model)
    with greeted(server) as visitor:
        server.signal(signal.SIGTERM)
        assert read_to_end(visitor) == b"421 the server is shutting down\r\n"
    assert server.wait() == 0
    assert [record["ended"] for record in server.records if record["event"] == "connection"] == ["drained"]


def test_an_idle_visitor_is_told_why_it_goes(run: Run, model: str) -> None:
    server = run("battery", "--limit-idle", "1s", model=model)
    with greeted(server) as visitor:
        assert read_to_end(visitor) == b"421 idle for too long\r\n"


def test_whoever_is_cut_off_is_counted_in_a_record(run: Run, model: str) -> None:
    server = run("greet", "--drain", "100ms", model=model)
    with greeted(server):
        assert server.stop() == 0
    assert "cut off 1 connection" in server.said


def test_whoever_was_turned_away_is_told_of_before_the_end(run: Run, model: str) -> None:
    server = run("battery", "--deny", "127.0.0.1", model=model)
    for _ in range(5):
        assert exchange(server.at(), b"").startswith(b"421 ")
    assert server.stop() == 0
    assert sum(record["count"] for record in server.records if record["event"] == "limit") == 5


def test_a_worker_told_to_go_drains_and_is_replaced(run: Run) -> None:
    server = run("battery")
    (old,) = server.children
    with greeted(server) as visitor:
        os.kill(old, signal.SIGTERM)
        assert read_to_end(visitor) == b"421 the server is shutting down\r\n"
    wait_until(lambda: old not in server.children and server.children, "a worker in its place")
    with greeted(server):
        pass
    assert "crash" not in server.said


# ── the fork model's children ────────────────────────────────────────────────────────────────────────────────────────


def test_killing_a_child_ends_its_connection_and_gives_its_place_back(run: Run) -> None:
    server = run("describe", "--limit-connections", "1", model="fork")
    (worker,) = server.children
    with connect(server.at()) as visitor:
        child = int(visitor.recv(100_000).split()[0])
        assert child != worker
        kill(child)
        wait_until(lambda: is_over(visitor), "the end of its connection")
    record = server.wait_for_record(event="connection", ended="handler")
    assert "killed by signal 9" in record["detail"]
    wait_until(lambda: exchange(server.at(), b"") != b"", "the place to be free again")
    assert server.children == [worker]


# ── what a worker inherits ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["thread", "fork", "prefork", "event"])
def test_a_worker_holds_no_descriptor_that_is_not_its_own(serve: Run, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "portside.toml"
    file.write_text(
        f'[service.one]\nrun = "courteous:describe"\nmodel = "{kind}"\nlisten = ["tcp://127.0.0.1:0"]\n'
        f'[service.two]\nserve = "echo"\nmodel = "prefork"\nlisten = ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]\n'
    )
    server = serve("up", str(file), "--control", str(tmp_path / "control"), cwd=HANDLERS, listening=3)
    with connect(server.at("courteous:describe")) as first, connect(server.at("courteous:describe")) as visitor:
        first.recv(1)
        _, *descriptors = read_to_end(visitor).decode().split("\n")
    inodes = {one.partition("socket:[")[2].removesuffix("]") for one in descriptors}
    kept = {port: inode for port, inode in listening_inodes().items() if inode in inodes}
    own = server.at("courteous:describe").port
    assert set(kept) <= {own}
    assert set(kept) == (set() if kind == "fork" else {own})
    # Beside its connections only the channel, and what the event loop has for itself.
    assert len([one for one in descriptors if "socket:" in one]) <= (8 if kind == "event" else 4), descriptors


def listening_inodes() -> dict[int, str]:
    """Return the inode of each listening or UDP socket of 127.0.0.1 on this machine, by port: proc(5)."""
    found = {}
    for table, states in (("tcp", {"0A"}), ("udp", {"07", "01"})):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] in states:
                found[int(fields[1].partition(":")[2], 16)] = fields[9]
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_the_server_becomes_the_user_it_is_told_to(run: Run) -> None:
    server = run("describe", "--user", "65123", "--group", "65124", "--workers", "2")
    answer = exchange(server.at(), b"").decode()
    assert answer.split("\n")[0].split(" ", 1)[1] == "65123 65124 [65124]"
    status = Path(f"/proc/{server.pid}/status").read_text()
    assert "Uid:\t65123\t65123\t65123\t65123" in status
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded")
    assert exchange(server.at(), b"")


# ── used up ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["thread", "event"])
def test_without_descriptors_left_those_who_come_are_turned_away_at_once(run: Run, kind: str) -> None:
    server = run("few_descriptors", model=kind)
    with connect(server.at()) as first:
        assert read_exactly(first, 4) == b"few\n"
        others = [connect(server.at()) for _ in range(20)]
        wait_until(lambda: sum(map(is_over, others)) >= 15, "most of them to be turned away")
        server.wait_for_line("limit of open files")
        first.sendall(b"still here")
        assert read_exactly(first, 10) == b"still here"
        for visitor in others:
            visitor.close()
    assert sum("limit of open files" in line for line in server.lines) == 1


def test_a_flood_over_the_rate_is_refused_and_the_rest_is_served(run: Run) -> None:
    server = run("battery", "--limit-accept-rate", "5", "--workers", "2")
    visitors = [connect(server.at()) for _ in range(40)]
    heard = [visitor.recv(100) for visitor in visitors]
    served, refused = heard.count(GREETING), heard.count(b"421 too many connections per second\r\n")
    assert served + refused == 40
    assert 5 <= served <= 15
    for visitor in visitors:
        visitor.close()


# ── datagrams ────────────────────────────────────────────────────────────────────────────────────────────────────────


def asked(server: Server, questions: list[bytes], last: bytes) -> list[bytes]:
    """Return the answers that came before the one to ``last``, which has another length than all others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.port))
        client.settimeout(0.05)
        for question in questions:
            client.send(question)
        answers: list[bytes] = []
        for _ in range(int(WITHIN_S / 0.05)):
            client.send(last)
            try:
                while len(answer := client.recv(65_536)) != int(last):
                    answers.append(answer)
            except TimeoutError:
                continue
            return answers
    raise AssertionError(f"no answer to {last!r}:\n{server.said}")


def test_an_answer_is_never_longer_than_the_question(run: Run, model: str) -> None:
    server = run("count", listen=["udp://127.0.0.1:0"], model=model)
    assert asked(server, [b"9", b"99"], b"2 ") == []
    assert "Traceback" not in server.said


def test_unless_it_may(run: Run) -> None:
    server = run("count", "--amplify", listen=["udp://127.0.0.1:0"])
    assert sorted(map(len, asked(server, [b"90"], b"2 "))) == [90]


def test_datagrams_over_the_limit_are_dropped(run: Run) -> None:
    server = run("count", "--limit-datagrams", "5", listen=["udp://127.0.0.1:0"])
    answers = asked(server, [b"1"] * 50, b"2 ")
    assert 1 <= len(answers) <= 10


# ── reload ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_port_that_is_taken_leaves_everything_as_it_was(serve: Run, tmp_path: Path) -> None:
    file = tmp_path / "portside.toml"
    one = '[service.one]\nserve = "echo"\nlisten = ["tcp://127.0.0.1:0"]\n'
    file.write_text(one)
    server = serve("up", str(file))
    before = server.children
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(f'{one}[service.two]\nserve = "echo"\nlisten = ["tcp://127.0.0.1:{port}"]\n')
        server.signal(signal.SIGHUP)
        server.wait_for_line("reload failed")
        assert f"127.0.0.1:{port} is in use" in server.said
        assert server.children == before
        assert exchange(server.at(), b"hi") == b"hi"
    server.signal(signal.SIGHUP)
    server.wait_until_ready(2)
    assert exchange(server.ready[1], b"hi") == b"hi"
    assert exchange(server.at(), b"hi") == b"hi"


def test_the_number_of_workers_may_change_and_the_port_stays(serve: Run, tmp_path: Path) -> None:
    file = tmp_path / "portside.toml"

    def write(workers: int, model: str) -> None:
        file.write_text(
            f'[service.one]\nserve = "echo"\nworkers = {workers}\nmodel = "{model}"\nlisten = ["tcp://127.0.0.1:0"]\n'
        )

    write(1, "event")
    server = serve("up", str(file))
    for workers, kind in ((3, "event"), (1, "thread"), (2, "prethread"), (1, "fork"), (1, "event")):
        old = set(server.children)
        write(workers, kind)
        server.signal(signal.SIGHUP)
        wait_until(lambda old=old: not old & set(server.children), "the end of the old workers")
        assert len(server.children) == workers
        assert {exchange(server.at(), b"hi") for _ in range(20)} == {b"hi"}
    assert len(server.ready) == 1


def test_a_storm_of_reloads_settles(run: Run) -> None:
    server = run("battery", "--workers", "2")
    descriptors = len(os.listdir(f"/proc/{server.pid}/fd"))
    with greeted(server) as visitor:
        for _ in range(30):
            server.signal(signal.SIGHUP)
        server.wait_for_line("reloaded")
        visitor.sendall(b"hi\r\n")
        assert read_exactly(visitor, 8) == b"250 hi\r\n"
        with greeted(server):
            pass
    wait_until(lambda: len(server.children) == 2, "two workers, and no more")
    wait_until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) == descriptors, "no descriptor more than before")


def test_a_growing_limit_counts_anew_and_leaves_nothing_behind(serve: Run, tmp_path: Path) -> None:
    file = tmp_path / "portside.toml"

    def write(connections: int) -> None:
        file.write_text(
            '[service.one]\nserve = "echo"\nlisten = ["tcp://127.0.0.1:0"]\n'
            f"limits = {{ connections = {connections} }}\n"
        )

    write(1)
    server = serve("up", str(file))
    descriptors = len(os.listdir(f"/proc/{server.pid}/fd"))
    for connections in (2, 3_000, 2):
        old = server.children
        write(connections)
        server.signal(signal.SIGHUP)
        wait_until(lambda old=old: server.children and not set(old) & set(server.children), "the new worker")
        assert exchange(server.at(), b"hi") == b"hi"
    wait_until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) == descriptors, "no descriptor more than before")


def test_an_exit_that_nobody_asked_for_is_a_crash_whatever_its_status(run: Run) -> None:
    server = run("vanish")
    while server.process.poll() is None:
        try:
            exchange(server.at(), b"")
        except OSError:
            continue
    assert server.wait() == 4
    assert "ended with status 0" in server.said


def test_systemd_hears_of_reload_stop_and_life(run: Run, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(WITHIN_S)
        server = run("battery", env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"})
        heard: list[bytes] = []

        def hear(word: bytes) -> None:
            while word not in heard:
                heard.extend(notified.recv(4_096).split(b"\n"))

        hear(b"READY=1")
        hear(b"WATCHDOG=1")
        heard.clear()
        server.signal(signal.SIGHUP)
        hear(b"RELOADING=1")
        hear(b"READY=1")
        server.signal(signal.SIGTERM)
        hear(b"STOPPING=1")


# ── orphans ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_as_the_first_process_it_buries_orphans(run: Run) -> None:
    if os.system("unshare --pid --fork true 2>/dev/null") != 0:
        pytest.skip("PID namespaces need privileges that this user does not have")
    server = run("orphan", model="thread", prefix=("unshare", "--pid", "--fork", "--kill-child"))
    (init,) = server.children
    assert exchange(server.at(), b"").strip().isdigit()

    def zombies() -> int:
        children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
        return sum(known.state == "Z" for pid in children if (known := process(int(pid))) is not None)

    wait_until(lambda: zombies() == 0, "no zombies")
    os.kill(init, signal.SIGTERM)
    assert server.wait() == 0


def test_whatever_dies_at_random_nothing_is_left_behind(run: Run, model: str) -> None:
    """Visitors come while workers and children are killed; at the end there is nobody but who should be."""
    server = run("greet", "--limit-accept-rate", "100000", model=model)
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                exchange(server.at(), b"hi\n")
            except OSError:
                continue

    visitors = [threading.Thread(target=visit) for _ in range(3)]
    for one in visitors:
        one.start()
    victims = server.children[:3]
    for victim in victims:
        kill(victim)
        wait_until(lambda victim=victim: not is_alive(victim), "its death")
    wait_until(lambda: set(server.children) - set(victims), "workers in their place")
    assert exchange(server.at(), b"hi\n") == GREETING + b"250 hi\r\n"
    over.set()
    for one in visitors:
        one.join(WITHIN_S)
    assert server.stop() == 0
    server.assert_nothing_left()
