"""ICMP for IPv4: is anybody there, and why a packet did not arrive.

Source: RFC 792; RFC 1191 (the next hop's MTU), RFC 1256 (router discovery), RFC 1812 section 5.2.7 (codes).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final, TypeAlias

from portside.wire.checksum import internet_checksum, verify_checksum
from portside.wire.malformed import Bytes, packed, require

_LAYOUT: Final = struct.Struct("!BBH4s")  # type, code, checksum, and four bytes whose meaning the type gives
_PAIR: Final = struct.Struct("!HH")
HEADER_BYTES: Final = _LAYOUT.size
CHECKSUM_OFFSET: Final = 2

ECHO_REPLY: Final = 0
UNREACHABLE: Final = 3
REDIRECT: Final = 5
ECHO_REQUEST: Final = 8
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12

# Codes of an unreachable destination.
NET_UNREACHABLE: Final = 0
HOST_UNREACHABLE: Final = 1
PROTOCOL_UNREACHABLE: Final = 2
PORT_UNREACHABLE: Final = 3
FRAGMENTATION_NEEDED: Final = 4

TYPE_NAMES: Final = {
    ECHO_REPLY: "echo reply",
    UNREACHABLE: "unreachable",
    4: "source quench",  # deprecated by RFC 6633
    REDIRECT: "redirect",
    ECHO_REQUEST: "echo request",
    9: "router advertisement",
    10: "router solicitation",
    TIME_EXCEEDED: "time exceeded",
    PARAMETER_PROBLEM: "parameter problem",
    13: "timestamp request",
    14: "timestamp reply",
}
_UNREACHABLE_WORDS: Final = (
    "network unreachable",
    "host unreachable",
    "protocol unreachable",
    "port unreachable",
    "fragmentation needed",
    "source route failed",
    "network unknown",
    "host unknown",
    "host isolated",
    "network prohibited",
    "host prohibited",
    "network unreachable for this service",
    "host unreachable for this service",
    "prohibited by a filter",
    "precedence violated",
    "precedence too low",
)
_REDIRECT_WORDS: Final = ("the network", "the host", "the network and service", "the host and service")
_EXCEEDED_WORDS: Final = ("time to live exceeded", "reassembly time exceeded")
_PROBLEM_WORDS: Final = ("wrong at", "an option is missing", "a length is wrong")


@dataclass(frozen=True, slots=True)
class Echo:
    """A ping, or with ``is_reply`` its answer, which sends identifier, sequence and payload back."""

    identifier: int
    sequence: int
    payload: bytes = field(default=b"", repr=False)
    is_reply: bool = False
    code: int = 0


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A packet did not arrive, whose beginning is quoted.

    ``mtu_bytes`` is what the next hop takes, where fragmentation would be needed (RFC 1191), 0 if that is not said.
    ``quoted_words`` counts words of four bytes of the packet, if something follows it (RFC 4884), else 0.
    """

    code: int
    original: bytes = field(default=b"", repr=False)
    mtu_bytes: int = 0
    quoted_words: int = 0

    @property
    def words(self) -> str:
        return _word(_UNREACHABLE_WORDS, self.code, "unreachable")


@dataclass(frozen=True, slots=True)
class TimeExceeded:
    """A packet has passed too many routers, or its fragments did not come together in time."""

    code: int
    original: bytes = field(default=b"", repr=False)
    quoted_words: int = 0

    @property
    def words(self) -> str:
        return _word(_EXCEEDED_WORDS, self.code, "time exceeded")


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """Something in a packet's header is wrong: ``pointer`` is the offset of the byte, with code 0."""

    code: int
    pointer: int
    original: bytes = field(default=b"", repr=False)
    quoted_words: int = 0

    @property
    def words(self) -> str:
        said = _word(_PROBLEM_WORDS, self.code, "parameter problem")
        return f"{said} byte {self.pointer}" if self.code == 0 else said


