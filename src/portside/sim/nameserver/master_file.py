"""Zones as text: master files, RFC 1035 section 5.1, with ``$TTL`` (RFC 2308 section 4) and BIND's ``1h30m``.

What is read: ``$ORIGIN``, ``$TTL``, comments, parentheses, quoted strings, ``@``, names relative to the origin, owners
left out, and records A, AAAA, CNAME, NS, MX, TXT, PTR, SOA and SRV of class IN. ``$INCLUDE`` is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from portside.errors import UsageError
from portside.sim.nameserver.zone import TTL_DEFAULT_S, Zone
from portside.wire.dns import Record
from portside.wire.dns_names import labels_of
from portside.wire.dns_records import AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT, A, Rdata

_TOKEN: Final = re.compile(
    r'"((?:[^"\\\n]|\\.)*)"|;[^\n]*|([()])|((?:[^\s();"\\]|\\.)+)|(\n)|([ \t\r]+)|(.)', re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\([0-9]{3})|\\(.)", re.DOTALL)
_TIME: Final = re.compile(r"(?:\d+[smhdw]?)+", re.IGNORECASE)
_UNIT_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
TTL_MAX_S: Final = (1 << 31) - 1  # RFC 2181 section 8


class MalformedZone(UsageError):
    """A zone's text is not one, in this line."""


class _Entry(NamedTuple):
    line: int
    owner_left_out: bool
    words: list[str]


def parse_zone(text: str, origin: str = ".") -> Zone:
    """Return the zone of a master file. Its name is ``origin``, or what the first record, its SOA, belongs to.

    Raises: MalformedZone, which names the line.
    """
    reader = _Reader(origin)
    records = []
    for entry in _entries(text):
        try:
            record = reader.read(entry)
        except (ValueError, IndexError) as error:
            reason = "a field is missing" if isinstance(error, IndexError) else str(error)
            raise MalformedZone(f"zone, line {entry.line}: {reason}") from None
        if record is not None:
            records.append(record)
    soa = next((record for record in records if isinstance(record.data, SOA)), None)
    try:
        return Zone(soa.name if soa else origin, records)
    except ValueError as error:
        raise MalformedZone(f"zone: {error}") from None


def parse_time(text: str) -> int:
    """Return seconds, of ``300`` or ``1h30m``. Raises: ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is no time")
    seconds = sum(int(count) * _UNIT_S[unit.lower()] for count, unit in re.findall(r"(\d+)([a-zA-Z]?)", text))
    if seconds > TTL_MAX_S:
        raise ValueError(f"{text!r} is more than {TTL_MAX_S} seconds")
    return seconds


def _entries(text: str) -> Iterator[_Entry]:
    """Split into entries: lines, but within parentheses a line's end is nothing (RFC 1035 section 5.1)."""
    line, depth, start, words, left_out = 1, 0, 1, list[str](), False
    for token in _TOKEN.finditer(f"{text}\n"):
        quoted, bracket, word, end, blank, wrong = token.groups()
        if wrong is not None:
            raise MalformedZone(f"zone, line {line}: {wrong!r} does not belong there")
        if quoted is not None or word is not None:
            words.append(f'"{quoted}' if word is None else word)
        elif blank is not None:
            left_out = left_out or token.start() == 0 or (text[token.start() - 1] == "\n" and not words and not depth)
        elif bracket is not None:
            depth += 1 if bracket == "(" else -1
            if depth < 0:
                raise MalformedZone(f"zone, line {line}: a parenthesis ends that did not begin")
        elif end is not None:
            line += 1
            if not depth:
                if words:
                    yield _Entry(start, left_out, words)
                start, words, left_out = line, [], False
    if depth:
        raise MalformedZone(f"zone, line {start}: a parenthesis does not end")


