"""The headers between IPv6's own and the payload: options for routers or the target, routes, fragments.

Source: RFC 8200 section 4; RFC 2675 (jumbograms), RFC 2711 (router alert), RFC 5095 and RFC 8754 (routes).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, TypeAlias

from portside.errors import MalformedMessage
from portside.wire.malformed import Bytes, packed, require
from portside.wire.numbers import DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING

UNIT_BYTES: Final = 8  # an extension's length counts these, without the first
EXTENSIONS: Final = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION})
FRAGMENT_BYTES: Final = 8

PAD1: Final = 0
PADN: Final = 1
ROUTER_ALERT: Final = 5
JUMBO: Final = 0xC2
_OPTION_NAMES: Final = {PADN: "padding", 4: "tunnel limit", ROUTER_ALERT: "router alert", JUMBO: "jumbo payload"}

_FRAGMENT: Final = struct.Struct("!BxHI")  # next header, offset (13 bits) and flags, identification
_MORE: Final = 1


@dataclass(frozen=True, slots=True)
class IPv6Option:
    """One option of a hop-by-hop or destination header. The padding that a parser finds is not among them."""

    kind: int
    data: bytes = b""

    @property
    def name(self) -> str:
        return _OPTION_NAMES.get(self.kind, f"option {self.kind:#04x}")


@dataclass(frozen=True, slots=True)
class HopByHop:
    """Options for every router on the way."""

    options: tuple[IPv6Option, ...] = ()

    @property
    def jumbo_bytes(self) -> int | None:
        """The payload's length where it is more than 16 bits say: RFC 2675 section 2."""
        found = [option.data for option in self.options if option.kind == JUMBO and len(option.data) == 4]
        return int.from_bytes(found[0], "big") if found else None


@dataclass(frozen=True, slots=True)
class DestinationOptions:
    """Options for the target alone, or before a routing header for each station."""

    options: tuple[IPv6Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Routing:
    """The stations still to be visited, in a layout that the kind gives. ``data`` is what follows the fourth byte."""

    kind: int
    segments_left: int
    data: bytes = bytes(4)

    @property
    def stations(self) -> tuple[IPv6Address, ...]:
        """The addresses of kind 0 (refused since RFC 5095), 2 (RFC 6275) and 4 (RFC 8754); none for others."""
        count = (len(self.data) - 4) // 16
        if self.kind == 4:
            count = min(count, self.data[0] + 1)
        elif self.kind not in {0, 2}:
            return ()
        return tuple(IPv6Address(self.data[4 + at * 16 : 20 + at * 16]) for at in range(count))


@dataclass(frozen=True, slots=True)
class Fragment:
    """The packet is a piece of a larger one. ``offset`` counts bytes of what follows, and is a multiple of eight."""

    identification: int
    offset: int = 0
    more: bool = False


Extension: TypeAlias = HopByHop | DestinationOptions | Routing | Fragment


@dataclass(frozen=True, slots=True)
class FoundExtension:
    """An extension in the bytes it was found in, and what follows it."""

    extension: Extension
    size_bytes: int
    next_header: int


def parse_extension(number: int, data: Bytes) -> FoundExtension:
    """Return the extension of that number, one of ``EXTENSIONS``, that the bytes begin with.

    Shape:  next header (1), length (1) in units of eight bytes beyond the first, and what it holds; a fragment header
            has always eight.
    Raises: Truncated; MalformedMessage for options that do not fit.
    """
    require(data, UNIT_BYTES, "IPv6 extension")
    if number == FRAGMENT:
        next_header, word, identification = _FRAGMENT.unpack_from(data)
        fragment = Fragment(identification, word & ~0b111, bool(word & _MORE))
        return FoundExtension(fragment, FRAGMENT_BYTES, next_header)
    size = (data[1] + 1) * UNIT_BYTES
    require(data, size, "IPv6 extension")
    body = bytes(data[2:size])
    if number == ROUTING:
        return FoundExtension(Routing(body[0], body[1], body[2:]), size, data[0])
    options = _parse_options(body)
    found = HopByHop(options) if number == HOP_BY_HOP else DestinationOptions(options)
    return FoundExtension(found, size, data[0])


def _parse_options(data: bytes) -> tuple[IPv6Option, ...]:
    options, at = [], 0
    while at < len(data):
        if data[at] == PAD1:
            at += 1
            continue
        end = at + 2 + data[at + 1] if at + 1 < len(data) else len(data) + 1
        if end > len(data):
            raise MalformedMessage(f"IPv6: option {data[at]:#04x} reaches past the end of its header")
        if data[at] != PADN:
            options.append(IPv6Option(data[at], data[at + 2 : end]))
        at = end
    return tuple(options)


def number_of(extension: Extension) -> int:
    """Return the number that says in the header before it that the extension follows."""
    return _NUMBERS[type(extension)]


_NUMBERS: Final[dict[type, int]] = {
    HopByHop: HOP_BY_HOP,
    DestinationOptions: DESTINATION,
    Routing: ROUTING,
    Fragment: FRAGMENT,
}


def build_extension(extension: Extension, next_header: int) -> bytes:
    """Return the bytes of the extension before a header of that number, options padded. Raises: ValueError."""
    if isinstance(extension, Fragment):
        offset = extension.offset
        if offset % UNIT_BYTES or not 0 <= offset < 1 << 16:
            raise ValueError(f"IPv6: the fragment offset {offset} is no multiple of 8 below 65,536")
        return packed(_FRAGMENT, "IPv6 fragment", next_header, offset | extension.more, extension.identification)
    body = _BODIES[type(extension)](extension)
    units, rest = divmod(2 + len(body), UNIT_BYTES)
    if rest or units > 1 << 8 or not 0 <= next_header < 1 << 8:
        raise ValueError(f"IPv6: an extension of {2 + len(body)} bytes is no number of eights up to 256")
    return bytes([next_header, units - 1]) + body


def _build_options(options: Iterable[IPv6Option]) -> bytes:
    data = b"".join(map(_build_option, options))
    missing = -(2 + len(data)) % UNIT_BYTES
    if missing == 1:
        return data + bytes([PAD1])
    return data + (bytes([PADN, missing - 2]) + bytes(missing - 2) if missing else b"")


def _build_option(option: IPv6Option) -> bytes:
    if not PADN < option.kind < 1 << 8 or len(option.data) >= 1 << 8:
        raise ValueError(f"IPv6: no option {option.kind} with {len(option.data)} bytes")
    return bytes([option.kind, len(option.data)]) + option.data


def _build_routing(extension: Routing) -> bytes:
    if not (0 <= extension.kind < 1 << 8 and 0 <= extension.segments_left < 1 << 8):
        raise ValueError(f"IPv6: no route of kind {extension.kind} has {extension.segments_left} segments left")
    return bytes([extension.kind, extension.segments_left]) + extension.data


_BODIES: Final[dict[type, Callable[..., bytes]]] = {
    HopByHop: lambda extension: _build_options(extension.options),
    DestinationOptions: lambda extension: _build_options(extension.options),
    Routing: _build_routing,
}
