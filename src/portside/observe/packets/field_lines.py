"""What a header's fields are told with: lines that know their bytes, and what a field must know beside its header."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from portside.observe.packets.checksums import checksum_words
from portside.observe.packets.dissect import Dissected, Layer
from portside.observe.packets.flows import Relative


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field: its bytes are ``size_bytes`` from ``start`` in the packet."""

    name: str
    start: int
    size_bytes: int
    text: str


@dataclass(slots=True)
class Fields:
    """Fields of a header in the making, one behind the other."""

    at: int
    lines: list[FieldLine] = field(default_factory=list)

    def add(self, name: str, size_bytes: int, text: object) -> None:
        self.lines.append(FieldLine(name, self.at, size_bytes, str(text)))
        self.at += size_bytes


@dataclass(frozen=True, slots=True)
class Context:
    """What a header's fields need to know beside it: the packet, and where a segment is in its connection."""

    dissected: Dissected
    layer: Layer
    relative: Relative | None = None

    def checksum(self, number: int | None) -> str:
        """Return the checksum, and whether it is right where that can be said."""
        words = checksum_words(self.dissected, self.layer)
        return f"{number or 0:#06x}" + (f", {words}" if words else "")

    @property
    def header(self) -> bytes:
        return self.dissected.packet.data[self.layer.start : self.layer.body]


Teller: TypeAlias = Callable[[Any, Fields, Context], None]


def with_name(number: int, name: str) -> str:
    """Return a number with the word for it."""
    return f"{number} {name}".rstrip()
