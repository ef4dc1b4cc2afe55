"""The same handler object under all six models, and what each model is known by."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable

import pytest

from support.client import connect, exchange, is_over, read_to_end
from support.processes import is_alive
from support.server import Server
from support.waiting import wait_until

Run = Callable[..., Server]
CONCURRENT = ("fork", "prefork", "thread", "prethread", "event", "event on asyncio")
WITHOUT_LOOP = ("iterative", "fork", "prefork", "thread", "prethread")


@pytest.mark.parametrize("handler", ["shout", "plain_shout"])
def test_a_handler_serves_under_every_model_without_change(run: Run, model: str, handler: str) -> None:
    server = run(handler, model=model)
    assert server.at().model == model.partition(" ")[0]
    text = b"".join(b"line %d\r\n" % number for number in range(2_000))
    for _ in range(3):
        assert exchange(server.at(), text) == text.replace(b"\r\n", b"\n").upper()


def test_a_datagram_handler_serves_under_every_model(run: Run, model: str) -> None:
    server = run("shout_message", model=model, listen=["udp://127.0.0.1:0"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(30)
        peer.connect(("127.0.0.1", server.port))
        for word in (b"one", b"two", b"three"):
            peer.send(word)
            assert peer.recv(100) == word.upper()


@pytest.mark.parametrize("model", CONCURRENT)
def test_visitors_are_served_side_by_side(run: Run, model: str) -> None:
    server = run("shout", model=model)
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(connect(server.at())) for _ in range(5)]
        for visitor in reversed(visitors):  # the last first: nobody waits for those before
            visitor.sendall(b"hello\n")
            assert visitor.recv(100) == b"HELLO\n"


def test_iterative_serves_one_after_the_other(run: Run) -> None:
    server = run("who", model="iterative")
    first, second = connect(server.at()), connect(server.at())
    with first, second:
        second.sendall(b"x")
        assert b"127.0.0.1" in read_to_end(first)
        assert b"127.0.0.1" in read_to_end(second)


@pytest.mark.parametrize("model", ["fork", "prefork"])
def test_processes_share_the_visitors(run: Run, model: str) -> None:
    server = run("ponder", "--pool", "3", "--drain", "0s", model=model)
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(connect(server.at())) for _ in range(3)]
        pids = {int(visitor.makefile().readline()) for visitor in visitors}
    assert len(pids) == 3
    assert server.pid not in pids


@pytest.mark.parametrize("model", ["thread", "prethread", "event"])
def test_workers_are_processes_that_share_the_visitors(run: Run, model: str) -> None:
    server = run("who", "--workers", "3", model=model)
    pids: set[int] = set()
    wait_until(lambda: pids.add(int(exchange(server.at(), b"").split()[2])) or len(pids) == 3, "a visit to each worker")
    assert pids == set(server.children)


def test_more_workers_make_no_sense_where_processes_are_the_model(run: Run) -> None:
    for model in ("iterative", "fork", "prefork"):
        server = run("shout", "--workers", "2", model=model, listening=0)
        assert server.wait() == 2
        assert "workers" in server.said


# ── what a handler may not do ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", WITHOUT_LOOP)
def test_a_foreign_await_is_refused_with_what_to_do(run: Run, model: str) -> None:
    server = run("foreign", model=model, tracebacks=True)
    with connect(server.at()) as visitor, contextlib.suppress(ConnectionError):
        assert read_to_end(visitor) == b""
    record = server.wait_for_record(event="handler_failed")
    assert "visiting:foreign" in record["error"]
    assert "--model event" in record["error"]


@pytest.mark.parametrize("model", ["event", "event on asyncio"])
def test_a_foreign_await_is_welcome_under_the_event_loop(run: Run, model: str) -> None:
    assert exchange(run("foreign", model=model).at(), b"") == b"slept\n"


def test_a_bug_ends_its_connection_and_nothing_else(run: Run, model: str) -> None:
    server = run("fail", model=model, tracebacks=True)
    for number in range(1, 4):
        with connect(server.at()) as visitor, contextlib.suppress(ConnectionError):
            visitor.sendall(b"x")
            assert read_to_end(visitor) == b""
        server.wait_for(
            lambda count=number: sum(one["event"] == "handler_failed" for one in server.records) == count,
            f"{number} records of the bug",
        )
    record = server.wait_for_record(event="handler_failed")
    assert "ZeroDivisionError: a bug of this handler" in record["error"]
    assert 'visiting.py", line' in record["traceback"]


# ── limits and the end are the same under all ────────────────────────────────────────────────────────────────────────


def test_an_idle_visitor_is_sent_away(run: Run, model: str) -> None:
    server = run("shout", "--limit-idle", "1s", model=model)
    with connect(server.at()) as visitor:
        assert read_to_end(visitor) == b""
    record = server.wait_for_record(event="connection", ended="idle")
    assert 1.0 <= record["duration_s"] < 10.0  # at most 3 by contract; the machine may be busy


def test_a_computing_handler_is_not_idle(run: Run) -> None:
    server = run("compute", "--limit-idle", "1s", "--drain", "0s", model="thread")
    with connect(server.at()) as computing, connect(server.at()) as idle:
        computing.sendall(b"compute\n")
        assert computing.recv(100) == b"computing\n"
        assert read_to_end(idle) == b""
        assert not is_over(computing)


def test_everybody_s_life_ends(run: Run, model: str) -> None:
    server = run("flood", "--limit-life", "1s", model=model)
    with connect(server.at()) as visitor, contextlib.suppress(ConnectionError):
        read_to_end(visitor)
    server.wait_for_record(event="connection", ended="life")


def test_over_the_limit_one_is_closed_at_once(run: Run, model: str) -> None:
    if model == "iterative":
        pytest.skip("one connection at a time: nobody else is accepted")
    server = run("shout", "--limit-connections", "2", model=model)
    with connect(server.at()) as first, connect(server.at()) as second:
        for visitor in (first, second):
            visitor.sendall(b"hi\n")
            assert visitor.recv(100) == b"HI\n"
        with connect(server.at()) as third:
            wait_until(lambda: is_over(third), "the end of the third connection")
        assert not is_over(first)
    wait_until(lambda: is_served(server), "a place for somebody else")


def is_served(server: Server) -> bool:
    """Return whether a visitor has a conversation, rather than being sent away."""
    try:
        return exchange(server.at(), b"again\n") == b"AGAIN\n"
    except ConnectionError:
        return False


@pytest.mark.parametrize("model", ["prefork", "thread", "prethread", "event"])
def test_limits_are_counted_across_workers(run: Run, model: str) -> None:
    many = ("--pool", "4") if model == "prefork" else ("--workers", "2")
    server = run("shout", *many, "--limit-per-ip", "3", model=model)
    with contextlib.ExitStack() as stack:
        places = 0
        for _ in range(12):
            visitor = stack.enter_context(connect(server.at()))
            with contextlib.suppress(ConnectionError):
                visitor.sendall(b"hi\n")
                places += visitor.recv(100) == b"HI\n"
    assert places == 3


def test_denied_networks_and_allowed_ones(run: Run) -> None:
    server = run("shout", "--allow", "127.0.0.0/8", "--deny", "127.0.0.7")
    assert exchange(server.at(), b"hi\n", source="127.0.0.6") == b"HI\n"
    with connect(server.at(), source="127.0.0.7") as visitor:
        wait_until(lambda: is_over(visitor), "the end of a denied visitor")


def test_a_stop_ends_an_open_conversation_at_its_deadline(run: Run, model: str) -> None:
    server = run("shout", "--drain", "200ms", model=model)
    with connect(server.at()) as visitor:
        visitor.sendall(b"hi\n")
        assert visitor.recv(100) == b"HI\n"
        assert server.stop() == 0
        wait_until(lambda: is_over(visitor), "the end of the visitor")
    assert [one["ended"] for one in server.records if one["event"] == "connection"] == ["drained"]


def test_a_stop_waits_for_a_conversation_that_ends(run: Run, model: str) -> None:
    server = run("shout", "--drain", "30s", model=model)
    with connect(server.at()) as visitor:
        visitor.sendall(b"hi\n")
        assert visitor.recv(100) == b"HI\n"
        server.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server), "the end of accepting")
        visitor.sendall(b"still there?\n")
        assert visitor.recv(100) == b"STILL THERE?\n"
    assert server.wait() == 0
    assert {one["ended"] for one in server.records if one["event"] == "connection"} == {"done"}


def is_refused(server: Server) -> bool:
    """Return whether nobody listens any more."""
    try:
        connect(server.at()).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # the listening socket went while we were in its queue
        return False
    return False


@pytest.mark.parametrize("model", ["fork", "prefork", "thread", "event"])
def test_workers_do_not_outlive_a_killed_supervisor(run: Run, model: str) -> None:
    server = run("who", model=model)
    workers = server.children
    assert workers
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    wait_until(lambda: not any(is_alive(pid) for pid in workers), "the end of the orphans")
