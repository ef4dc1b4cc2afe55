"""Connections that share another's life, under every model: swept by their own idle time, counted, cut off together."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from portside.net.blocking import NETWORK, BlockingConnection
from portside.net.sockets import socketpair
from portside.serve.sweeper import Sweeper, _is_idle
from serve.test_service import Clock, Visitor, service_of
from support.client import connect, read_exactly, read_to_end
from support.server import Server
from support.waiting import WITHIN_S

Run = Callable[..., Server]
HANDLERS = Path(__file__).parent / "handlers"


@contextmanager
def conversing(server: Server) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give a visitor's connection, and the one beside it."""
    with connect(server.at()) as visitor:
        port = int(line_of(visitor))
        with socket.create_connection(("127.0.0.1", port), WITHIN_S) as data:
            yield visitor, data


def line_of(visitor: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := visitor.recv(1)):
        line += byte
    return line


@pytest.fixture
def couriers(serve: Callable[..., Server], model: str) -> Callable[..., Server]:
    def start(*arguments: str) -> Server:
        listen = ("--listen", "tcp://127.0.0.1:0", "--model", model)
        return serve("run", "couriers:battery", *listen, *arguments, cwd=HANDLERS)

    return start


def test_an_idle_companion_goes_and_the_visitor_stays(couriers: Run) -> None:
    server = couriers("--limit-idle", "1s", "--limit-life", "1h")
    with conversing(server) as (visitor, data):
        data.sendall(b"only so much")
        assert line_of(visitor) == b"426 idle\r\n"  # said from beside the thread or task that waits for a line
        assert read_to_end(data) == b""
        visitor.sendall(b"done\n")
        assert read_to_end(visitor) == b"221 bye\r\n"


def test_both_are_used_at_once_and_counted_as_one(couriers: Run) -> None:
    server = couriers()
    with conversing(server) as (visitor, data):
        data.sendall(bytes(1_000_000))
        visitor.sendall(b"stat\n")
        assert line_of(visitor) == b"250 stat\r\n"
        data.close()
        assert line_of(visitor) == b"226 1000000\r\n"
        visitor.sendall(b"done\n")
        assert read_to_end(visitor) == b"221 bye\r\n"
    assert server.stop() == 0
    (record,) = [record for record in server.records if record["event"] == "connection"]
    assert record["bytes_in"] == 1_000_000 + len(b"stat\ndone\n")


def test_a_drain_waits_for_a_companion_and_its_deadline_cuts_both_off(couriers: Run) -> None:
    server = couriers("--drain", "500ms")
    with conversing(server) as (visitor, data):
        visitor.sendall(b"there\n")
        assert read_exactly(visitor, 11) == b"250 there\r\n"
        assert server.stop() == 0
        assert read_to_end(visitor) == b""  # busy with its companion: no goodbye into the middle
        assert read_to_end(data) == b""
    assert "cut off 1 connection" in server.said


# ── without sockets ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_companion_has_an_idle_time_of_its_own() -> None:
    clock = Clock()
    service = service_of(clock=clock)
    visitor: Any = Visitor()
    quick: Any = Visitor()
    slow: Any = Visitor()
    visitor.state = "busy"
    visitor.companions = lambda: [(quick, 3.0), (slow, 5.0)]
    service.opened(visitor)
    sweeper = Sweeper(service, clock)
    ended_after: dict[str, int] = {}
    for second in range(1, 20):
        clock.now_s += 1.0
        sweeper.tick()
        for name, companion in (("quick", quick), ("slow", slow)):
            if companion.ended_because == "idle":
                ended_after.setdefault(name, second)
    assert ended_after == {"quick": 4, "slow": 6}
    assert visitor.ended_because is None


def test_time_before_a_companion_came_along_does_not_count() -> None:
    sockets = socketpair()
    owner, companion = [BlockingConnection(sock, network=NETWORK) for sock in sockets]
    try:
        companion._is_reading = owner._is_reading = True
        assert not _is_idle(companion, 0.0, 3.0)
        with owner.accompany(companion, idle_s=3.0):
            assert not _is_idle(companion, 100.0, 3.0)
            assert not _is_idle(owner, 100.0, 3.0)
            assert _is_idle(companion, 103.0, 3.0)
        assert not _is_idle(owner, 104.0, 3.0)  # its time begins when it is by itself again
        assert _is_idle(owner, 107.0, 3.0)
    finally:
        owner.abort()
        companion.abort()
