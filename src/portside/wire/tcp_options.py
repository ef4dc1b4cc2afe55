"""The options in TCP's header: what both sides may do, said in their SYN, and what each acknowledges in pieces.

Source: RFC 9293 section 3.1; RFC 7323 (window scale, timestamps), RFC 2018 (selective acknowledgement), RFC 2883.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from portside.errors import MalformedMessage
from portside.wire.malformed import Bytes, packed

OPTION_BYTES_MAX: Final = 40  # the header has 60 bytes at most, 20 of them always

END_OF_OPTIONS: Final = 0
NO_OPERATION: Final = 1
MAXIMUM_SEGMENT_SIZE: Final = 2
WINDOW_SCALE: Final = 3
SACK_PERMITTED: Final = 4
SACK: Final = 5
TIMESTAMPS: Final = 8

_MSS: Final = struct.Struct("!BBH")
_SHIFT: Final = struct.Struct("!BBB")
_BLOCK: Final = struct.Struct("!II")
_TIMES: Final = struct.Struct("!BBII")


@dataclass(frozen=True, slots=True)
class NoOperation:
    """A byte that says nothing, to put what follows on a multiple of four."""


@dataclass(frozen=True, slots=True)
class MaximumSegmentSize:
    """How many bytes of data the sender of the SYN takes in one segment: RFC 9293 section 3.7.1."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class WindowScale:
    """By how many bits the windows that follow are to be shifted left: RFC 7323 section 2.2."""

    shift: int


@dataclass(frozen=True, slots=True)
class SackPermitted:
    """The sender of the SYN understands selective acknowledgements: RFC 2018 section 2."""


@dataclass(frozen=True, slots=True)
class Sack:
    """What has come although bytes before it are missing: the first sequence number of each piece, and the one behind.

    RFC 2018 section 3; a first block that repeats what was acknowledged tells of a duplicate (RFC 2883).
    """

    blocks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Timestamps:
    """The sender's clock, and the peer's as it came last: RFC 7323 section 3.2."""

    value: int
    echo: int


@dataclass(frozen=True, slots=True)
class UnknownOption:
    """An option that is not known here, or not with a length like its: what follows its length byte."""

    kind: int
    data: bytes = b""


TcpOption: TypeAlias = (
    NoOperation | MaximumSegmentSize | WindowScale | SackPermitted | Sack | Timestamps | UnknownOption
)


def parse_tcp_options(data: Bytes) -> tuple[TcpOption, ...]:
    """Return the options up to the end of their list, or of the bytes.

    Shape:  number (1), then but for the first two length (1), counted with both, and what it holds.
    Raises: MalformedMessage for an option that reaches past the end.
    """
    options: list[TcpOption] = []
    at = 0
    while at < len(data) and data[at] != END_OF_OPTIONS:
        if data[at] == NO_OPERATION:
            options.append(NoOperation())
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if not 2 <= length <= len(data) - at:
            raise MalformedMessage(f"TCP: option {data[at]} of {length} bytes in {len(data) - at} that are left")
        options.append(_parse_option(data[at], bytes(data[at : at + length])))
        at += length
    return tuple(options)


def _parse_option(kind: int, data: bytes) -> TcpOption:
    match kind, len(data):
        case 2, _MSS.size:
            return MaximumSegmentSize(_MSS.unpack(data)[2])
        case 3, _SHIFT.size:
            return WindowScale(data[2])
        case 4, 2:
            return SackPermitted()
        case 5, 10 | 18 | 26 | 34:
            return Sack(tuple(_BLOCK.iter_unpack(data[2:])))
        case 8, _TIMES.size:
            return Timestamps(*_TIMES.unpack(data)[2:])
    return UnknownOption(kind, data[2:])


def build_tcp_options(options: Iterable[TcpOption]) -> bytes:
    """Return the options one after the other, filled up to a multiple of four bytes.

    Raises: ValueError for a number that does not fit its field, and for more than 40 bytes.
    """
    data = b"".join(_BUILDERS[type(option)](option) for option in options)
    data += bytes(-len(data) % 4)  # END_OF_OPTIONS, and padding after it
    if len(data) > OPTION_BYTES_MAX:
        raise ValueError(f"TCP: {len(data)} bytes of options are more than {OPTION_BYTES_MAX}")
    return data


def _build_sack(option: Sack) -> bytes:
    blocks = b"".join(packed(_BLOCK, "TCP SACK", *block) for block in option.blocks)
    return bytes([SACK, 2 + len(blocks) & 0xFF]) + blocks


def _build_unknown(option: UnknownOption) -> bytes:
    if not NO_OPERATION < option.kind < 1 << 8 or len(option.data) > OPTION_BYTES_MAX - 2:
        raise ValueError(f"TCP: no option {option.kind} with {len(option.data)} bytes")
    return bytes([option.kind, 2 + len(option.data)]) + option.data


_BUILDERS: Final[dict[type, Callable[..., bytes]]] = {
    NoOperation: lambda _: bytes([NO_OPERATION]),
    MaximumSegmentSize: lambda option: packed(_MSS, "TCP MSS", MAXIMUM_SEGMENT_SIZE, _MSS.size, option.size_bytes),
    WindowScale: lambda option: packed(_SHIFT, "TCP window scale", WINDOW_SCALE, _SHIFT.size, option.shift),
    SackPermitted: lambda _: bytes([SACK_PERMITTED, 2]),
    Sack: _build_sack,
    Timestamps: lambda option: packed(_TIMES, "TCP timestamps", TIMESTAMPS, _TIMES.size, option.value, option.echo),
    UnknownOption: _build_unknown,
}
