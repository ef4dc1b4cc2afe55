"""Listings for people: LIST's lines as ``ls -l`` prints them, NLST's names, and what may be asked for in them.

Source: RFC 959 section 4.1.3 (LIST and NLST, which leave the form open), POSIX ls, GNU ls under LC_ALL=C and TZ=UTC0.

A name with CR or LF would forge lines. LIST shows ``?`` for them, as ``ls -q`` does, since it is read by people; NLST
leaves such a name out, since a program would ask for another file. What other servers' lines tell is in ``listed``.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import translate
from functools import lru_cache
from operator import attrgetter
from typing import Final

from portside.protocols.ftp.times import DAY_S, EPOCH_ORDINAL, FIRST_DAY, LAST_DAY, MONTHS, NS_PER_S
from portside.storage.contract import Entry, Kind

SIX_MONTHS_S: Final = 31_556_952 // 2  # half of the mean year of the Gregorian calendar, as GNU ls has it

_CLOCKS: Final = tuple(f"{minute // 60:02}:{minute % 60:02}" for minute in range(1_440))
_FORGES_LINES: Final = str.maketrans("\r\n\0", "???")
_NO_WORD: Final = str.maketrans(dict.fromkeys(" \t\r\n\0", "_"))  # an owner is one word between blanks

# Which file of the kind "other" it is, nobody says; a FIFO is what a tree of files has rather than the rest.
_TYPE_BITS: Final[dict[Kind, int]] = {
    "file": stat.S_IFREG,
    "directory": stat.S_IFDIR,
    "link": stat.S_IFLNK,
    "other": stat.S_IFIFO,
}


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Widths:
    """How wide the columns are: ls makes each as wide as its widest value."""

    links: int = 1
    owner: int = 1
    group: int = 1
    size: int = 1


STREAM_WIDTHS: Final = Widths(links=3, owner=8, group=8, size=12)
"""For listings whose later entries are not known when the first are sent: as vsftpd has them, with room for a TB."""


def widths_of(entries: Sequence[Entry]) -> Widths:
    """Return how wide ls would make the columns of a listing of these entries."""
    if not entries:
        return Widths()
    return Widths(
        links=len(str(max(map(attrgetter("links"), entries)))),
        owner=max(map(len, set(map(attrgetter("owner"), entries)))),
        group=max(map(len, set(map(attrgetter("group"), entries)))),
        size=len(str(max(map(attrgetter("size_bytes"), entries)))),
    )


def build_listing_line(entry: Entry, now_s: float, widths: Widths = Widths()) -> str:
    """Return the entry as ``ls -l`` prints it, without an end of line.

    Shape:  ``-rw-r--r-- 1 owner group 1234 Nov 25 12:00 name``, in UTC; the year in place of the time for what was
            not modified within the last six months, or only will be. Links have no ``->``.
    """
    (line,) = _lines((entry,), now_s, widths)
    return line.removesuffix("\r\n").translate(_FORGES_LINES)


def build_listing(entries: Sequence[Entry], now_s: float, widths: Widths | None = None) -> bytes:
    """Return a line with CR LF for each entry, in their order: what LIST sends.

    Without ``widths`` the columns are as wide as these entries need. An entry takes one to two microseconds.
    """
    lines = _lines(entries, now_s, widths_of(entries) if widths is None else widths)
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        text = "".join(f"{line[:-2].translate(_FORGES_LINES)}\r\n" for line in lines)
    return text.encode("utf-8", "surrogateescape")


def _lines(entries: Iterable[Entry], now_s: float, widths: Widths) -> list[str]:
    # A directory has few kinds, modes and owners: what they make of a line is made once for each.
    templates: dict[tuple[Kind, int, int, str, str], str] = {}
    lines: list[str] = []
    since_s = now_s - SIX_MONTHS_S
    for entry in entries:
        name, kind, size_bytes, modified_ns, mode, links, owner, group, _ = entry
        shape = (kind, mode, links, owner, group)
        template = templates.get(shape)
        if template is None:
            template = templates[shape] = _template(entry, widths)
        seconds = modified_ns // NS_PER_S
        day, second = divmod(seconds, DAY_S)
        date_text, year = _date(day)
        clock = _CLOCKS[second // 60] if since_s < seconds <= now_s else year
        lines.append(template % (size_bytes, date_text, clock, name))
    return lines


def _template(entry: Entry, widths: Widths) -> str:
    """Return the line that all entries of this one's shape have in common, with four places to fill:

    the size, the day it was modified, the time or the year, and the name.
    """
    mode = stat.filemode(_TYPE_BITS[entry.kind] | entry.mode)
    owner, group = entry.owner.translate(_NO_WORD), entry.group.translate(_NO_WORD)
    columns = f"{mode} {entry.links:>{widths.links}} {owner:<{widths.owner}} {group:<{widths.group}}"
    return f"{columns.replace('%', '%%')} %{widths.size}d %s %5s %s\r\n"


@lru_cache(maxsize=4_096)
def _date(day: int) -> tuple[str, str]:
    """Return ``Nov 25`` and the year of a day, counted from 1970-01-01; of the nearest one within years 1 to 9999."""
    moment = date.fromordinal(min(max(day, FIRST_DAY), LAST_DAY) + EPOCH_ORDINAL)
    return f"{MONTHS[moment.month - 1]} {moment.day:>2}", str(moment.year)


def build_heading(path: str, *, first: bool = False) -> bytes:
    """Return what stands before the entries of each directory in a listing with -R, as ls has it."""
    blank_line = "" if first else "\r\n"
    return f"{blank_line}{path.translate(_FORGES_LINES)}:\r\n".encode("utf-8", "surrogateescape")


def build_names(entries: Iterable[Entry], prefix: str = "") -> bytes:
    """Return a line with CR LF for each name, with the prefix before it: what NLST sends.

    Names with CR or LF are left out.
    """
    names = [entry.name for entry in entries]
    text = "".join(f"{prefix}{name}\r\n" for name in names)
    if text.count("\n") != len(names) or text.count("\r") != len(names):
        text = "".join(f"{prefix}{name}\r\n" for name in names if "\n" not in name and "\r" not in name)
    return text.encode("utf-8", "surrogateescape")


# ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What LIST or NLST is asked for: a path, empty for the directory one is in, and ls's options."""

    path: str = ""
    hidden: bool = False  # -a and -A: names that begin with a dot, too
    dots: bool = False  # -a: "." and "..", too
    long: bool = False  # -l; LIST is long without it
    one_column: bool = False  # -1: names only
    recursive: bool = False  # -R
    directory_itself: bool = False  # -d: not what is in it
    by_time: bool = False  # -t: what was modified last comes first
    by_size: bool = False  # -S: the largest comes first
    reverse: bool = False  # -r


