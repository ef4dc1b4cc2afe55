"""Parts of a file: what a Range asks for, and the messages in which several parts travel. RFC 9110 section 14."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, NamedTuple

RANGES_MAX: Final = 64  # of one request; whoever wants more gets the whole file
_HEADER_BYTES_MAX: Final = 4_096

_SET: Final = re.compile(rb"\s*bytes\s*=(.*)", re.IGNORECASE | re.DOTALL)
_SPEC: Final = re.compile(rb"(\d*)\s*-\s*(\d*)")
_DIGITS_MAX: Final = 18  # of a number: no file is as long as a larger one says

# Parts with less between them are sent as one: the lines before each take as much (RFC 9110 section 15.3.7.2).
_GAP_BYTES: Final = 80


class Part(NamedTuple):
    """The bytes of a file from ``start`` to before ``end``."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """No byte that was asked for is there."""


def parse_range(text: bytes, size_bytes: int) -> tuple[Part, ...] | None:
    """Return the parts of a file of that size, None where the header is to be ignored.

    So it is where it is no range of bytes, ill-formed, or of more parts than anybody needs. Parts come in the order
    in which they were asked for; where some overlap, or nearly touch, all are put in the file's order and joined. So
    no byte is sent twice. Raises: Unsatisfiable.
    """
    match = _SET.fullmatch(text) if len(text) <= _HEADER_BYTES_MAX else None
    if match is None:
        return None
    specs = [spec for item in match[1].split(b",") if (spec := item.strip())]
    if not specs or len(specs) > RANGES_MAX:
        return None
    parts = []
    for spec in specs:
        numbers = _SPEC.fullmatch(spec)
        if numbers is None:
            return None
        first, last = numbers.groups()
        if not (first or last) or max(len(first), len(last)) > _DIGITS_MAX:
            return None
        if first and last and int(last) < int(first):
            return None
        part = _part_of(first, last, size_bytes)
        if part is not None:
            parts.append(part)
    if not parts:
        raise Unsatisfiable
    return _joined(parts)


def _part_of(first: bytes, last: bytes, size_bytes: int) -> Part | None:
    """Return what there is of the part, None if there is nothing."""
    if not first:
        count = min(int(last), size_bytes)
        return Part(size_bytes - count, size_bytes) if count else None
    start = int(first)
    end = min(int(last) + 1, size_bytes) if last else size_bytes
    return Part(start, end) if start < end else None


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    in_order = sorted(parts)
    if all(one.end + _GAP_BYTES <= next_.start for one, next_ in pairwise(in_order)):
        return tuple(parts)
    joined = [in_order[0]]
    for part in in_order[1:]:
        last = joined[-1]
        if part.start < last.end + _GAP_BYTES:
            joined[-1] = Part(last.start, max(last.end, part.end))
        else:
            joined.append(part)
    return tuple(joined)


def build_content_range(part: Part, size_bytes: int) -> bytes:
    """Return ``bytes 0-499/1234``."""
    return b"bytes %d-%d/%d" % (part.start, part.end - 1, size_bytes)


def build_unsatisfied_range(size_bytes: int) -> bytes:
    """Return what goes with 416: how long the file is."""
    return b"bytes */%d" % size_bytes


def build_part_head(part: Part, size_bytes: int, media_type: bytes, boundary: bytes) -> bytes:
    """Return the lines before a part of a multipart/byteranges, RFC 9110 section 14.6."""
    return b"\r\n--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n" % (
        boundary,
        media_type,
        build_content_range(part, size_bytes),
    )


def build_parts_end(boundary: bytes) -> bytes:
    """Return the line after the last part."""
    return b"\r\n--%b--\r\n" % boundary
