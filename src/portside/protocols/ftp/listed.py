"""Lines of other servers' listings, read as far as they can be: for servers that have no MLSD.

LIST is for people and has no form that is written down. Three are met: that of ``ls -l``, with columns left out and
dates of several kinds, that of MS-DOS, which IIS sends unless told otherwise, and EPLF
(https://cr.yp.to/ftp/list/eplf.html), made for programs. Times are those of the server's clock and zone, which it does
not tell: they are taken as UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from portside.address import is_decimal
from portside.errors import MalformedMessage
from portside.protocols.ftp.times import DAY_S, EPOCH_ORDINAL, MONTHS, NS_PER_S, day_text
from portside.storage.contract import Kind

MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Listed:
    """What a line tells of a file. ``resolution_s`` is how coarse its time is: 60 for hours and minutes, 86,400 for
    a mere date. ``target`` is where a link leads, if the line says so.
    """

    name: str
    kind: Kind
    size_bytes: int | None = None
    modified_ns: int | None = None
    resolution_s: int = MINUTE_S
    target: str = ""


def parse_listing_line(line: bytes | str, now_s: float) -> Listed | None:
    """Return what a line of a listing tells; None for an empty one, and for ls's ``total``.

    ``now_s`` decides which year is meant where none is written: the last in which the day is not in the future.
    Raises: MalformedMessage for a line of no known form: what it hides is not known either.
    """
    text = line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip() or _TOTAL.fullmatch(text):
        return None
    listed = _parse_eplf(text) if text.startswith("+") else _parse_unix(text, now_s) or _parse_dos(text)
    if listed is None or not listed.name or _FORGES_LINES.search(listed.name):
        raise MalformedMessage(f"a listing has lines as ls -l, MS-DOS or EPLF; this one is {text[:200]!r}")
    return listed


_FORGES_LINES: Final = re.compile(r"[\r\n\0]")
_TOTAL: Final = re.compile(r"total:? {1,40}\d{1,20}[kKMG]?", re.ASCII)


# ── ls -l ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_KINDS: Final[dict[str, Kind]] = {"-": "file", "d": "directory", "l": "link"}
# The type, nine letters of permissions and perhaps a sign for more of them; or NetWare's in brackets.
_MODE: Final = re.compile(r"([-bcdlpsDnP?])(?:[-rwxsStTlL]{9}[+.@]?|( ?\[[-A-Z]{8}\])) +(.+)", re.ASCII | re.DOTALL)
_CLOCK: Final = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::\d\d(?:\.\d{1,9})?)?"
_MONTH: Final = r"(?P<month>[^\W\d_]{3})\.?"
_DAY: Final = r"(?P<day>\d{1,2})\.?"
_DATES: Final = (
    rf"{_MONTH} {{1,3}}{_DAY} {{1,3}}(?:{_CLOCK}|(?P<year>\d{{4}}))",  # Nov 25 12:00, Nov 25  2024
    rf"{_DAY} {{1,3}}{_MONTH} {{1,3}}(?:{_CLOCK}|(?P<year>\d{{4}}))",  # 25 Nov 12:00
    # --time-style=iso, long-iso and full-iso
    rf"(?:(?P<year>\d{{4}})-)?(?P<month>\d\d)-(?P<day>\d\d)(?: {{1,2}}{_CLOCK}(?: [-+]\d{{4}})?)?",
)
# Owner and group may be missing, and may have blanks in them: so the size is found by the date behind it.
_SIZE_DATE_NAME: Final = tuple(
    re.compile(rf"(?:^|(?<= ))(?P<size>\d{{1,19}}) {{1,9}}{form} (?P<name>.+)", re.DOTALL) for form in _DATES
)


def _parse_unix(text: str, now_s: float) -> Listed | None:
    mode = _MODE.fullmatch(text)
    if mode is None:
        return None
    found = [match for form in _SIZE_DATE_NAME if (match := form.search(mode[3]))]
    if not found:
        return None
    match = min(found, key=re.Match.start)  # a name may look like the end of another line
    kind: Kind = _KINDS.get(mode[1], "other")
    name = match["name"].lstrip(" ") if mode[2] else match["name"]  # NetWare has another column of blanks there
    target = ""
    if kind == "link":
        name, _, target = name.partition(" -> ")
    return Listed(
        name,
        kind,
        int(match["size"]) if kind == "file" else None,
        _unix_time_ns(match, now_s),
        MINUTE_S if match["hour"] else DAY_S,
        target,
    )


def _unix_time_ns(match: re.Match[str], now_s: float) -> int | None:
    month_text = match["month"].title()
    month = MONTHS.index(month_text) + 1 if month_text in MONTHS else int(month_text) if month_text.isdecimal() else 0
    day, hour, minute = int(match["day"]), int(match["hour"] or 0), int(match["minute"] or 0)
    if match["year"]:
        return _time_ns(int(match["year"]), month, day, hour, minute)
    latest_s = int(now_s) + DAY_S  # their clock may be ahead of ours, or their zone
    latest_year = int(day_text(latest_s // DAY_S)[:4])
    for year in range(latest_year, max(latest_year - 9, 0), -1):  # 29 February is there every fourth year, or eighth
        time_ns = _time_ns(year, month, day, hour, minute)
        if time_ns is not None and time_ns <= latest_s * NS_PER_S:
            return time_ns
    return None


def _time_ns(year: int, month: int, day: int, hour: int, minute: int) -> int | None:
    if hour > 23 or minute > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - EPOCH_ORDINAL
    except ValueError:
        return None
    return (days * DAY_S + hour * 3_600 + minute * 60) * NS_PER_S


# ── MS-DOS ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_DOS: Final = re.compile(
    r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{2,4}) {1,3}(\d{1,2}):(\d\d)(?: ?([AaPp])[Mm])? {1,40}"
    r"(?:<([A-Z]{3,9})>|([\d,.]{1,26})) {1,40}([^ ].*)",
    re.DOTALL,
)


def _parse_dos(text: str) -> Listed | None:
    match = _DOS.fullmatch(text)
    if match is None:
        return None
    first, second, third, hour, minute, half, word, size, name = match.groups()
    if len(first) == 4:
        year, month, day = int(first), int(second), int(third)
    else:  # American: the month comes first
        year, month, day = _full_year(third), int(first), int(second)
    time_ns = _time_ns(year, month, day, _full_hour(int(hour), half), int(minute))
    digits = re.sub(r"[,.]", "", size or "")
    kind: Kind = "file" if word is None else "link" if "LINK" in word else "directory"
    return Listed(name, kind, int(digits) if digits else None, time_ns)


def _full_year(digits: str) -> int:
    # POSIX strptime's %y: 69 to 99 are of the last century.
    return int(digits) if len(digits) == 4 else int(digits) + (1_900 if int(digits) >= 69 else 2_000)


def _full_hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    return hour % 12 + (12 if half in "Pp" else 0)


# ── EPLF ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse_eplf(text: str) -> Listed | None:
    """Facts with a comma behind each, a tab, the name: ``+i8388621.44468,m839956783,r,s10376,<tab>RFCEPLF``."""
    head, tab, name = text[1:].partition("\t")
    facts = {fact[:1]: fact[1:] for fact in head.split(",")}
    if not (tab and name):
        return None
    modified, size = facts.get("m", ""), facts.get("s", "")
    return Listed(
        name,
        "directory" if "/" in facts else "file" if "r" in facts else "other",
        int(size) if is_decimal(size) and len(size) < 20 else None,
        int(modified) * NS_PER_S if is_decimal(modified) and len(modified) < 20 else None,
        resolution_s=1,
    )
