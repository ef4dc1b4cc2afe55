"""What a terminal shows of transfers, and that nothing else is shown anything."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from portside.cli import progress
from portside.cli.progress import Plain, Rich, Silent, clock_text, line_of, open_progress, size_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def plain(columns: int = 80) -> tuple[Plain, Terminal, Clock]:
    stream, clock = Terminal(), Clock()
    return Plain(stream, now_s=clock, columns=lambda: columns), stream, clock


def last_line(stream: Terminal) -> str:
    return stream.getvalue().rpartition("\r")[2].rstrip()


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_are_for_people(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (3.4, "0:03"), (59.6, "1:00"), (3_723, "1:02:03"), (1e12, "99:59:59")]
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("have", "total", "rate", "line"),
    [
        (450, 1_000, 100.0, "x   45%  450 B of 1.0 kB  100 B/s  0:06 left"),
        (450, None, 100.0, "x  450 B  100 B/s"),
        (0, 1_000, 0.0, "x    0%  0 B of 1.0 kB"),
        (0, 0, 0.0, "x  0 B of 0 B"),
        (2_000, 1_000, 1.0, "x  100%  2.0 kB of 1.0 kB  1 B/s  0:00 left"),
    ],
)
def test_the_line_says_what_is_known(have: int, total: int | None, rate: float, line: str) -> None:
    assert line_of("x", have, total, rate) == line


def test_the_rate_is_that_of_the_last_seconds() -> None:
    shown, stream, clock = plain()
    bar = shown.begin("file", 100_000)
    for second in range(1, 11):
        clock.now_s += 1
        bar.move(second * 1_000 if second < 5 else 4_000 + (second - 4) * 5_000)
    assert shown.rate == pytest.approx(5_000)
    assert last_line(stream) == "file   34%  34.0 kB of 100.0 kB  5.0 kB/s  0:13 left"


def test_what_was_there_before_counts_for_the_share_and_not_for_the_rate() -> None:
    shown, stream, clock = plain()
    bar = shown.begin("file", 1_000, 500)
    clock.now_s += 1
    bar.move(100)
    assert last_line(stream) == "file   60%  600 B of 1.0 kB  100 B/s  0:04 left"


def test_several_files_share_the_line() -> None:
    shown, stream, clock = plain()
    first, second = shown.begin("a", 1_000), shown.begin("b", 3_000)
    clock.now_s += 1
    first.move(400)
    assert last_line(stream) == "2 files   10%  400 B of 4.0 kB  400 B/s  0:09 left"
    first.end()
    clock.now_s += 1
    second.move(0)
    assert last_line(stream).startswith("b    0%")


def test_a_terminal_is_not_written_to_more_often_than_anybody_can_read() -> None:
    shown, stream, clock = plain()
    bar = shown.begin("file", 1_000_000)
    for moved in range(1_000):
        clock.now_s += 0.001
        bar.move(moved)
    assert stream.getvalue().count("\r") <= 11


def test_a_shorter_line_leaves_nothing_of_a_longer_one_and_the_end_leaves_none() -> None:
    shown, stream, clock = plain()
    bar = shown.begin("a long name", 1_000)
    clock.now_s += 1
    bar.end()
    assert stream.getvalue().endswith(f"\r{' ' * len('a long name    0%  0 B of 1.0 kB')}\r")
    shown.close()
    before = stream.getvalue()
    shown.close()
    assert stream.getvalue() == before


def test_a_narrow_terminal_gets_the_end_of_the_line() -> None:
    shown, stream, clock = plain(columns=21)
    bar = shown.begin("a name that is long", 1_000)
    clock.now_s += 1
    bar.move(500)
    assert last_line(stream).strip() == "500 B/s  0:01 left"


def test_what_is_said_stands_on_a_line_of_its_own() -> None:
    shown, stream, _ = plain()
    shown.begin("file", 1_000)
    shown.say("something \x1b[2J happened")
    assert stream.getvalue().endswith("\rsomething \\x1b[2J happened\n")


def test_a_name_cannot_write_on_the_terminal() -> None:
    shown, stream, _ = plain()
    shown.begin("\x1b[2J", 1)
    assert "\x1b" not in stream.getvalue()


# ── which one ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        shown = open_progress()
        assert isinstance(shown, Silent)
        bar = shown.begin("file", 10)
        bar.move(5)
        bar.end()
        shown.say("a word")
        shown.close()
        assert stream is None or stream.getvalue() == "a word\n"
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(open_progress(), Silent)


def test_a_terminal_gets_rich_bars_or_a_plain_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    assert isinstance(open_progress(), Plain)
    monkeypatch.undo()
    pytest.importorskip("rich", reason="rich is not installed")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(open_progress(), Rich)


def test_rich_shows_each_file_and_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich", reason="rich is not installed")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    shown: Any = Rich(stream)
    bar = shown.begin("[red]file[/red]", 1_000, 500)
    bar.move(250)
    shown.say("[bold]a word[/bold]")
    shown._progress.refresh()
    bar.end()
    shown.close()
    printed = stream.getvalue()
    assert "[red]file[/red]" in printed
    assert "[bold]a word[/bold]" in printed
    assert "750/1,000 bytes" in printed.replace("0.8/1.0 kB", "750/1,000 bytes")


def test_without_columns_a_terminal_has_eighty(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError

    monkeypatch.setattr(progress.os, "get_terminal_size", fail)
    assert progress._terminal_columns() == 80
