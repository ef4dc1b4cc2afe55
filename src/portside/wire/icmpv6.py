"""ICMPv6: errors and pings of IPv6, and the discovery of neighbors and routers that replaces ARP.

Source: RFC 4443 (errors, echo), RFC 4861 (neighbor discovery), RFC 2710 and RFC 9777 (multicast listeners, by name).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final, TypeAlias

from portside.address import IPAddress
from portside.wire.checksum import internet_checksum, pseudo_header_sum, verify_checksum
from portside.wire.icmp import Echo
from portside.wire.malformed import Bytes, packed, require
from portside.wire.neighbor import NeighborOption, build_neighbor_options, parse_neighbor_options
from portside.wire.numbers import ICMPV6

_LAYOUT: Final = struct.Struct("!BBH4s")  # type, code, checksum, and four bytes whose meaning the type gives
_PAIR: Final = struct.Struct("!HH")
_NUMBER: Final = struct.Struct("!I")
_ROUTER: Final = struct.Struct("!BBHII")  # hop limit, flags, lifetime, reachable time, time between solicitations
HEADER_BYTES: Final = _LAYOUT.size
CHECKSUM_OFFSET: Final = 2
_ADDRESS_BYTES: Final = 16

UNREACHABLE: Final = 1
PACKET_TOO_BIG: Final = 2
TIME_EXCEEDED: Final = 3
PARAMETER_PROBLEM: Final = 4
ECHO_REQUEST: Final = 128
ECHO_REPLY: Final = 129
ROUTER_SOLICITATION: Final = 133
ROUTER_ADVERTISEMENT: Final = 134
NEIGHBOR_SOLICITATION: Final = 135
NEIGHBOR_ADVERTISEMENT: Final = 136
REDIRECT: Final = 137

PORT_UNREACHABLE: Final = 4

TYPE_NAMES: Final = {
    UNREACHABLE: "unreachable",
    PACKET_TOO_BIG: "packet too big",
    TIME_EXCEEDED: "time exceeded",
    PARAMETER_PROBLEM: "parameter problem",
    ECHO_REQUEST: "echo request",
    ECHO_REPLY: "echo reply",
    130: "multicast listener query",
    131: "multicast listener report",
    132: "multicast listener done",
    ROUTER_SOLICITATION: "router solicitation",
    ROUTER_ADVERTISEMENT: "router advertisement",
    NEIGHBOR_SOLICITATION: "neighbor solicitation",
    NEIGHBOR_ADVERTISEMENT: "neighbor advertisement",
    REDIRECT: "redirect",
    143: "multicast listener report, version 2",
}
ERROR_WORDS: Final = {
    UNREACHABLE: (
        "no route to the network",
        "prohibited by a filter",
        "beyond the scope of the source",
        "host unreachable",
        "port unreachable",
        "the source address failed a policy",
        "the route is rejected",
        "an error in the source route",
    ),
    PACKET_TOO_BIG: ("packet too big",),
    TIME_EXCEEDED: ("hop limit exceeded", "reassembly time exceeded"),
    PARAMETER_PROBLEM: ("wrong header field at", "unknown next header at", "unknown option at", "fragments overrun at"),
}
_IS_ROUTER: Final = 0x8000_0000
_IS_SOLICITED: Final = 0x4000_0000
_IS_OVERRIDE: Final = 0x2000_0000
_MANAGED: Final = 0x80
_OTHER: Final = 0x40


@dataclass(frozen=True, slots=True)
class Icmpv6Error:
    """Why a packet did not arrive, with its beginning.

    ``number`` is the MTU in bytes in packet too big, the offset of what is wrong in parameter problem, else unused.
    """

    type: int
    code: int
    number: int = 0
    original: bytes = field(default=b"", repr=False)

    @property
    def words(self) -> str:
        words = ERROR_WORDS[self.type]
        said = words[self.code] if self.code < len(words) else f"{TYPE_NAMES[self.type]}, code {self.code}"
        if self.type == PACKET_TOO_BIG:
            return f"{said}, at most {self.number} bytes"
        return f"{said} byte {self.number}" if self.type == PARAMETER_PROBLEM else said


@dataclass(frozen=True, slots=True)
class RouterSolicitation:
    """Which routers are there?"""

    options: tuple[NeighborOption, ...] = ()


@dataclass(frozen=True, slots=True)
class RouterAdvertisement:
    """A router tells its link. A ``lifetime_s`` of 0: not as a default router. ``more_flags`` are the other six."""

    hop_limit: int = 0
    is_managed: bool = False
    has_other_configuration: bool = False
    lifetime_s: int = 0
    reachable_ms: int = 0
    retransmit_ms: int = 0
    options: tuple[NeighborOption, ...] = ()
    more_flags: int = 0


@dataclass(frozen=True, slots=True)
class NeighborSolicitation:
    """Who has this address?"""

    target: IPv6Address
    options: tuple[NeighborOption, ...] = ()


@dataclass(frozen=True, slots=True)
class NeighborAdvertisement:
    """I have this address; my Ethernet address is among the options."""

    target: IPv6Address
    is_router: bool = False
    is_solicited: bool = False
    is_override: bool = False
    options: tuple[NeighborOption, ...] = ()


@dataclass(frozen=True, slots=True)
class RedirectV6:
    """Send to ``target`` what is for ``destination``: a better router, or the destination itself if they are one."""

    target: IPv6Address
    destination: IPv6Address
    options: tuple[NeighborOption, ...] = ()


@dataclass(frozen=True, slots=True)
class OtherIcmpv6:
    """A message of another type: everything behind its checksum."""

    type: int
    code: int
    payload: bytes = field(default=b"", repr=False)


Icmpv6: TypeAlias = (
    Echo
    | Icmpv6Error
    | RouterSolicitation
    | RouterAdvertisement
    | NeighborSolicitation
    | NeighborAdvertisement
    | RedirectV6
    | OtherIcmpv6
)


def parse_icmpv6(data: Bytes, *, source: IPAddress | None = None, target: IPAddress | None = None) -> Icmpv6:
    """Return the message carried in the payload of an IPv6 packet; with both addresses the checksum is verified.

    Shape:  type (1), code (1), checksum (2), and what the type has.
    Raises: Truncated; BadChecksum; MalformedMessage for options that do not fit.
    """
    require(data, _LAYOUT.size - 4, "ICMPv6")
    if source is not None and target is not None:
        start = pseudo_header_sum(source, target, ICMPV6, len(data))
        verify_checksum("ICMPv6", data, CHECKSUM_OFFSET, start)
    kind, code = data[0], data[1]
    if kind not in _PARSERS:
        return OtherIcmpv6(kind, code, bytes(data[4:]))
    require(data, HEADER_BYTES, "ICMPv6")
    return _PARSERS[kind](kind, code, bytes(data[4:]))


def _parse_error(kind: int, code: int, body: bytes) -> Icmpv6:
    return Icmpv6Error(kind, code, _NUMBER.unpack_from(body)[0], body[4:])


def _parse_echo(kind: int, code: int, body: bytes) -> Icmpv6:
    identifier, sequence = _PAIR.unpack_from(body)
    return Echo(identifier, sequence, body[4:], is_reply=kind == ECHO_REPLY, code=code)


def _parse_router_solicitation(_: int, __: int, body: bytes) -> Icmpv6:
    return RouterSolicitation(parse_neighbor_options(body[4:]))


def _parse_router_advertisement(_: int, __: int, body: bytes) -> Icmpv6:
    require(body, _ROUTER.size, "ICMPv6 router advertisement")
    hop_limit, flags, lifetime_s, reachable_ms, retransmit_ms = _ROUTER.unpack_from(body)
    return RouterAdvertisement(
        hop_limit,
        bool(flags & _MANAGED),
        bool(flags & _OTHER),
        lifetime_s,
        reachable_ms,
        retransmit_ms,
        parse_neighbor_options(body[_ROUTER.size :]),
        flags & 0x3F,
    )


def _parse_neighbor_solicitation(_: int, __: int, body: bytes) -> Icmpv6:
    require(body, 4 + _ADDRESS_BYTES, "ICMPv6 neighbor solicitation")
    return NeighborSolicitation(IPv6Address(body[4:20]), parse_neighbor_options(body[20:]))


def _parse_neighbor_advertisement(_: int, __: int, body: bytes) -> Icmpv6:
    require(body, 4 + _ADDRESS_BYTES, "ICMPv6 neighbor advertisement")
    (flags,) = _NUMBER.unpack_from(body)
    return NeighborAdvertisement(
        IPv6Address(body[4:20]),
        bool(flags & _IS_ROUTER),
        bool(flags & _IS_SOLICITED),
        bool(flags & _IS_OVERRIDE),
        parse_neighbor_options(body[20:]),
    )


def _parse_redirect(_: int, __: int, body: bytes) -> Icmpv6:
    require(body, 4 + 2 * _ADDRESS_BYTES, "ICMPv6 redirect")
    return RedirectV6(IPv6Address(body[4:20]), IPv6Address(body[20:36]), parse_neighbor_options(body[36:]))


_PARSERS: Final[dict[int, Callable[[int, int, bytes], Icmpv6]]] = {
    **dict.fromkeys(ERROR_WORDS, _parse_error),
    ECHO_REQUEST: _parse_echo,
    ECHO_REPLY: _parse_echo,
    ROUTER_SOLICITATION: _parse_router_solicitation,
    ROUTER_ADVERTISEMENT: _parse_router_advertisement,
    NEIGHBOR_SOLICITATION: _parse_neighbor_solicitation,
    NEIGHBOR_ADVERTISEMENT: _parse_neighbor_advertisement,
    REDIRECT: _parse_redirect,
}


def build_icmpv6(message: Icmpv6, *, source: IPAddress, target: IPAddress) -> bytes:
    """Return the bytes of the message between these addresses, its checksum computed. Raises: ValueError."""
    kind, code, body = _PARTS[type(message)](message)
    if not (0 <= kind < 1 << 8 and 0 <= code < 1 << 8):
        raise ValueError(f"ICMPv6: type {kind} or code {code} does not fit in a byte")
    head = bytes([kind, code])
    start = pseudo_header_sum(source, target, ICMPV6, 4 + len(body))
    checksum = internet_checksum(head + bytes(2) + body, start)
    return head + checksum.to_bytes(2, "big") + body


def _error_parts(message: Icmpv6Error) -> tuple[int, int, bytes]:
    return message.type, message.code, packed(_NUMBER, "ICMPv6 error", message.number) + message.original


def _echo_parts(message: Echo) -> tuple[int, int, bytes]:
    kind = ECHO_REPLY if message.is_reply else ECHO_REQUEST
    return kind, message.code, packed(_PAIR, "ICMPv6 echo", message.identifier, message.sequence) + message.payload


def _router_advertisement_parts(message: RouterAdvertisement) -> tuple[int, int, bytes]:
    flags = (_MANAGED if message.is_managed else 0) | (_OTHER if message.has_other_configuration else 0)
    numbers = (message.lifetime_s, message.reachable_ms, message.retransmit_ms)
    fixed = packed(_ROUTER, "ICMPv6 router advertisement", message.hop_limit, flags | message.more_flags, *numbers)
    return ROUTER_ADVERTISEMENT, 0, fixed + build_neighbor_options(message.options)


def _neighbor_advertisement_parts(message: NeighborAdvertisement) -> tuple[int, int, bytes]:
    flags = (
        (_IS_ROUTER if message.is_router else 0)
        | (_IS_SOLICITED if message.is_solicited else 0)
        | (_IS_OVERRIDE if message.is_override else 0)
    )
    options = build_neighbor_options(message.options)
    return NEIGHBOR_ADVERTISEMENT, 0, _NUMBER.pack(flags) + message.target.packed + options


_PARTS: Final[dict[type, Callable[..., tuple[int, int, bytes]]]] = {
    Echo: _echo_parts,
    Icmpv6Error: _error_parts,
    RouterSolicitation: lambda message: (
        ROUTER_SOLICITATION,
        0,
        bytes(4) + build_neighbor_options(message.options),
    ),
    RouterAdvertisement: _router_advertisement_parts,
    NeighborSolicitation: lambda message: (
        NEIGHBOR_SOLICITATION,
        0,
        bytes(4) + message.target.packed + build_neighbor_options(message.options),
    ),
    NeighborAdvertisement: _neighbor_advertisement_parts,
    RedirectV6: lambda message: (
        REDIRECT,
        0,
        bytes(4) + message.target.packed + message.destination.packed + build_neighbor_options(message.options),
    ),
    OtherIcmpv6: lambda message: (message.type, message.code, message.payload),
}
