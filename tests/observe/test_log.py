"""The records of the log: what they hold, who gets which, and that a flood stays a few lines."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside import events
from portside.address import InternetAddress, UnixAddress
from portside.net.drive import drive
from portside.observe import log as module
from portside.observe.log import SUMMARY_S, Log, LogHandler, json_form, pretty_form, start, traceback_of
from portside.observe.stderr import Stderr

PEER = InternetAddress("192.0.2.1", 4312)
LOCAL = InternetAddress("::1", 7)
NOW = datetime(2026, 11, 21, 6, 7, 8, 901_000, UTC)

CLOSED = events.ConnectionClosed("echo", "a1", LOCAL, PEER, 12, 2_048, 0.25, "done")


@dataclass
class Recorded:
    """Records as JSON, and what was asked to happen later."""

    lines: list[bytes] = field(default_factory=list)
    laters: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def log(self, level: str = "info", form: Any = None) -> Log:
        return Log(
            self.lines.append,
            form or json_form(),
            level=level,
            later=lambda delay_s, act: self.laters.append((delay_s, act)),
            now=lambda: NOW,
        )

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def pass_time(self) -> None:
        """Do what was put off."""
        laters, self.laters = self.laters, []
        for _, act in laters:
            act()


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def test_one_record_for_a_connection(recorded: Recorded) -> None:
    log = recorded.log()
    log(events.ConnectionOpened("echo", "a1", LOCAL, PEER))
    log(CLOSED)
    assert recorded.records == [
        {
            "time": "2026-11-21T06:07:08.901000Z",
            "level": "info",
            "event": "connection",
            "service": "echo",
            "connection": "a1",
            "peer": {"host": "192.0.2.1", "port": 4312},
            "local": {"host": "::1", "port": 7},
            "bytes_in": 12,
            "bytes_out": 2_048,
            "duration_s": 0.25,
            "ended": "done",
            "detail": None,
        }
    ]


def failure() -> Exception:
    try:
        raise ValueError("a bug\x1b[2J")
    except ValueError as error:
        return error


def test_a_failing_handler_has_its_traceback_inside_its_record(recorded: Recorded) -> None:
    recorded.log()(events.HandlerFailed("echo", "a1", UnixAddress(""), failure()))
    (record,) = recorded.records
    assert record["level"] == "error"
    assert record["event"] == "handler_failed"
    assert record["peer"] == {"path": ""}
    assert record["error"] == "ValueError: a bug\x1b[2J"
    assert record["traceback"].startswith("Traceback (most recent call last):\n")
    assert record["traceback"].endswith("ValueError: a bug\x1b[2J")
    assert len(recorded.lines[0].splitlines()) == 1


def test_a_traceback_begins_at_the_handler() -> None:
    async def handler() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug") as caught:
        drive(handler(), handler="h", model="thread")
    below = caught.value.__traceback__
    assert below is not None  # this test's own step
    as_a_worker_sees_it = caught.value.with_traceback(below.tb_next)
    places = [line for line in traceback_of(as_a_worker_sees_it).splitlines() if line.startswith("  File ")]
    assert [line.rpartition(" ")[2] for line in places] == ["handler"]


def test_an_error_that_cannot_be_shown_does_not_silence_the_log(recorded: Recorded) -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    recorded.log()(events.HandlerFailed("echo", "a1", PEER, Rude()))
    assert recorded.records[0]["error"] == "Rude: (its text cannot be had)"


def test_levels(recorded: Recorded) -> None:
    everything = [
        events.ConnectionOpened("echo", "a1", LOCAL, PEER),
        events.Spoke("echo", "a1", "in", "USER anna", 11),
        CLOSED,
        events.LimitHit("echo", PEER, "per_ip"),
        events.HandlerFailed("echo", "a1", PEER, failure()),
    ]
    names = ["opened", "spoke", "connection", "limit", "handler_failed"]
    for level, first in (("debug", 0), ("info", 2), ("warning", 3), ("error", 4)):
        recorded.lines.clear()
        log = recorded.log(level)
        for event in everything:
            log(event)
        assert [record["event"] for record in recorded.records] == names[first:]


def test_a_flood_of_refused_peers_is_told_at_once_and_then_in_sums(recorded: Recorded) -> None:
    log = recorded.log()
    last = InternetAddress("192.0.2.9", 9)
    for _ in range(1_000):
        log(events.LimitHit("echo", PEER, "per_ip"))
    log(events.LimitHit("echo", last, "per_ip"))
    log(events.LimitHit("echo", PEER, "denied"))
    assert [(record["limit"], record["count"]) for record in recorded.records] == [("per_ip", 1), ("denied", 1)]
    assert [delay_s for delay_s, _ in recorded.laters] == [SUMMARY_S, SUMMARY_S]
    recorded.pass_time()
    (summary,) = recorded.records[2:]
    assert (summary["limit"], summary["count"], summary["level"]) == ("per_ip", 1_000, "warning")
    assert summary["peer"] == {"host": "192.0.2.9", "port": 9}
    recorded.pass_time()
    assert recorded.laters == []  # nobody was turned away for a while: the next one is told at once
    log(events.LimitHit("echo", PEER, "per_ip"))
    assert recorded.records[3:][0]["count"] == 1


def test_what_was_only_counted_is_told_at_the_end(recorded: Recorded) -> None:
    log = recorded.log()
    for _ in range(3):
        log(events.LimitHit("echo", PEER, "accept_rate"))
    log.flush()
    assert [record["count"] for record in recorded.records] == [1, 2]
    recorded.pass_time()
    assert len(recorded.records) == 2


def test_flushing_the_handler_tells_it_too(recorded: Recorded) -> None:
    log = recorded.log()
    for _ in range(3):
        log(events.LimitHit("echo", PEER, "per_ip"))
    LogHandler(log).flush()
    assert [record["count"] for record in recorded.records] == [1, 2]


def test_logging_ends_in_the_log(recorded: Recorded) -> None:
    logger = logging.getLogger("portside.test.logging")
    logger.propagate = False
    handler = LogHandler(recorded.log())
    logger.addHandler(handler)
    try:
        logger.warning("worker %d left", 7)
        try:
            raise ValueError("why")
        except ValueError:
            logger.exception("odd")
    finally:
        logger.removeHandler(handler)
    first, second = recorded.records
    assert first == {
        "time": "2026-11-21T06:07:08.901000Z",
        "level": "warning",
        "event": "log",
        "logger": "portside.test.logging",
        "message": "worker 7 left",
        "traceback": None,
    }
    assert second["level"] == "error"
    assert second["traceback"].endswith("ValueError: why")


@given(st.text(), st.text(), st.floats(min_value=0))
def test_any_record_is_one_line_of_json_and_harmless_when_pretty(path: str, detail: str, duration_s: float) -> None:
    for surrogates in ("", "\udcff"):
        peer = UnixAddress(path + surrogates)
        closed = events.ConnectionClosed("s", "c", LOCAL, peer, 0, 0, duration_s, "peer", detail + surrogates)
        recorded = Recorded()
        recorded.log()(closed)
        recorded.log(form=pretty_form(colours=False))(closed)
        as_json, pretty = recorded.lines
        assert as_json.count(b"\n") == 1
        assert json.loads(as_json)["ended"] == "peer"
        assert pretty.count(b"\n") == 1
        assert pretty[:-1].decode().isprintable()


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────────


def pretty(event: events.Event, *, colours: bool = False) -> str:
    recorded = Recorded()
    recorded.log("debug", pretty_form(colours=colours))(event)
    return recorded.lines[0].decode().partition(" ")[2]


def test_records_as_people_see_them() -> None:
    assert pretty(CLOSED) == "info    echo       192.0.2.1:4312            12 B in  2.0 KiB out 250.0 ms  done\n"
    assert pretty(events.ConnectionClosed("web", "b", LOCAL, LOCAL, 0, 0, 7_265.0, "peer", "reset by\npeer")) == (
        "info    web        [::1]:7                    0 B in      0 B out    2h01m  peer: reset by\\x0apeer\n"
    )
    assert pretty(events.LimitHit("echo", PEER, "per_ip")) == (
        "warning echo       192.0.2.1:4312        turned away by the limit per_ip\n"
    )
    assert pretty(events.ConnectionOpened("echo", "a1", UnixAddress("/run/x"), UnixAddress(""))) == (
        "debug   echo       unix                  connected to /run/x as a1\n"
    )
    assert (
        pretty(events.Spoke("ftp", "a1", "out", "230 Welcome\x07", 13)) == "debug   ftp        a1 → 230 Welcome\\x07\n"
    )


def test_what_somebody_did_to_a_file_as_people_see_it() -> None:
    acted = events.FileActed("ftp", "a1", PEER, "anna", "upload", "/in/a\n.jpg", size_bytes=2_048, duration_s=0.25)
    assert pretty(acted) == (
        "info    ftp        192.0.2.1:4312        anna upload /in/a\\x0a.jpg  2.0 KiB in 250.0 ms\n"
    )
    assert pretty(events.FileActed("ftp", "a1", PEER, "anna", "rename", "/a", target="/b", failed="no")) == (
        "info    ftp        192.0.2.1:4312        anna rename /a to /b: no\n"
    )
    with_digest = events.FileActed("ftp", "a1", PEER, "anna", "download", "/a", digest="sha-256:00")
    assert pretty(with_digest).endswith("anna download /a  sha-256:00\n")


def test_logins_as_people_see_them() -> None:
    assert pretty(events.LoginTried("ftp", "a1", PEER, "anna")).endswith("192.0.2.1:4312        anna logged in\n")
    assert pretty(events.LoginTried("ftp", "a1", PEER, "an\x07na", "wrong")) == (
        "warning ftp        192.0.2.1:4312        refused an\\x07na: wrong\n"
    )


def test_a_refused_login_is_told_where_only_warnings_are(recorded: Recorded) -> None:
    log = recorded.log("warning")
    log(events.LoginTried("ftp", "a1", PEER, "anna"))
    log(events.FileActed("ftp", "a1", PEER, "anna", "upload", "/a"))
    log(events.LoginTried("ftp", "a1", PEER, "anna", "wrong"))
    assert [(record["event"], record["refused"]) for record in recorded.records] == [("login", "wrong")]


def test_a_traceback_is_indented_below_its_record() -> None:
    first, *rest = pretty(events.HandlerFailed("echo", "a1", PEER, failure())).splitlines()
    assert first == "error   echo       192.0.2.1:4312        the handler failed: ValueError: a bug\\x1b[2J"
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError: a bug\\x1b[2J"


def test_a_message_of_several_lines_stays_one_record(recorded: Recorded) -> None:
    log = recorded.log(form=pretty_form(colours=False))
    LogHandler(log).emit(logging.LogRecord("p", logging.ERROR, __file__, 1, "two mistakes:\none\x07\ntwo", (), None))
    assert recorded.lines[0].decode().partition(" ")[2] == "error   p: two mistakes:\n    one\\x07\n    two\n"


def test_colours_only_when_asked_for() -> None:
    assert "\x1b[32mdone\x1b[0m" in pretty(CLOSED, colours=True)
    assert "\x1b" not in pretty(CLOSED)


def test_sums_read_as_more() -> None:
    recorded = Recorded()
    log = recorded.log(form=pretty_form(colours=False))
    for _ in range(1_235):
        log(events.LimitHit("echo", PEER, "per_ip"))
    recorded.pass_time()
    assert recorded.lines[1].decode().endswith("turned away by the limit per_ip, and 1,233 more\n")


# ── beginning ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def pipe() -> Iterator[tuple[int, Stderr]]:
    reading, writing = os.pipe()
    stderr = Stderr(writing)
    yield reading, stderr
    if module._end_current is not None:
        module._end_current()
    os.close(reading)
    os.close(writing)


def test_the_log_hears_events_and_logging_until_it_ends(pipe: tuple[int, Stderr]) -> None:
    reading, stderr = pipe
    end = start(None, "info", stderr)
    events.emit(CLOSED)
    logging.getLogger("portside.test").info("hello")
    first, second = os.read(reading, 65_536).splitlines()
    assert json.loads(first)["event"] == "connection"  # JSON, for a pipe is no terminal
    assert json.loads(second)["message"] == "hello"
    end()
    events.emit(CLOSED)
    logging.getLogger("portside.test").error("nobody hears this here")
    os.write(stderr._inherited_fd, b"only this\n")
    assert os.read(reading, 65_536) == b"only this\n"


def test_a_second_start_takes_the_place_of_the_first(pipe: tuple[int, Stderr]) -> None:
    reading, stderr = pipe
    start("pretty", "info", Stderr(stderr._inherited_fd))
    start("json", "warning", stderr)
    events.emit(CLOSED)
    events.emit(events.LimitHit("echo", PEER, "denied"))
    (line,) = os.read(reading, 65_536).splitlines()
    assert json.loads(line)["event"] == "limit"


def test_a_limit_hit_when_no_thread_can_be_started_is_counted_and_summed_up_when_one_can() -> None:
    lines: list[bytes] = []
    laters: list[Callable[[], None]] = []
    threads_left = 0

    def later(_: float, act: Callable[[], None]) -> None:
        if not threads_left:
            raise RuntimeError("can't start new thread")
        laters.append(act)

    log = Log(lines.append, json_form(), later=later)
    hit = events.LimitHit("echo", InternetAddress("192.0.2.1", 40_000), "connections")
    for _ in range(3):
        log(hit)
    assert len(lines) == 1
    threads_left = 1
    log(hit)
    laters.pop()()
    assert json.loads(lines[1])["count"] == 3