# Every letter that GNU ls takes: those that mean nothing here are passed over, as servers do. A word with any other
# character in it is a name.
_OPTIONS: Final = re.compile(r"-[abcdfghiklmnopqrstuvwxABCDFGHILNQRSTUXZ1]+", re.ASCII)


def parse_list_argument(argument: str) -> ListRequest:
    """Return what an argument of LIST or NLST asks for.

    Shape:  words of options first, then a path, which may have blanks in it: ``-a -l my files``. ``--`` ends the
            options, so that every name can be reached: ``-- -a``, or ``./-a``.
    """
    letters, path = set[str](), argument
    while path.startswith("-"):
        word, _, rest = path.partition(" ")
        if word == "--":
            path = rest
            break
        if not _OPTIONS.fullmatch(word):
            break
        letters.update(word)
        path = rest.lstrip(" ")
    return ListRequest(
        path,
        hidden=not letters.isdisjoint("aA"),
        dots="a" in letters,
        long="l" in letters,
        one_column="1" in letters,
        recursive="R" in letters,
        directory_itself="d" in letters,
        by_time="t" in letters,
        by_size="S" in letters,
        reverse="r" in letters,
    )


def arrange(entries: Iterable[Entry], request: ListRequest) -> list[Entry]:
    """Return the entries that the request shows, in its order; by name, as bytes compare, unless it says otherwise."""
    shown = [entry for entry in entries if request.hidden or not entry.name.startswith(".")]
    shown.sort(key=attrgetter("name"))
    if request.by_size:
        shown.sort(key=attrgetter("size_bytes"), reverse=True)  # stays sorted by name where sizes are the same
    elif request.by_time:
        shown.sort(key=attrgetter("modified_ns"), reverse=True)
    if request.reverse:
        shown.reverse()
    return shown


# ── patterns ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_PATTERN: Final = re.compile(r"[*?\[]")


def has_pattern(path: str) -> bool:
    """Tell whether the last name of a path may be a pattern. A file may have that very name: look for it first."""
    return _PATTERN.search(path.rpartition("/")[2]) is not None


def split_pattern(path: str) -> tuple[str, str]:
    """Return the directory of a path, as it was typed and with its slash, and the pattern of its last name."""
    directory, slash, pattern = path.rpartition("/")
    return directory + slash, pattern


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a name matches: ``*``, ``?`` and ``[a-z]`` as a shell has them, ``[!a-z]`` for others.

    A dot at the beginning of a name is matched by a dot only.
    """
    matches = re.compile(translate(pattern)).match
    if pattern.startswith("."):
        return lambda name: matches(name) is not None
    return lambda name: not name.startswith(".") and matches(name) is not None
