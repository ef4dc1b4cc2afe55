"""The Date of responses, made once a second. Source: RFC 9110 section 5.6.7, RFC 5322 for the form."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

# Not strftime: %a and %b follow the locale.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def build_date(now_s: float) -> bytes:
    """Return the moment as ``Sun, 06 Nov 1994 08:49:37 GMT``; ``now_s`` counts seconds since 1970."""
    now = datetime.fromtimestamp(now_s, UTC)
    date = f"{_DAYS[now.weekday()]}, {now.day:02} {_MONTHS[now.month - 1]} {now.year:04}"
    return f"{date} {now.hour:02}:{now.minute:02}:{now.second:02} GMT".encode("ascii")


class Dates:
    """Gives the Date of now; within a second it is the same value."""

    __slots__ = ("_clock", "_second", "_text")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = -1
        self._text = b""

    def now(self) -> bytes:
        second = int(self._clock())
        if second != self._second:
            self._text = build_date(second)
            self._second = second
        return self._text