class _Reader:
    """What holds from one entry to the next: origin, time to live, and the last owner."""

    def __init__(self, origin: str) -> None:
        self._origin = origin if origin.endswith(".") else f"{origin}."
        self._ttl_s = TTL_DEFAULT_S
        self._owner: str | None = None

    def read(self, entry: _Entry) -> Record | None:
        """Return the record of an entry, None for a directive. Raises: ValueError; IndexError for a missing field."""
        words = entry.words
        match words[0].upper():
            case "$ORIGIN":
                self._origin = self._absolute(words[1])
                return None
            case "$TTL":
                self._ttl_s = parse_time(words[1])
                return None
            case directive if directive.startswith("$"):
                raise ValueError(f"{words[0]} is not known")
        if not entry.owner_left_out:
            self._owner, words = self._absolute(words[0]), words[1:]
        if self._owner is None:
            raise ValueError("the first record has no owner")
        ttl_s, words = self._time_and_class(words)
        kind, fields = words[0].upper(), words[1:]
        if kind not in _READERS:
            raise ValueError(f"records of type {words[0]} are not read here")
        count, build = _READERS[kind]
        if count is not None and len(fields) > count:
            raise ValueError(f"{fields[count]!r} is one field too many")
        return Record(self._owner, ttl_s, build(self, fields))

    def _time_and_class(self, words: list[str]) -> tuple[int, list[str]]:
        """Take the time to live and the class off the front; both may be missing, and either may come first."""
        ttl_s = self._ttl_s
        for _ in range(2):
            if words[0].upper() == "IN":
                words = words[1:]
            elif words[0].upper() in {"CH", "HS", "CS"}:
                raise ValueError(f"class {words[0]} is not the Internet's")
            elif words[0][0].isdigit():
                ttl_s, words = parse_time(words[0]), words[1:]
        return ttl_s, words

    def _absolute(self, word: str) -> str:
        name = self._origin if word == "@" else word
        if not name.endswith(".") or name.endswith("\\."):
            name = f"{name}." if self._origin == "." else f"{name}.{self._origin}"
        labels_of(name)
        return name

    # ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def soa(self, fields: list[str]) -> Rdata:
        """RFC 1035 section 3.3.13."""
        primary, responsible = (self._absolute(fields[at]) for at in range(2))
        refresh_s, retry_s, expire_s, minimum_s = (parse_time(fields[at]) for at in range(3, 7))
        return SOA(primary, responsible, _number(fields[2], 32), refresh_s, retry_s, expire_s, minimum_s)

    def mx(self, fields: list[str]) -> Rdata:
        """RFC 1035 section 3.3.9."""
        return MX(_number(fields[0], 16), self._absolute(fields[1]))

    def srv(self, fields: list[str]) -> Rdata:
        """RFC 2782."""
        priority, weight, port = (_number(each, 16) for each in fields[:3])
        return SRV(priority, weight, port, self._absolute(fields[3]))

    def text(self, fields: list[str]) -> Rdata:
        """RFC 1035 section 3.3.14: one string at least."""
        if not fields:
            raise IndexError
        return TXT(tuple(_bytes_of(each.removeprefix('"')) for each in fields))

    def name(self, fields: list[str]) -> str:
        """A record that is a name."""
        return self._absolute(fields[0])


def _number(word: str, bits: int) -> int:
    number = int(word) if word.isascii() and word.isdigit() else -1
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{word!r} is no number of {bits} bits")
    return number


def _bytes_of(text: str) -> bytes:
    """Return a string's bytes, escapes undone; what is not ASCII is UTF-8."""
    out, end = bytearray(), 0
    for match in _ESCAPE.finditer(text):
        number, plain = match.groups()
        if number and int(number) > 255:
            raise ValueError(f"\\{number} is no byte")
        out += text[end : match.start()].encode() + (bytes([int(number)]) if number else plain.encode())
        end = match.end()
    out += text[end:].encode()
    if len(out) > 255:
        raise ValueError(f"a string of {len(out)} bytes has more than 255")
    return bytes(out)


_READERS: Final[dict[str, tuple[int | None, Callable[[_Reader, list[str]], Rdata]]]] = {
    "A": (1, lambda _, fields: A(IPv4Address(fields[0]))),
    "AAAA": (1, lambda _, fields: AAAA(IPv6Address(fields[0]))),
    "CNAME": (1, lambda reader, fields: CNAME(reader.name(fields))),
    "NS": (1, lambda reader, fields: NS(reader.name(fields))),
    "PTR": (1, lambda reader, fields: PTR(reader.name(fields))),
    "MX": (2, _Reader.mx),
    "TXT": (None, _Reader.text),
    "SOA": (7, _Reader.soa),
    "SRV": (4, _Reader.srv),
}
