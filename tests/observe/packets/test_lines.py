"""Packets as lines: one below the other, within the terminal, with the date where it changes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.observe.packets.lines import LineMaker, iso_time
from portside.observe.packets.summaries import End, Summary
from portside.wire.captured import CapturedPacket, Interface
from support.capturing import NOW_NS, captured

ENDS = (End("192.0.2.1", 40_000), End("192.0.2.2", 80))
DAY_NS = 86_400 * 10**9
COLOURING = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are local; here that is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def maker(
    columns: int | None = None, *, colours: bool = False, interface: bool = False, date: bool = False
) -> LineMaker:
    return LineMaker(columns=columns, colours=colours, shows_interface=interface, shows_date=date)


def said(words: str = "hello", protocol: str = "TCP") -> Summary:
    return Summary(*ENDS, protocol, words)


def test_a_line() -> None:
    assert maker().lines(captured(b""), said()) == ["22:13:20.123456 192.0.2.1:40000 → 192.0.2.2:80 TCP hello"]
    assert maker().lines(captured(b"", time_ns=None), said()) == ["- 192.0.2.1:40000 → 192.0.2.2:80 TCP hello"]


def test_narrow_terminals_have_milliseconds() -> None:
    narrow = maker(80)
    assert narrow.is_narrow
    assert narrow.lines(captured(b""), said())[0].startswith("22:13:20.123 192")
    assert not maker(100).is_narrow
    assert not maker().is_narrow


def test_columns_are_as_wide_as_what_they_have_held() -> None:
    lines = maker()
    for summary in (
        Summary(End("10.0.0.1", 1), End("10.0.0.2", 2), "UDP", "a"),
        Summary(End("2001:db8::1"), None, "ICMPv6", "b"),
        Summary(End("10.0.0.1", 1), End("10.0.0.2", 2), "UDP", "c"),
    ):
        last = lines.lines(captured(b""), summary)
    assert last == ["22:13:20.123456 10.0.0.1:1  → 10.0.0.2:2 UDP    c"]


def test_the_interface_is_told_where_there_are_several() -> None:
    packet = captured(b"", interface=Interface("eth0"))
    assert maker(interface=True).lines(packet, said())[0].startswith("22:13:20.123456 eth0 192.0.2.1")


def test_the_date_stands_before_the_first_packet_of_a_day() -> None:
    lines = maker(date=True)
    moments = [NOW_NS, NOW_NS + 1, NOW_NS + DAY_NS]
    shown = [lines.lines(captured(b"", time_ns=moment), said())[0] for moment in moments]
    assert [line[:13] for line in shown] == ["── 2023-11-14", "22:13:20.1234", "── 2023-11-15"]
    live = maker()
    assert len(live.lines(captured(b""), said())) == 1
    assert len(live.lines(captured(b"", time_ns=NOW_NS + DAY_NS), said())) == 2  # midnight went by


def test_long_words_go_on_below_the_ends() -> None:
    assert maker(80).lines(captured(b""), said("one two three four five six seven eight nine ten")) == [
        "22:13:20.123 192.0.2.1:40000 → 192.0.2.2:80 TCP one two three four five six",
        "             seven eight nine ten",
    ]
    far = Summary(End("2001:db8::1234:5678:9abc:def0", 40_000), End("2001:db8::1", 80), "TCP", "one two")
    assert maker(80).lines(captured(b""), far) == [
        "22:13:20.123 [2001:db8::1234:5678:9abc:def0]:40000 → [2001:db8::1]:80 TCP",
        "             one two",
    ]


@given(st.lists(st.text("ab ", min_size=1, max_size=120), min_size=1, max_size=4), st.integers(60, 160))
def test_lines_fit_the_terminal_and_leave_nothing_out(texts: list[str], columns: int) -> None:
    lines = maker(columns)
    for text in texts:
        words = " ".join(text.split()) or "x"
        if max(map(len, words.split())) > columns - 16:
            continue
        shown = lines.lines(captured(b""), said(words))
        assert all(len(line) <= columns for line in shown)
        assert " ".join(" ".join(shown).split()).endswith(words)


def test_colours_are_for_terminals_and_change_no_letter() -> None:
    for words in ("ACK seq=1", "RST seq=1", "len=3, malformed: x"):
        plain = maker().lines(captured(b""), said(words))
        coloured = maker(colours=True).lines(captured(b""), said(words))
        assert coloured != plain
        assert [COLOURING.sub("", line) for line in coloured] == plain
    assert "\x1b[31mRST seq=1\x1b[0m" in maker(colours=True).lines(captured(b""), said("RST seq=1"))[0]


def test_words_of_others_are_harmless() -> None:
    packet = captured(b"", interface=Interface("e\x1bvil"))
    (line,) = maker(interface=True).lines(packet, said("\x1b[31m\nhello"))
    assert "e\\x1bvil" in line
    assert line.endswith("\\x1b[31m\\x0ahello")


def test_times_in_json_have_nine_digits() -> None:
    assert iso_time(NOW_NS) == "2023-11-14T22:13:20.123456789+00:00"
    assert iso_time(0) == "1970-01-01T00:00:00.000000000+00:00"
    assert CapturedPacket(Interface(), 0, b"", 0).is_whole
