"""Domain names in DNS messages, and the reading and writing of what stands around them.

A name is text here, as zone files write it: labels with a dot behind each, ``.`` for the root, and a backslash before
a dot within a label, or before three decimal digits for a byte that is not to be seen.

Source: RFC 1035 sections 3.1, 4.1.4 and 5.1; RFC 4343 section 2.1.
"""

from __future__ import annotations

import re
from typing import Final

from portside.errors import MalformedMessage
from portside.wire.malformed import Truncated

LABEL_BYTES_MAX: Final = 63
NAME_BYTES_MAX: Final = 255  # with the length bytes of all labels, and the root's
STRING_BYTES_MAX: Final = 255
MESSAGE_BYTES_MAX: Final = 65_535  # what two bytes of length say before a message over TCP

_POINTER: Final = 0xC0
_POINTER_MAX: Final = 0x3FFF
_PLAIN: Final = re.compile(rb"[A-Za-z0-9_-]+")
_PIECES: Final = re.compile(r"\\([0-9]{3})|\\([^0-9])|([^\\.])|(\.)", re.DOTALL)


def labels_of(name: str) -> list[bytes]:
    """Return the labels of a name, without the root's; a dot at its end may be missing.

    Raises: ValueError for an empty label, one of more than 63 bytes, a name of more than 255, a lone backslash.
    """
    if name in {"", "."}:
        return []
    labels, label, end = [], bytearray(), 0
    for piece in _PIECES.finditer(name):
        if piece.start() != end:
            break
        number, escaped, plain, dot = piece.groups()
        if dot:
            labels.append(bytes(label))
            label.clear()
        else:
            label += bytes([int(number)]) if number and int(number) < 256 else (escaped or plain or "?" * 999).encode()
        end = piece.end()
    if not name.endswith(".") or label:
        labels.append(bytes(label))
    if end != len(name) or any(not 0 < len(each) <= LABEL_BYTES_MAX for each in labels):
        raise ValueError(f"{name!r} is no domain name: a label has 1 to {LABEL_BYTES_MAX} bytes")
    if sum(map(len, labels)) + len(labels) + 1 > NAME_BYTES_MAX:
        raise ValueError(f"{name!r} is no domain name: it has more than {NAME_BYTES_MAX} bytes")
    return labels


def name_of(labels: list[bytes]) -> str:
    """Return the name as text, its dot at the end."""
    return "".join(f"{_label_text(label)}." for label in labels) or "."


def _label_text(label: bytes) -> str:
    if _PLAIN.fullmatch(label):
        return label.decode("ascii")
    return "".join(_byte_text(byte) for byte in label)


def _byte_text(byte: int) -> str:
    if byte in b'.\\"();@$':
        return f"\\{chr(byte)}"
    return chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03}"


class Reader:
    """A place in a message, and the end of what may be read from there. Names may point back to before it.

    Raises: Truncated past the end; MalformedMessage for names that cannot be.
    """

    def __init__(self, message: bytes, at: int = 0, end: int | None = None) -> None:
        self.message = message
        self.at = at
        self.end = len(message) if end is None else end
        self._known: dict[int, list[bytes]] = {}  # the labels behind places that were pointed to

    @property
    def left_bytes(self) -> int:
        return self.end - self.at

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if count > self.left_bytes:
            raise Truncated("DNS", self.end, self.at + count)
        self.at += count
        return self.message[self.at - count : self.at]

    def number(self, size_bytes: int) -> int:
        return int.from_bytes(self.take(size_bytes), "big")

    def rest(self) -> bytes:
        return self.take(self.left_bytes)

    def string(self) -> bytes:
        """Return what follows a byte that is its length: RFC 1035 section 3.3, a character string."""
        return self.take(self.number(1))

    def part(self, size_bytes: int) -> Reader:
        """Return a reader of the next bytes alone, and go on behind them."""
        start = self.at
        self.take(size_bytes)
        part = Reader(self.message, start, self.at)
        part._known = self._known
        return part

    def name(self) -> str:
        """Return the name that begins here, wherever it goes on."""
        return name_of(self._labels())

    def _labels(self) -> list[bytes]:
        # A pointer leads to before what it continues (RFC 1035 section 4.1.4, "a prior occurrence"): no ring of them
        # can be followed for ever. And no place is followed to twice, or a message of 64 KiB could ask for a minute.
        labels: list[bytes] = []
        jumps: list[tuple[int, int]] = []
        size, reader, before = 1, self, self.at
        while head := reader.number(1):
            if head & _POINTER == _POINTER:
                target = (head & ~_POINTER) << 8 | reader.number(1)
                if target >= before:
                    raise MalformedMessage(f"DNS: a name points ahead, from {before} to {target}")
                jumps.append((target, len(labels)))
                known = self._known.get(target)
                if known is not None:
                    labels += known
                    break
                reader, before = Reader(self.message, target), target
            elif head & _POINTER:
                raise MalformedMessage(f"DNS: a label begins with {head:#04x} (none does any more: RFC 6891 section 5)")
            else:
                labels.append(reader.take(head))
                size += 1 + head
            if size > NAME_BYTES_MAX:
                break
        if sum(map(len, labels)) + len(labels) + 1 > NAME_BYTES_MAX:
            raise MalformedMessage(f"DNS: a name has more than {NAME_BYTES_MAX} bytes")
        self._known.update((target, labels[count:]) for target, count in jumps)
        return labels


class Writer:
    """A message in the making, which knows where each name in it stands. Raises: ValueError for what does not fit."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._places: dict[tuple[bytes, ...], int] = {}

    def add(self, data: bytes) -> None:
        self.data += data

    def number(self, number: int, size_bytes: int) -> None:
        if not 0 <= number < 1 << 8 * size_bytes:
            raise ValueError(f"DNS: {number} does not fit in {size_bytes} bytes")
        self.data += number.to_bytes(size_bytes, "big")

    def string(self, text: bytes) -> None:
        if len(text) > STRING_BYTES_MAX:
            raise ValueError(f"DNS: a string of {len(text)} bytes has more than {STRING_BYTES_MAX}")
        self.data += bytes([len(text)]) + text

    def name(self, name: str, *, compress: bool = True) -> None:
        """Write the name; with ``compress``, as much of its end as stands in the message already is pointed at."""
        labels = tuple(labels_of(name))
        for at in range(len(labels)):
            place = self._places.get(labels[at:])
            if place is not None and compress:
                self.number(_POINTER << 8 | place, 2)
                return
            if place is None and len(self.data) <= _POINTER_MAX:
                self._places[labels[at:]] = len(self.data)
            self.string(labels[at])
        self.data += b"\0"

    def hold(self, size_bytes: int) -> int:
        """Leave room for a number that is known later, and return where: see ``fill``."""
        self.data += bytes(size_bytes)
        return len(self.data)

    def fill(self, start: int, size_bytes: int) -> None:
        """Write how many bytes there are since ``hold`` into the room that it left."""
        length = len(self.data) - start
        if length >= 1 << 8 * size_bytes:
            raise ValueError(f"DNS: {length} bytes are more than a record can have")
        self.data[start - size_bytes : start] = length.to_bytes(size_bytes, "big")
