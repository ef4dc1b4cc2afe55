"""Reloading under load: no connection is refused, none is reset, and what changed is served."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.client import connect, exchange, read_exactly
from support.server import Ready, Server
from support.waiting import WITHIN_S, wait_until

Run = Callable[..., Server]
Serve = Callable[..., Server]

MANY = ("--limit-accept-rate", "100000", "--limit-per-ip", "10000", "--log-level", "warning")
RELOADS = 5

GREETING = """
from portside import Connection

async def greet(visitor: Connection) -> None:
    await visitor.write(b"{words}\\n")
    async for line in visitor.lines():
        await visitor.write(line + b"\\n")
"""


class Load:
    """Visitors without a pause, in threads: each connects, says a line, hears it, and leaves."""

    def __init__(self, ready: Ready, threads: int = 4) -> None:
        self.ready = ready
        self.visits = 0
        self.failures: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(threads)]

    def _visit(self) -> None:
        while not self._stop.is_set():
            try:
                with connect(self.ready) as visitor:
                    visitor.sendall(b"line\n")
                    assert read_exactly(visitor, 5) == b"LINE\n"
                    visitor.shutdown(socket.SHUT_WR)
                    assert visitor.recv(1) == b""
                self.visits += 1
            except (OSError, AssertionError) as error:
                self.failures.append(error)
                return

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(WITHIN_S)


def reload(server: Server, workers: int) -> None:
    """Send HUP, and return when so many other workers have come; old ones may stay as long as their visitors."""
    before = set(server.children)
    server.signal(signal.SIGHUP)
    wait_until(lambda: len(set(server.children) - before) >= workers, "new workers")


@pytest.mark.parametrize("model", ["prefork", "thread", "event", "event on asyncio"])
def test_nobody_is_refused_or_reset_while_workers_roll(run: Run, model: str) -> None:
    option, workers = ("--pool", 4) if model == "prefork" else ("--workers", 2)
    server = run("shout", option, str(workers), *MANY, model=model)
    with ExitStack() as stack:
        staying = [stack.enter_context(connect(server.at())) for _ in range(2)]
        load = stack.enter_context(Load(server.at()))
        for number in range(RELOADS):
            target = load.visits + 20
            wait_until(lambda target=target: load.visits >= target or load.failures, "visits between reloads")
            reload(server, workers)
            for visitor in staying:
                visitor.sendall(b"still %d\n" % number)
                assert read_exactly(visitor, 8) == b"STILL %d\n" % number
        target = load.visits + 20
        wait_until(lambda: load.visits >= target or load.failures, "visits after the reloads")
    assert load.failures == []


@pytest.mark.parametrize("model", ["iterative", "fork", "thread", "prethread", "event"])
def test_a_reload_with_one_worker_refuses_nobody_either(run: Run, model: str) -> None:
    server = run("shout", *MANY, model=model)
    with Load(server.at(), threads=2) as load:
        for _ in range(RELOADS):
            target = load.visits + 10
            wait_until(lambda target=target: load.visits >= target or load.failures, "visits between reloads")
            reload(server, 1)
        target = load.visits + 10
        wait_until(lambda: load.visits >= target or load.failures, "visits after the reloads")
    assert load.failures == []


def test_old_workers_leave_with_their_last_visitor(run: Run) -> None:
    server = run("shout")
    (old,) = server.children
    with connect(server.at()) as visitor:
        visitor.sendall(b"hi\n")
        assert visitor.recv(100) == b"HI\n"
        reload(server, 1)
        assert old in server.children
        visitor.sendall(b"hi\n")
        assert visitor.recv(100) == b"HI\n"
    wait_until(lambda: old not in server.children, "the end of the old worker")


@pytest.mark.parametrize("model", ["prefork", "thread", "prethread", "event", "event on asyncio"])
def test_one_whose_proxy_header_is_on_its_way_is_not_dropped(run: Run, model: str) -> None:
    server = run("who", "--proxy-from", "127.0.0.1", "--pool", "2", model=model)
    workers = server.children
    with connect(server.at()) as early:
        early.sendall(b"PROXY TCP4 192.0.2.1 ")  # accepted, as far as anybody can tell from outside
        with connect(server.at()) as late:
            late.sendall(b"PROXY TCP4 192.0.2.2 192.0.2.3 2 3\r\n")
            assert late.recv(100).startswith(b"192.0.2.2:2 ")
        reload(server, len(workers))
        early.sendall(b"192.0.2.3 1 3\r\n")
        assert early.recv(100).startswith(b"192.0.2.1:1 ")


def greets(server: Server) -> bytes:
    return exchange(server.at(), b"")


def test_new_code_is_served_and_broken_code_is_not(serve: Serve, tmp_path: Path) -> None:
    module = tmp_path / "greeting.py"
    module.write_text(GREETING.format(words="first"))
    server = serve("run", "greeting:greet", "--listen", "tcp://127.0.0.1:0", cwd=tmp_path, tracebacks=True)
    assert greets(server) == b"first\n"

    module.write_text(GREETING.format(words="the second"))
    server.signal(signal.SIGHUP)
    wait_until(lambda: greets(server) == b"the second\n", "the new code")

    module.write_text("def greet(:\n")
    seen = len(server.lines)
    server.signal(signal.SIGHUP)
    server.wait_for(lambda: [line for line in server.lines[seen:] if "greeting" in line], "a record why not")
    assert greets(server) == b"the second\n"

    module.write_text(GREETING.format(words="third of them"))
    server.signal(signal.SIGHUP)
    wait_until(lambda: greets(server) == b"third of them\n", "the repaired code")


def test_with_reload_a_changed_file_is_noticed(serve: Serve, tmp_path: Path) -> None:
    module = tmp_path / "greeting.py"
    module.write_text(GREETING.format(words="first"))
    server = serve("run", "greeting:greet", "--listen", "tcp://127.0.0.1:0", "--reload", cwd=tmp_path)
    assert greets(server) == b"first\n"
    module.write_text(GREETING.format(words="the second"))
    wait_until(lambda: greets(server) == b"the second\n", "the new code")


SERVICE = '[service.{name}]\nserve = "{name}"\nlisten = ["unix:{directory}/{name}"]\n'


def test_services_come_and_go_with_the_file(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "portside.toml"

    def write(*names: str) -> None:
        file.write_text("".join(SERVICE.format(name=name, directory=tmp_path) for name in names))

    write("echo")
    server = serve("up", str(file))
    assert exchange(server.at("echo"), b"hi") == b"hi"

    write("echo", "daytime")
    server.signal(signal.SIGHUP)
    server.wait_until_ready(2)
    assert exchange(server.at("daytime"), b"").endswith(b"\r\n")
    assert exchange(server.at("echo"), b"hi") == b"hi"

    write("daytime")
    server.signal(signal.SIGHUP)
    wait_until(lambda: not (tmp_path / "echo").exists(), "the end of echo")
    assert exchange(server.at("daytime"), b"").endswith(b"\r\n")

    file.write_text('[service.daytime]\nserve = "daytme"\n')
    seen = len(server.lines)
    server.signal(signal.SIGHUP)
    server.wait_for(lambda: [line for line in server.lines[seen:] if "daytme" in line], "a record why not")
    assert exchange(server.at("daytime"), b"").endswith(b"\r\n")