@dataclass(frozen=True, slots=True)
class Redirect:
    """There is a shorter way: send to this router of the same link."""

    code: int
    gateway: IPv4Address
    original: bytes = field(default=b"", repr=False)

    @property
    def words(self) -> str:
        return f"redirect for {_word(_REDIRECT_WORDS, self.code, 'something')} to {self.gateway}"


@dataclass(frozen=True, slots=True)
class OtherIcmp:
    """A message of another type: the four bytes behind its checksum, and what follows."""

    type: int
    code: int
    rest: bytes
    payload: bytes = field(default=b"", repr=False)


Icmp: TypeAlias = Echo | Unreachable | TimeExceeded | ParameterProblem | Redirect | OtherIcmp


def _word(words: tuple[str, ...], code: int, otherwise: str) -> str:
    return words[code] if 0 <= code < len(words) else f"{otherwise}, code {code}"


def parse_icmp(data: Bytes, *, verify: bool = False) -> Icmp:
    """Return the message carried in the payload of an IPv4 packet; with ``verify`` its checksum is checked.

    Shape:  type (1), code (1), checksum (2), four bytes by type, payload.
    Raises: Truncated within the eight bytes; BadChecksum.
    """
    require(data, HEADER_BYTES, "ICMP")
    if verify:
        verify_checksum("ICMP", data, CHECKSUM_OFFSET)
    kind, code, _, rest = _LAYOUT.unpack_from(data)
    payload = bytes(data[HEADER_BYTES:])
    match kind:
        case 0 | 8:
            identifier, sequence = _PAIR.unpack(rest)
            return Echo(identifier, sequence, payload, is_reply=kind == ECHO_REPLY, code=code)
        case 3:
            # RFC 1191 section 4: the lower half is the MTU, for code 4; RFC 4884 section 4.1 has the byte before it.
            return Unreachable(code, payload, _PAIR.unpack(rest)[1], rest[1])
        case 5:
            return Redirect(code, IPv4Address(rest), payload)
        case 11:
            return TimeExceeded(code, payload, rest[1])
        case 12:
            return ParameterProblem(code, rest[0], payload, rest[1])
    return OtherIcmp(kind, code, rest, payload)


def build_icmp(message: Icmp) -> bytes:
    """Return the bytes of the message, its checksum computed. Raises: ValueError."""
    kind, rest, payload = _PARTS[type(message)](message)
    head = packed(_LAYOUT, "ICMP", kind, message.code, 0, rest)
    checksum = internet_checksum(head + payload)
    return head[:CHECKSUM_OFFSET] + checksum.to_bytes(2, "big") + rest + payload


def _build_echo(message: Echo) -> tuple[int, bytes, bytes]:
    kind = ECHO_REPLY if message.is_reply else ECHO_REQUEST
    return kind, packed(_PAIR, "ICMP echo", message.identifier, message.sequence), message.payload


def _build_other(message: OtherIcmp) -> tuple[int, bytes, bytes]:
    if len(message.rest) != 4:
        raise ValueError(f"ICMP: {len(message.rest)} bytes are not the four behind the checksum")
    return message.type, message.rest, message.payload


_QUOTED: Final = struct.Struct("!xBH")
_POINTER: Final = struct.Struct("!BB2x")
_PARTS: Final[dict[type, Callable[..., tuple[int, bytes, bytes]]]] = {
    Echo: _build_echo,
    Unreachable: lambda message: (
        UNREACHABLE,
        packed(_QUOTED, "ICMP unreachable", message.quoted_words, message.mtu_bytes),
        message.original,
    ),
    Redirect: lambda message: (REDIRECT, message.gateway.packed, message.original),
    TimeExceeded: lambda message: (
        TIME_EXCEEDED,
        packed(_QUOTED, "ICMP time exceeded", message.quoted_words, 0),
        message.original,
    ),
    ParameterProblem: lambda message: (
        PARAMETER_PROBLEM,
        packed(_POINTER, "ICMP parameter problem", message.pointer, message.quoted_words),
        message.original,
    ),
    OtherIcmp: _build_other,
}
