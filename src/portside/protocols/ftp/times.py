"""Times as FTP writes them: ``YYYYMMDDHHMMSS`` in UTC, perhaps with a fraction of the second.

Source: RFC 3659 section 2.3.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import lru_cache
from typing import Final

from portside.errors import MalformedMessage

NS_PER_S: Final = 1_000_000_000
DAY_S: Final = 86_400

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
FIRST_DAY: Final = date.min.toordinal() - EPOCH_ORDINAL  # days before 1970-01-01, of year 1
LAST_DAY: Final = date.max.toordinal() - EPOCH_ORDINAL  # of year 9999: four digits have no room for more
_NS_MIN: Final = FIRST_DAY * DAY_S * NS_PER_S
_NS_MAX: Final = (LAST_DAY + 1) * DAY_S * NS_PER_S - 1

_TIME: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d+))?", re.ASCII)

MINUTES: Final = tuple(f"{minute // 60:02}{minute % 60:02}" for minute in range(1_440))
SECONDS: Final = tuple(f"{second:02}" for second in range(60))
"""A day's minutes as HHMM and a minute's seconds as SS: long listings look them up, which is faster than formatting."""


def parse_time(text: str) -> int:
    """Return the nanoseconds since 1970-01-01 00:00 UTC, negative before it.

    Second 60, which RFC 3659 has for leap seconds, is taken as 59: it stays in its minute, and in its day. Of a
    fraction nine digits count.
    Raises: MalformedMessage.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise MalformedMessage(f"a time is YYYYMMDDHHMMSS, perhaps with a fraction; this is {text[:40]!r}")
    year, month, day, hour, minute, second = (int(digits) for digits in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, 59 if second == 60 else second)
    except ValueError as error:
        raise MalformedMessage(f"there is no such time as {text[:40]}: {error}") from error
    days = moment.toordinal() - EPOCH_ORDINAL
    seconds = days * DAY_S + hour * 3_600 + minute * 60 + moment.second
    return seconds * NS_PER_S + int(f"{match[7] or '':0<9.9}")


def build_time(time_ns: int, *, fraction: bool = False) -> str:
    """Return the time of so many nanoseconds since 1970-01-01 00:00 UTC.

    The fraction, if it is wanted and is not 0, has as many digits as it needs, and ``parse_time`` gives back the same
    number. Without it the time is that of the second begun. What lies beyond the years 1 to 9999 is written as the
    nearest moment within: a file system may have such times, and they must not spoil a listing.
    """
    seconds, rest_ns = divmod(min(max(time_ns, _NS_MIN), _NS_MAX), NS_PER_S)
    day, second = divmod(seconds, DAY_S)
    text = f"{day_text(day)}{MINUTES[second // 60]}{SECONDS[second % 60]}"
    return f"{text}.{rest_ns:09}".rstrip("0") if fraction and rest_ns else text


@lru_cache(maxsize=4_096)
def day_text(day: int) -> str:
    """Return YYYYMMDD of a day, counted from 1970-01-01; of the nearest one that can be written."""
    moment = date.fromordinal(min(max(day, FIRST_DAY), LAST_DAY) + EPOCH_ORDINAL)
    return f"{moment.year:04}{moment.month:02}{moment.day:02}"
