"""The observer of a worker: what it keeps, what it tells, and how a child's tells its worker's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from portside import events
from portside.address import InternetAddress, UnixAddress
from portside.observe.witness import FAILURES_PER_S, TRACEBACK_CHARACTERS_MAX, Witness, words_of_bytes

PEER, LOCAL = InternetAddress("192.0.2.1", 40_000), InternetAddress("192.0.2.200", 21)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000_000.5

    def __call__(self) -> float:
        return self.now_s


class Seen(Witness):
    """A witness on a clock that the test moves; what it tells is kept in ``failures``."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(now_s=clock, clock=clock)
        self.clock = clock
        self.failures: list[dict[str, Any]] = []
        self.begin(self.failures.append)


@pytest.fixture
def witness() -> Iterator[Seen]:
    seen = Seen(Clock())
    yield seen
    seen.end()


def closed(connection: str = "1-1") -> events.ConnectionClosed:
    return events.ConnectionClosed("ftp", connection, LOCAL, PEER, 11, 222, 1.25, "peer", "reset by the peer")


def failure(text: str = "a bug") -> events.HandlerFailed:
    try:
        raise ValueError(text)
    except ValueError as error:
        return events.HandlerFailed("ftp", "1-1", PEER, error)


def test_what_is_said_can_be_asked_for(witness: Seen) -> None:
    events.emit(events.Spoke("ftp", "1-1", "in", "USER anna", 11))
    witness.clock.now_s += 0.25
    events.emit(events.Spoke("ftp", "1-1", "out", "RETR x: 3 B", 3, "data"))
    assert witness.conversation("1-1", 0, 10) == {
        "messages": [
            {
                "seq": 1,
                "time": "1970-01-12T13:46:40.500000+00:00",
                "direction": "in",
                "lane": "",
                "words": "USER anna",
                "bytes": 11,
            },
            {
                "seq": 2,
                "time": "1970-01-12T13:46:40.750000+00:00",
                "direction": "out",
                "lane": "data",
                "words": "RETR x: 3 B",
                "bytes": 3,
            },
        ],
        "lost": 0,
        "ended": None,
    }
    assert witness.conversation("1-2", 0, 10) is None


def test_an_end_is_kept_with_who_it_was(witness: Seen) -> None:
    events.emit(events.Spoke("ftp", "1-1", "in", "USER anna", 11))
    events.emit(closed())
    found = witness.conversation("1-1", 1, 10)
    assert found is not None
    assert found["messages"] == []
    assert found["ended"] == {
        "time": "1970-01-12T13:46:40.500000+00:00",
        "reason": "peer",
        "detail": "reset by the peer",
        "local": {"host": "192.0.2.200", "port": 21},
        "peer": {"host": "192.0.2.1", "port": 40_000},
        "bytes_in": 11,
        "bytes_out": 222,
        "duration_s": 1.25,
    }


def test_a_failure_is_told_with_its_traceback(witness: Seen) -> None:
    events.emit(failure())
    (told,) = witness.failures
    assert (told["connection"], told["error"]) == ("1-1", "ValueError: a bug")
    assert told["traceback"].endswith("ValueError: a bug")
    assert told["peer"] == {"host": "192.0.2.1", "port": 40_000}


def test_a_handler_that_fails_at_everything_is_told_of_a_few_times_a_second(witness: Seen) -> None:
    for _ in range(1_000):
        events.emit(failure())
    assert len(witness.failures) == FAILURES_PER_S
    witness.clock.now_s += 1.0
    events.emit(failure("later"))
    assert len(witness.failures) == FAILURES_PER_S + 1


def test_a_traceback_has_a_bound_and_its_end_is_what_is_kept(witness: Seen) -> None:
    events.emit(failure("x" * 100_000 + " the end"))
    (told,) = witness.failures
    assert len(told["traceback"]) == TRACEBACK_CHARACTERS_MAX
    assert told["traceback"].endswith(" the end")


def test_a_datagram_s_handler_has_no_connection(witness: Seen) -> None:
    events.emit(events.HandlerFailed("echo", "", UnixAddress("/run/x"), ValueError()))
    assert (witness.failures[0]["connection"], witness.failures[0]["peer"]) == (None, {"path": "/run/x"})


def test_what_a_child_saw_is_kept_by_its_worker_as_its_own(witness: Seen) -> None:
    told: list[dict[str, Any]] = []
    witness.begin_in_child(told.append)
    events.emit(events.Spoke("ftp", "7-1", "in", "USER anna", 11))
    witness.moved("7-1", "in", b"hello", 1_000_001.0)
    events.emit(failure())
    events.emit(closed("7-1"))
    assert witness.conversation("7-1", 0, 10) is None
    assert witness.failures == []

    failures: list[dict[str, Any]] = []
    worker_s = Witness()
    worker_s._tell_failure = failures.append
    for sight in told:
        worker_s.take(json.loads(json.dumps(sight)))  # as it comes through the channel
    found = worker_s.conversation("7-1", 0, 10)
    assert found is not None
    assert [message["words"] for message in found["messages"]] == ["USER anna", "“hello”"]
    assert found["ended"]["reason"] == "peer"
    assert [one["error"] for one in failures] == ["ValueError: a bug"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "end of the stream"),
        (b"hello\r\n", "“hello␍␊”"),
        ("grüße\tan alle".encode(), "“grüße␉an alle”"),
        (b"x" * 1_200, f"“{'x' * 60}” … 1.2 kB"),
        (bytes(4), "00 00 00 00"),
        (b"\x16\x03\x01" + bytes(97), "16 03 01" + " 00" * 17 + " … 100 B"),
        (b"\x1b]0;title\x07" + b"text " * 4, "“\x1b]0;title\x07text text text text ”"),  # escaped where it is shown
    ],
)
def test_bytes_are_shown_as_text_where_they_are_some(data: bytes, words: str) -> None:
    assert words_of_bytes(data) == words
