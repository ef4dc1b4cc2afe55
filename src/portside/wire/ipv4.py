"""IPv4 packets: the header with its options, fragments, and the checksum over the header alone.

Source: RFC 791; RFC 2474 and RFC 3168 for the byte that was the type of service; RFC 6864 for the identification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from portside.errors import MalformedMessage
from portside.wire.checksum import internet_checksum, verify_checksum
from portside.wire.malformed import Bytes, packed, require

# version and header length, DSCP and ECN, total length, identification, flags and fragment offset, time to live,
# protocol, checksum, source, target
_LAYOUT: Final = struct.Struct("!BBHHHBBH4s4s")
HEADER_BYTES: Final = _LAYOUT.size
HEADER_BYTES_MAX: Final = 60  # the length field has four bits and counts words of four bytes
PACKET_BYTES_MAX: Final = 65_535
CHECKSUM_OFFSET: Final = 10
FRAGMENT_UNIT_BYTES: Final = 8

_RESERVED: Final = 0x8000
_DONT_FRAGMENT: Final = 0x4000
_MORE_FRAGMENTS: Final = 0x2000
_OFFSET: Final = 0x1FFF

# Options: of the number the top bit says whether fragments carry a copy.
END_OF_OPTIONS: Final = 0
NO_OPERATION: Final = 1
RECORD_ROUTE: Final = 7
TIMESTAMP: Final = 68
LOOSE_SOURCE_ROUTE: Final = 131
STRICT_SOURCE_ROUTE: Final = 137
ROUTER_ALERT: Final = 148  # RFC 2113
_LONE: Final = frozenset({END_OF_OPTIONS, NO_OPERATION})
_OPTION_NAMES: Final = {
    END_OF_OPTIONS: "end of options",
    NO_OPERATION: "no operation",
    RECORD_ROUTE: "record route",
    TIMESTAMP: "timestamps",
    130: "security",
    LOOSE_SOURCE_ROUTE: "loose source route",
    134: "commercial security",
    136: "stream",
    STRICT_SOURCE_ROUTE: "strict source route",
    ROUTER_ALERT: "router alert",
}


@dataclass(frozen=True, slots=True)
class IPv4Option:
    """One option: its number, and what follows its length byte. No operation has neither."""

    kind: int
    data: bytes = b""

    @property
    def name(self) -> str:
        return _OPTION_NAMES.get(self.kind, f"option {self.kind}")

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        """The route in a source or record route option, as far as it is written; none for others."""
        if self.kind not in {RECORD_ROUTE, LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE} or not self.data:
            return ()
        # Its first byte points, counted from 1 at the option's own number, behind the last address that is recorded.
        end = self.data[0] - 3 if self.kind == RECORD_ROUTE else len(self.data)
        whole = range(1, min(end, len(self.data)) - 3, 4)
        return tuple(IPv4Address(self.data[at : at + 4]) for at in whole)


@dataclass(frozen=True, slots=True)
class IPv4Packet:
    """One packet or fragment. ``fragment_offset`` counts bytes, and is a multiple of eight.

    ``dscp`` (6 bits) and ``ecn`` (2 bits) share what was the type of service. ``checksum`` is the header's as it came,
    None in a packet of our own: it is computed anew whenever the packet is built.
    """

    source: IPv4Address
    target: IPv4Address
    protocol: int
    payload: bytes = field(default=b"", repr=False)
    time_to_live: int = 64
    identification: int = 0
    dont_fragment: bool = False
    more_fragments: bool = False
    fragment_offset: int = 0
    dscp: int = 0
    ecn: int = 0
    options: tuple[IPv4Option, ...] = ()
    reserved_flag: bool = False  # "evil", since RFC 3514
    checksum: int | None = field(default=None, compare=False)

    @property
    def is_fragment(self) -> bool:
        return self.more_fragments or self.fragment_offset > 0


def parse_ipv4(data: Bytes, *, verify: bool = False, whole: bool = True) -> IPv4Packet:
    """Return the packet at the start of the bytes; what is behind its length is padding of the frame.

    ``verify`` checks the header's checksum. With ``whole`` False a payload that is shorter than the length says is
    taken as it is: a capture may keep the beginning only, an ICMP error quotes no more, and what Linux hands to
    its hardware to be cut up says 0.

    Raises: Truncated; BadChecksum; MalformedMessage for another version, a header shorter than 20 bytes, or options
            that do not fit the header (RFC 791 section 3.1).
    """
    header_bytes = ipv4_header_bytes(data)
    _, service, total, identification, word, ttl, protocol, checksum, source, target = _LAYOUT.unpack_from(data)
    if total == 0 and not whole:
        total = len(data)
    if total < header_bytes:
        raise MalformedMessage(f"IPv4: the packet says it has {total} bytes, its header {header_bytes}")
    if whole:
        require(data, total, "IPv4")
    if verify:
        verify_checksum("IPv4 header", data[:header_bytes], CHECKSUM_OFFSET)
    return IPv4Packet(
        source=IPv4Address(source),
        target=IPv4Address(target),
        protocol=protocol,
        payload=bytes(data[header_bytes:total]),
        time_to_live=ttl,
        identification=identification,
        dont_fragment=bool(word & _DONT_FRAGMENT),
        more_fragments=bool(word & _MORE_FRAGMENTS),
        fragment_offset=(word & _OFFSET) * FRAGMENT_UNIT_BYTES,
        dscp=service >> 2,
        ecn=service & 3,
        options=_parse_options(data[HEADER_BYTES:header_bytes]),
        reserved_flag=bool(word & _RESERVED),
        checksum=checksum,
    )


def ipv4_header_bytes(data: Bytes) -> int:
    """Return how long the header is that the bytes begin with. Raises: Truncated; MalformedMessage."""
    require(data, HEADER_BYTES, "IPv4 header")
    if data[0] >> 4 != 4:
        raise MalformedMessage(f"IPv4: the version is {data[0] >> 4}")
    header_bytes = (data[0] & 0x0F) * 4
    if header_bytes < HEADER_BYTES:
        raise MalformedMessage(f"IPv4: the header says it has {header_bytes} bytes, it has {HEADER_BYTES} at least")
    require(data, header_bytes, "IPv4 header")
    return header_bytes


def _parse_options(data: Bytes) -> tuple[IPv4Option, ...]:
    options, at = [], 0
    while at < len(data) and data[at] != END_OF_OPTIONS:
        kind, length = data[at], 1
        if kind == NO_OPERATION:
            options.append(IPv4Option(kind))
        else:
            length = data[at + 1] if at + 1 < len(data) else 0
            if not 2 <= length <= len(data) - at:
                raise MalformedMessage(f"IPv4: option {kind} of {length} bytes in {len(data) - at} that are left")
            options.append(IPv4Option(kind, bytes(data[at + 2 : at + length])))
        at += length
    return tuple(options)


def build_ipv4(packet: IPv4Packet) -> bytes:
    """Return the bytes of the packet, its checksum computed. Raises: ValueError for what does not fit its field."""
    options = _build_options(packet.options)
    header_bytes = HEADER_BYTES + len(options)
    if header_bytes > HEADER_BYTES_MAX:
        raise ValueError(f"IPv4: {len(options)} bytes of options are more than {HEADER_BYTES_MAX - HEADER_BYTES}")
    offset, rest = divmod(packet.fragment_offset, FRAGMENT_UNIT_BYTES)
    if rest or not 0 <= offset <= _OFFSET:
        raise ValueError(f"IPv4: the fragment offset {packet.fragment_offset} is no multiple of 8 below 65,536")
    if not (0 <= packet.dscp < 1 << 6 and 0 <= packet.ecn < 1 << 2):
        raise ValueError(f"IPv4: DSCP {packet.dscp} or ECN {packet.ecn} does not fit in 6 and 2 bits")
    flags = (_RESERVED if packet.reserved_flag else 0) | (_DONT_FRAGMENT if packet.dont_fragment else 0)
    head = packed(
        _LAYOUT,
        "IPv4",
        0x40 | header_bytes // 4,
        packet.dscp << 2 | packet.ecn,
        header_bytes + len(packet.payload),
        packet.identification,
        flags | (_MORE_FRAGMENTS if packet.more_fragments else 0) | offset,
        packet.time_to_live,
        packet.protocol,
        0,
        packet.source.packed,
        packet.target.packed,
    )
    checksum = internet_checksum(head + options)
    return b"".join([head[:CHECKSUM_OFFSET], checksum.to_bytes(2, "big"), head[12:], options, packet.payload])


def _build_options(options: Iterable[IPv4Option]) -> bytes:
    data = b"".join(map(_build_option, options))
    return data + bytes(-len(data) % 4)  # END_OF_OPTIONS, and padding after it


def _build_option(option: IPv4Option) -> bytes:
    if option.kind in _LONE:
        if option.data or option.kind == END_OF_OPTIONS:
            raise ValueError(f"IPv4: {option.name} is no option that holds something, or stands in the list")
        return bytes([option.kind])
    if not (option.kind < 1 << 8 and len(option.data) <= HEADER_BYTES_MAX - HEADER_BYTES - 2):
        raise ValueError(f"IPv4: no option {option.kind} with {len(option.data)} bytes")
    return bytes([option.kind, 2 + len(option.data)]) + option.data
