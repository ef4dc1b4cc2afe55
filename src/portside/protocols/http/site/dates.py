"""Dates as HTTP writes them, RFC 9110 section 5.6.7: in GMT, to the second."""

from __future__ import annotations

from calendar import timegm
from email.utils import parsedate_tz
from functools import lru_cache
from typing import Final

from portside.protocols.http.dates import build_date

SECONDS_MAX: Final = 253_402_300_799  # the year 9999 ends


@lru_cache(1_024)
def build_file_date(seconds: int) -> bytes:
    """Return seconds since 1970, which may be any that a file has, as ``Sun, 06 Nov 1994 08:49:37 GMT``."""
    return build_date(min(max(seconds, 0), SECONDS_MAX))


@lru_cache(1_024)
def parse_date(text: bytes) -> int | None:
    """Return the seconds since 1970 of any of the three forms, None for what is none of them.

    A condition with a date that cannot be read is as good as none (RFC 9110 section 13.1.3).
    """
    try:
        parsed = parsedate_tz(text.decode("latin-1"))
        # A date without a zone is asctime's form, which is in GMT as well.
        return None if parsed is None else timegm(parsed[:6]) - (parsed[9] or 0)
    except (ValueError, IndexError, OverflowError, TypeError):
        return None
