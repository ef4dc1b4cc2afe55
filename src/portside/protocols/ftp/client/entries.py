"""What a server tells of its files, as values: from facts (MLST, MLSD), or from the lines of ``ls -l``.

A name comes from the server, and may be meant badly: one that leads out of the directory it is listed in is refused,
so that whoever mirrors a tree writes nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from portside.errors import MalformedMessage
from portside.protocols.ftp.facts import parse_facts
from portside.protocols.ftp.listed import parse_listing_line
from portside.protocols.ftp.times import parse_time
from portside.storage.contract import Kind

SIZE_DIGITS_MAX: Final = 20
MODE_DIGITS_MAX: Final = 6

_KINDS: Final[Mapping[str, Kind]] = {"file": "file", "dir": "directory", "cdir": "directory", "pdir": "directory"}


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """One name on the server and what it tells of it; what it does not tell is None.

    ``is_exact`` says that ``modified_ns`` (since 1970-01-01 00:00 UTC) is true to the second. From a listing for people
    it is not: to the minute or the day, and in a time zone that nobody tells.
    """

    name: str
    kind: Kind
    size_bytes: int | None = None
    modified_ns: int | None = None
    is_exact: bool = False
    mode: int | None = None
    owner: str | None = None
    group: str | None = None
    unique: str | None = None  # the same for the same file under another name (RFC 3659 section 7.5.2)


def parse_fact_line(line: bytes | str, *, name: str | None = None) -> RemoteEntry | None:
    """Return the entry that a line of MLSD tells, None for the directory itself and the one above it.

    With ``name`` the line is MLST's: it tells of whatever was asked for, and the name in it may be any path.
    Raises: MalformedMessage.
    """
    facts, told = parse_facts(line)
    kind = facts.get("type", "").lower()
    if name is None and kind in ("cdir", "pdir"):
        return None
    modified_ns = _time_of(facts.get("modify"))
    return RemoteEntry(
        checked_name(told) if name is None else name,
        _kind_of(kind),
        size_bytes=_number(facts.get("size"), 10, SIZE_DIGITS_MAX),
        modified_ns=modified_ns,
        is_exact=modified_ns is not None,
        mode=_number(facts.get("unix.mode"), 8, MODE_DIGITS_MAX),
        owner=facts.get("unix.ownername") or facts.get("unix.owner"),
        group=facts.get("unix.groupname") or facts.get("unix.group"),
        unique=facts.get("unique") or None,
    )


def parse_list_line(line: bytes, now_s: float) -> RemoteEntry | None:
    """Return the entry that a line of LIST tells, None for one that tells of none.

    ``now_s`` is the time of day, seconds since 1970, for dates without a year. Raises: MalformedMessage.
    """
    listed = parse_listing_line(line, now_s)
    if listed is None or listed.name in (".", ".."):
        return None
    return RemoteEntry(
        checked_name(listed.name), listed.kind, size_bytes=listed.size_bytes, modified_ns=listed.modified_ns
    )


def checked_name(name: str) -> str:
    """Return the name of an entry. Raises: MalformedMessage for one that leads elsewhere, or nowhere."""
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise MalformedMessage(f"the server lists {name[:80]!r}, which is no name in a directory")
    return name


def _kind_of(kind: str) -> Kind:
    if kind.startswith(("os.unix=slink", "os.unix=symlink")):
        return "link"
    return _KINDS.get(kind, "other")


def _number(text: str | None, base: int, digits_max: int) -> int | None:
    text = text.removeprefix("0o") if text and base == 8 else text  # pyftpdlib tells modes as Python writes them
    if text is None or not 0 < len(text) <= digits_max or not (text.isascii() and text.isdigit()):
        return None
    try:
        return int(text, base)
    except ValueError:  # an 8 or 9 in an octal number
        return None


def _time_of(text: str | None) -> int | None:
    try:
        return None if text is None else parse_time(text)
    except MalformedMessage:  # a listing is not worth less for a time that is none
        return None
