"""Options of neighbor discovery: what routers and hosts of an IPv6 link tell about themselves and the link.

Source: RFC 4861 section 4.6; RFC 8106 for name servers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final, TypeAlias

from portside.errors import MalformedMessage
from portside.wire.ethernet import MacAddress
from portside.wire.malformed import Bytes, packed, require

UNIT_BYTES: Final = 8  # an option's length counts these
FOREVER_S: Final = 0xFFFF_FFFF  # the lifetime that never ends

SOURCE_LINK_LAYER: Final = 1
TARGET_LINK_LAYER: Final = 2
PREFIX: Final = 3
REDIRECTED: Final = 4
MTU: Final = 5
NAME_SERVERS: Final = 25

# prefix length, flags, valid lifetime, preferred lifetime, prefix
_PREFIX: Final = struct.Struct("!BBII4x16s")
_MTU: Final = struct.Struct("!2xI")
_LIFETIME: Final = struct.Struct("!2xI")
_ON_LINK: Final = 0x80
_AUTONOMOUS: Final = 0x40


@dataclass(frozen=True, slots=True)
class LinkLayerAddress:
    """The Ethernet address of the message's sender, or with ``is_target`` of the address that is talked about."""

    mac: MacAddress
    is_target: bool = False


@dataclass(frozen=True, slots=True)
class PrefixInformation:
    """Addresses of this prefix are on the link; hosts may make themselves one (SLAAC) if it is ``is_autonomous``."""

    prefix: IPv6Address
    prefix_length: int
    valid_s: int
    preferred_s: int
    is_on_link: bool = True
    is_autonomous: bool = True
    more_flags: int = 0  # six bits of the flags that are for others to define (RFC 6275: R)


@dataclass(frozen=True, slots=True)
class LinkMtu:
    """The largest packet of the link."""

    mtu_bytes: int


@dataclass(frozen=True, slots=True)
class NameServers:
    """Who resolves names here, and for how long that can be believed: RFC 8106 section 5.1."""

    lifetime_s: int
    servers: tuple[IPv6Address, ...]


@dataclass(frozen=True, slots=True)
class RedirectedPacket:
    """The beginning of the packet that was redirected, filled up to a multiple of eight bytes."""

    original: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnknownNeighborOption:
    """Another option, or one whose length is not its own: what follows its length byte, a multiple of 8 less 2."""

    kind: int
    data: bytes


NeighborOption: TypeAlias = (
    LinkLayerAddress | PrefixInformation | LinkMtu | NameServers | RedirectedPacket | UnknownNeighborOption
)


def parse_neighbor_options(data: Bytes) -> tuple[NeighborOption, ...]:
    """Return the options that fill the bytes to their end.

    Shape:  number (1), length (1) in units of eight bytes with these two, and what it holds.
    Raises: Truncated; MalformedMessage for a length of 0 (RFC 4861 section 4.6).
    """
    options, at = [], 0
    while at < len(data):
        require(data, at + 2, "ICMPv6 option")
        kind, length = data[at], data[at + 1] * UNIT_BYTES
        if length == 0:
            raise MalformedMessage(f"ICMPv6: option {kind} says it has no bytes")
        require(data, at + length, "ICMPv6 option")
        options.append(_parse_option(kind, bytes(data[at + 2 : at + length])))
        at += length
    return tuple(options)


def _parse_option(kind: int, data: bytes) -> NeighborOption:
    match kind, len(data):
        case 1 | 2, 6:
            return LinkLayerAddress(MacAddress(data), is_target=kind == TARGET_LINK_LAYER)
        case 3, _PREFIX.size:
            length, flags, valid_s, preferred_s, prefix = _PREFIX.unpack(data)
            on_link, autonomous = bool(flags & _ON_LINK), bool(flags & _AUTONOMOUS)
            return PrefixInformation(
                IPv6Address(prefix), length, valid_s, preferred_s, on_link, autonomous, flags & 0x3F
            )
        case 4, size if size >= UNIT_BYTES - 2:
            return RedirectedPacket(data[6:])
        case 5, _MTU.size:
            return LinkMtu(*_MTU.unpack(data))
        case 25, size if size % 16 == _LIFETIME.size and size > _LIFETIME.size:
            servers = tuple(IPv6Address(data[at : at + 16]) for at in range(_LIFETIME.size, size, 16))
            return NameServers(_LIFETIME.unpack_from(data)[0], servers)
    return UnknownNeighborOption(kind, data)


def build_neighbor_options(options: Iterable[NeighborOption]) -> bytes:
    """Return the options one after the other. Raises: ValueError for what does not fit its field."""
    return b"".join(_framed(*_PARTS[type(option)](option)) for option in options)


def _framed(kind: int, data: bytes) -> bytes:
    units, rest = divmod(2 + len(data), UNIT_BYTES)
    if rest or not 0 < units < 1 << 8 or not 0 <= kind < 1 << 8:
        raise ValueError(f"ICMPv6: no option {kind} has {len(data)} bytes: with two more they are units of eight")
    return bytes([kind, units]) + data


def _prefix_parts(option: PrefixInformation) -> tuple[int, bytes]:
    flags = (_ON_LINK if option.is_on_link else 0) | (_AUTONOMOUS if option.is_autonomous else 0) | option.more_flags
    numbers = (option.prefix_length, flags, option.valid_s, option.preferred_s, option.prefix.packed)
    return PREFIX, packed(_PREFIX, "ICMPv6 prefix", *numbers)


def _redirected_parts(option: RedirectedPacket) -> tuple[int, bytes]:
    return REDIRECTED, bytes(6) + option.original + bytes(-len(option.original) % UNIT_BYTES)


def _name_server_parts(option: NameServers) -> tuple[int, bytes]:
    lifetime = packed(_LIFETIME, "ICMPv6 name servers", option.lifetime_s)
    return NAME_SERVERS, lifetime + b"".join(server.packed for server in option.servers)


_PARTS: Final[dict[type, Callable[..., tuple[int, bytes]]]] = {
    LinkLayerAddress: lambda option: (1 + option.is_target, option.mac.packed),
    PrefixInformation: _prefix_parts,
    RedirectedPacket: _redirected_parts,
    LinkMtu: lambda option: (MTU, packed(_MTU, "ICMPv6 MTU", option.mtu_bytes)),
    NameServers: _name_server_parts,
    UnknownNeighborOption: lambda option: (option.kind, option.data),
}
