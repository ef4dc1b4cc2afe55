"""Packets as lines: the time, who speaks to whom, the protocol, and what is said, one below the other."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import Final

from portside.observe.packets.summaries import End, Summary
from portside.observe.text import harmless
from portside.wire.captured import CapturedPacket

NARROW_COLUMNS: Final = 100  # below it times have milliseconds, and windows are left out
WORDS_COLUMNS_MIN: Final = 20  # with less room behind its ends than that, a packet's words go to a line of their own
_NS_PER_S: Final = 1_000_000_000
_COLOURS: Final = {
    "TCP": "32",
    "UDP": "36",
    "DNS": "35",
    "mDNS": "35",
    "LLMNR": "35",
    "ARP": "33",
    "ICMP": "33",
    "ICMPv6": "33",
}


def iso_time(time_ns: int) -> str:
    """Return the moment in ISO 8601 with all nine digits, in UTC."""
    seconds, nanoseconds = divmod(time_ns, _NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}+00:00"


class LineMaker:
    """Makes the lines of one capture. ``columns`` is the terminal's width, None without one: then each is one line.

    The columns are as wide as what they have had to hold so far, so that most lines stand below each other.
    """

    def __init__(self, *, columns: int | None, colours: bool, shows_interface: bool, shows_date: bool) -> None:
        self._columns = columns
        self._is_narrow = columns is not None and columns < NARROW_COLUMNS
        self._colours = colours
        self._shows_interface = shows_interface
        self._date = "" if shows_date else None
        self._second = (-1, "", "")
        self._widths = [0, 0, 0, 0]

    @property
    def is_narrow(self) -> bool:
        """Whether there is no room for what can be missed."""
        return self._is_narrow

    def lines(self, packet: CapturedPacket, summary: Summary) -> list[str]:
        """Return the packet's lines, most often one; the date goes before the first packet of each day."""
        date, time = self._moment(packet.time_ns)
        lines = [self._paint(f"── {date} ──", "2")] if date else []
        return lines + self._packet_lines(time, packet.interface.name, summary)

    def _moment(self, time_ns: int | None) -> tuple[str, str]:
        """Return the date where it is a new one, and the local time."""
        if time_ns is None:
            return "", "-"
        seconds, nanoseconds = divmod(time_ns, _NS_PER_S)
        if seconds != self._second[0]:
            moment = datetime.fromtimestamp(seconds)
            self._second = (seconds, f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}")
        _, date, time = self._second
        is_new, self._date = self._date is not None and date != self._date, date
        digits = f"{nanoseconds:09}"[: 3 if self._is_narrow else 6]
        return date if is_new else "", f"{time}.{digits}"

    def _packet_lines(self, time: str, interface: str, summary: Summary) -> list[str]:
        ends = [_shown(summary.source), _shown(summary.target)]
        cells = [harmless(interface) if self._shows_interface else "", *ends, summary.protocol]
        self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, cells, strict=True)]
        place, source, target, protocol = (f"{cell:<{width}}" for cell, width in zip(cells, self._widths, strict=True))
        words = harmless(summary.words)
        head = [time, *([place] if place else []), f"{source} → {target}", protocol]
        painted = [self._paint(time, "2"), *head[1:-1], self._paint(protocol, _COLOURS.get(summary.protocol, "0"))]
        room = None if self._columns is None else self._columns - len(" ".join(head)) - 1
        if room is None or len(words) <= room:
            return [f"{' '.join(painted)} {self._paint_words(words)}"]
        return self._wrapped(" ".join(painted).rstrip(), words, room)

    def _wrapped(self, head: str, words: str, room: int) -> list[str]:
        """Return the head with as many words as it has room for, and the others on lines below the ends."""
        assert self._columns is not None
        indent = " " * 13 if self._is_narrow else " " * 16
        rest = max(self._columns - len(indent), WORDS_COLUMNS_MIN)
        if room < WORDS_COLUMNS_MIN:
            first, more = "", words
        else:
            first, *_ = textwrap.wrap(words, room, break_on_hyphens=False)
            more = words[len(first) :].lstrip()
        below = [f"{indent}{self._paint_words(line)}" for line in textwrap.wrap(more, rest, break_on_hyphens=False)]
        return [f"{head} {self._paint_words(first)}".rstrip(), *below]

    def _paint_words(self, words: str) -> str:
        is_trouble = "malformed" in words or words.startswith("RST")
        return self._paint(words, "31") if is_trouble else words

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and text and code != "0" else text


def _shown(end: End | None) -> str:
    return "?" if end is None else harmless(str(end))
