"""Visitors who are slow, silent, endless, or gone: nobody else may notice."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.client import connect, descriptors, exchange, read_exactly, read_to_end, reset, vanish
from support.server import Server
from support.waiting import wait_until

Run = Callable[..., Server]
SOME_MODELS = ("fork", "thread", "event", "event on asyncio")


def memory_bytes(pid: int) -> int:
    """Return the memory that is this process' own: proportional shares of what it shares with others included."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1]) * 1_024  # type: ignore[index]


@pytest.mark.parametrize("model", SOME_MODELS)
def test_a_byte_at_a_time(run: Run, model: str) -> None:
    server = run("shout", model=model)
    with connect(server.at()) as visitor:
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"slowly\r\nbut surely\r\n":
            visitor.send(bytes([byte]))
        assert read_exactly(visitor, 18) == b"SLOWLY\nBUT SURELY\n"


@pytest.mark.parametrize("model", SOME_MODELS)
def test_one_who_never_reads_is_not_waited_for_by_others_and_is_idle_at_last(run: Run, model: str) -> None:
    server = run("flood", "--limit-idle", "2s", model=model)
    with connect(server.at()) as silent, connect(server.at()) as reader:
        for _ in range(100):
            assert read_exactly(reader, 65_536) == b"x" * 65_536
        reset(reader)
        record = server.wait_for_record(event="connection", ended="idle")
        assert record["peer"]["port"] == silent.getsockname()[1]
        assert record["bytes_out"] < 32 << 20  # what the kernel took: no buffer of ours grew with it


def test_the_server_keeps_its_memory_while_nobody_reads(run: Run) -> None:
    server = run("flood", "--limit-idle", "5s")
    (worker,) = server.children
    with contextlib.ExitStack() as stack:
        read_exactly(stack.enter_context(connect(server.at())), 1 << 20)
        before = memory_bytes(worker)
        for _ in range(50):
            stack.enter_context(connect(server.at()))
        wait_until(lambda: sum(one.get("ended") == "idle" for one in server.records) >= 50, "50 idle records")
        assert memory_bytes(worker) - before < 50 * (1 << 20)


@pytest.mark.parametrize("model", SOME_MODELS)
def test_resets_in_mid_write_are_events_not_tracebacks(run: Run, model: str) -> None:
    server = run("flood", model=model)
    for _ in range(20):
        visitor = connect(server.at())
        assert visitor.recv(1) == b"x"
        reset(visitor)
    server.wait_for(
        lambda: sum(one["event"] == "connection" and one["ended"] == "peer" for one in server.records) == 20,
        "20 records of lost connections",
    )
    assert not [one for one in server.records if one["level"] == "error"]


@pytest.mark.parametrize("model", SOME_MODELS)
def test_one_who_resets_before_being_accepted_is_nobody(run: Run, model: str) -> None:
    server = run("shout", model=model)
    for _ in range(50):
        reset(connect(server.at()))
    assert exchange(server.at(), b"and now\n") == b"AND NOW\n"
    assert not [one for one in server.records if one["level"] == "error"]


@pytest.mark.parametrize("model", SOME_MODELS)
def test_one_who_vanishes_without_a_word_is_idle_at_last(run: Run, model: str) -> None:
    server = run("shout", "--limit-idle", "1s", model=model)
    visitor = connect(server.at())
    visitor.sendall(b"hi\n")
    assert visitor.recv(100) == b"HI\n"
    vanish(visitor)
    server.wait_for_record(event="connection", ended="idle")


@pytest.mark.parametrize("model", SOME_MODELS)
def test_a_half_open_visitor_may_listen_for_long(run: Run, model: str) -> None:
    server = run("shout", model=model)
    text = b"word\n" * 200_000
    with connect(server.at()) as visitor:
        speaking = threading.Thread(target=say, args=(visitor, text))
        speaking.start()
        assert read_to_end(visitor) == text.upper()
        speaking.join()


def say(visitor: socket.socket, text: bytes) -> None:
    visitor.sendall(text)
    visitor.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("model", SOME_MODELS)
def test_a_line_without_end_is_the_peer_s_fault(run: Run, model: str) -> None:
    server = run("shout", "--limit-line", "1KiB", model=model)
    with connect(server.at()) as visitor:
        with contextlib.suppress(ConnectionError):
            visitor.sendall(b"x" * 1_000_000)
            read_to_end(visitor)
        record = server.wait_for_record(event="connection", ended="peer")
    assert "1024" in record["detail"].replace(",", "")
    assert exchange(server.at(), b"hi\n") == b"HI\n"


def test_ten_thousand_idle_visitors_at_once(run: Run) -> None:
    count, sources = 10_000, 20
    with descriptors(count + 1_000), contextlib.ExitStack() as stack:
        server = run(
            "shout", "--limit-connections", "20000", "--limit-per-ip", "20000", "--limit-accept-rate", "100000",
            "--drain", "0s", "--log-level", "warning",
        )  # fmt: skip
        (worker,) = server.children
        assert exchange(server.at(), b"warm\n") == b"WARM\n"
        before = memory_bytes(worker)
        visitors = [
            stack.enter_context(connect(server.at(), source=f"127.0.0.{number % sources + 2}"))
            for number in range(count)
        ]
        for visitor in visitors:
            visitor.sendall(b"hi\n")
        for visitor in visitors:
            assert read_exactly(visitor, 3) == b"HI\n"
        each = (memory_bytes(worker) - before) / count
        assert each < 8_192  # benchmarks/ measures it; this notices when something of each connection grows
        assert exchange(server.at(), b"one more\n") == b"ONE MORE\n"
        for visitor in visitors:
            visitor.close()
