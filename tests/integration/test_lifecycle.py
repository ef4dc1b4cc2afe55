"""From start to stop: what is refused, how it ends, and with which exit status."""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.client import connect, exchange, is_over
from support.namespaces import Namespace
from support.processes import is_alive, kill
from support.server import Server, portside
from support.waiting import WITHIN_S, wait_until

Run = Callable[..., Server]
Serve = Callable[..., Server]


# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_port_in_use_is_named_with_its_owner(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        server = run("shout", listen=[f"tcp://127.0.0.1:{port}"], listening=0)
        assert server.wait() == 3
    assert f"127.0.0.1:{port}" in server.said
    assert str(os.getpid()) in server.said
    assert "Traceback" not in server.said


def test_two_servers_do_not_share_a_port(run: Run) -> None:
    first = run("shout", "--workers", "2")
    second = run("shout", "--workers", "2", listen=[f"tcp://127.0.0.1:{first.port}"], listening=0)
    assert second.wait() == 3
    assert str(first.port) in second.said
    assert exchange(first.at(), b"mine\n") == b"MINE\n"


def test_an_address_of_another_machine_cannot_be_bound(run: Run) -> None:
    server = run("shout", listen=["tcp://192.0.2.1:0"], listening=0)
    assert server.wait() == 3
    assert "192.0.2.1" in server.said


def test_a_well_known_port_is_bound_where_that_is_allowed(run: Run, namespace: Namespace) -> None:
    server = run("shout", listen=["tcp://127.0.0.1:7"], prefix=namespace.prefix)
    assert server.port == 7


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        ("visiting:shoot", ["shoot", "did you mean shout"]),
        ("visitin:shout", ["visitin"]),
        ("visiting", ["visiting"]),
    ],
)
def test_a_handler_that_is_not_there(run: Run, handler: str, words: list[str]) -> None:
    server = run(handler if ":" in handler else "visiting:", listening=0)
    assert server.wait() == 2
    assert [word for word in words if word not in server.said] == []
    assert "Traceback" not in server.said


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("serve", "ecko"), "did you mean echo"),
        (("serve", "echo", "--limit-idel", "1s"), "--limit-idle"),
        (("serve", "echo", "--limit-idle", "soon"), "soon"),
        (("serve", "echo", "--listen", "tpc://:1"), "did you mean tcp"),
        (("serve", "echo", "--model", "evnet"), "did you mean event"),
        (("up", "nowhere.toml"), "nowhere.toml"),
        (("rnu", "a:b"), "did you mean run"),
    ],
)
def test_what_was_mistyped_is_answered_with_the_nearest_right_word(
    arguments: tuple[str, ...], word: str, tmp_path: Path
) -> None:
    done = portside(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_variable_is_a_mistake(tmp_path: Path) -> None:
    done = portside("serve", "echo", env={"PORTSIDE_LIMIT_IDEL": "1s"}, cwd=tmp_path)
    assert done.returncode == 2
    assert "PORTSIDE_LIMIT_IDLE" in done.stderr


def test_all_mistakes_of_a_file_at_once_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "portside.toml"
    file.write_text(
        '[service.a]\nserve = "ecko"\nlisten = ["tcp://[::]:0"]\n\n[service.b]\nserve = "echo"\nmodle = "event"\n'
    )
    done = portside("check", str(file))
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert re.search(r"portside\.toml:2\b.*echo", said)
    assert re.search(r"portside\.toml:7\b.*model", said)


def test_a_file_is_served_as_it_was_checked(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "portside.toml"
    file.write_text(
        '[service.a]\nserve = "echo"\nlisten = ["tcp://127.0.0.1:0"]\n\n'
        '[service.b]\nserve = "daytime"\nlisten = ["tcp://127.0.0.1:0"]\nmodel = "thread"\n'
    )
    checked = portside("check", str(file))
    assert (checked.returncode, checked.stdout) == (0, "ok\n")
    server = serve("up", str(file), listening=2)
    assert exchange(server.at("echo"), b"same") == b"same"
    assert exchange(server.at("daytime"), b"").endswith(b"\r\n")


def test_up_without_services_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "portside.toml").write_text("")
    assert portside("up", cwd=tmp_path).returncode == 2


def test_systemd_is_told_when_the_server_is_ready(run: Run, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(WITHIN_S)
        run("shout", env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert b"READY=1" in notified.recv(1_000).split(b"\n")


def test_a_socket_may_come_from_the_parent(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        os.set_inheritable(given.fileno(), True)
        server = run("shout", listen=[f"fd://{given.fileno()}"], pass_fds=[given.fileno()])
        with socket.create_connection(given.getsockname(), WITHIN_S) as visitor:
            visitor.sendall(b"hi\n")
            assert visitor.recv(100) == b"HI\n"
    assert server.ready


# systemd counts from descriptor 3, and names the process that it becomes.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="front")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_systemd_gives_sockets_by_name(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        prefix = (sys.executable, "-c", ACTIVATE, str(given.fileno()))
        server = run("shout", listen=["systemd://front"], prefix=prefix, pass_fds=[given.fileno()])
        with socket.create_connection(given.getsockname(), WITHIN_S) as visitor:
            visitor.sendall(b"hi\n")
            assert visitor.recv(100) == b"HI\n"
        assert server.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_privileges_are_dropped_after_binding(run: Run, namespace: Namespace, model: str) -> None:
    server = run("who", "--user", "nobody", model=model, listen=["tcp://127.0.0.1:7"], prefix=namespace.prefix)
    nobody = pwd.getpwnam("nobody")
    for pid in (server.pid, *server.children):
        assert ids_of(pid) == ({nobody.pw_uid}, {nobody.pw_gid}, set(os.getgrouplist("nobody", nobody.pw_gid)))


def ids_of(pid: int) -> tuple[set[int], set[int], set[int]]:
    """Return the user, group and further group numbers of a process: real, effective, saved and for files."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = [
        set(map(int, re.search(rf"^{key}:(.*)$", status, re.MULTILINE)[1].split())) for key in ("Uid", "Gid", "Groups")
    ]  # type: ignore[index]
    return found[0], found[1], found[2]


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["iterative", "fork", "prefork", "thread", "prethread", "event"])
def test_a_killed_worker_is_replaced(run: Run, model: str) -> None:
    server = run("shout", model=model)
    victim = server.children[0]
    count = len(server.children)
    kill(victim)
    wait_until(lambda: victim not in server.children and len(server.children) == count, "a worker in its place")
    assert exchange(server.at(), b"still\n") == b"STILL\n"


def test_killing_one_worker_leaves_the_other_s_visitors_alone(run: Run) -> None:
    server = run("shout", "--workers", "2")
    visitors = [connect(server.at()) for _ in range(12)]
    for visitor in visitors:
        visitor.sendall(b"hi\n")
        assert visitor.recv(100) == b"HI\n"
    victim, other = server.children
    kill(victim)
    wait_until(lambda: victim not in server.children and len(server.children) == 2, "a worker in its place")
    assert other in server.children
    alive = [visitor for visitor in visitors if not is_over(visitor)]
    assert 0 < len(alive) < len(visitors)
    for visitor in alive:
        visitor.settimeout(WITHIN_S)
        visitor.sendall(b"hi\n")
        assert visitor.recv(100) == b"HI\n"
    for visitor in visitors:
        visitor.close()


def test_a_killed_worker_gives_its_places_back(run: Run) -> None:
    server = run("shout", "--limit-connections", "3")
    visitors = [connect(server.at()) for _ in range(3)]
    for visitor in visitors:
        visitor.sendall(b"hi\n")
        assert visitor.recv(100) == b"HI\n"
    (victim,) = server.children
    kill(victim)
    wait_until(lambda: server.children not in ([], [victim]), "a worker in its place")
    assert exchange(server.at(), b"hi\n") == b"HI\n"
    for visitor in visitors:
        visitor.close()


def test_workers_that_keep_crashing_end_the_server(run: Run) -> None:
    server = run("crash")
    with_visitors = threading.Thread(target=visit_until_gone, args=(server,))
    with_visitors.start()
    assert server.wait() == 4
    with_visitors.join()
    assert "Traceback" not in server.said


def visit_until_gone(server: Server) -> None:
    while server.process.poll() is None:
        try:
            exchange(server.at(), b"")
        except OSError:
            continue


def test_workers_that_die_at_birth_stop_the_server(run: Run) -> None:
    server = run("stillborn:handler", listening=0)
    assert server.wait() == 3
    assert "Traceback" not in server.said


# ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_interrupt_without_visitors_ends_at_once(run: Run) -> None:
    server = run("shout")
    server.signal(signal.SIGINT)
    assert server.wait() == 0


@pytest.mark.parametrize("model", ["fork", "thread", "event"])
def test_a_second_interrupt_forces_the_end(run: Run, model: str) -> None:
    server = run("ponder", "--drain", "1h", model=model)
    with connect(server.at()) as visitor:
        assert visitor.recv(100)
        server.signal(signal.SIGINT)
        wait_until(lambda: is_refused(server.port), "the end of accepting")
        assert server.process.poll() is None
        server.signal(signal.SIGINT)
        assert server.wait() == 130


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), WITHIN_S).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # the listening socket went while we were in its queue
        return False
    return False


@pytest.mark.parametrize("model", ["iterative", "fork", "prefork", "thread", "prethread", "event"])
def test_a_handler_that_does_not_come_back_does_not_hold_up_the_stop(run: Run, model: str) -> None:
    server = run("compute", "--drain", "100ms", model=model)
    with connect(server.at()) as visitor:
        visitor.sendall(b"compute\n")
        assert visitor.recv(100) == b"computing\n"
        assert server.stop() == 0


def test_a_unix_path_goes_with_the_server(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = run("shout", listen=[f"unix:{path}"])
    assert exchange(server.at(), b"hi\n") == b"HI\n"
    assert server.stop() == 0
    assert not path.exists()


def test_a_stale_unix_path_is_replaced_and_a_live_one_is_in_use(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    server = run("shout", listen=[f"unix:{path}"])
    other = run("shout", listen=[f"unix:{path}"], listening=0)
    assert other.wait() == 3
    assert exchange(server.at(), b"hi\n") == b"HI\n"


def test_it_works_as_the_first_process(run: Run) -> None:
    """In a PID namespace of its own: orphans become its children, and TERM has no default action."""
    prefix = ("unshare", "--pid", "--fork", "--kill-child")
    if os.system("unshare --pid --fork true 2>/dev/null") != 0:
        pytest.skip("PID namespaces need privileges that this user does not have")
    server = run("shout", model="fork", prefix=prefix)
    (init,) = server.children
    assert exchange(server.at(), b"hi\n") == b"HI\n"
    os.kill(init, signal.SIGTERM)
    assert server.wait() == 0
    assert not is_alive(init)
