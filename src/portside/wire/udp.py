"""UDP datagrams: two ports, a length, a checksum.

Source: RFC 768; RFC 8200 section 8.1 for IPv6, which requires the checksum; RFC 1122 section 4.1.3.4 for its absence.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from portside.address import IPAddress
from portside.errors import MalformedMessage
from portside.wire.checksum import internet_checksum, pseudo_header_sum, verify_checksum
from portside.wire.malformed import Bytes, packed, require
from portside.wire.numbers import UDP

_LAYOUT: Final = struct.Struct("!HHHH")  # source port, target port, length with the header, checksum
HEADER_BYTES: Final = _LAYOUT.size
CHECKSUM_OFFSET: Final = 6
NO_CHECKSUM: Final = 0  # a sum that comes out as 0 is sent as its other name, 0xFFFF


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram. ``checksum`` is as it came, 0 if its sender computed none, None in one of our own."""

    source_port: int
    target_port: int
    payload: bytes = field(default=b"", repr=False)
    checksum: int | None = field(default=None, compare=False)


def parse_udp(
    segment: Bytes, *, source: IPAddress | None = None, target: IPAddress | None = None, whole: bool = True
) -> Datagram:
    """Return the datagram carried in the payload of an IP packet.

    With both addresses the checksum is verified, which covers them too (the pseudo header). With ``whole`` False a
    payload shorter than the length says is taken as it is, and nothing can be verified then.

    Shape:  8 header bytes in network order, then the payload.
    Units:  the length field counts bytes, the header included; 0 means as many as the packet has (RFC 2675 section 4).
    Raises: Truncated if fewer bytes came than the length field says; BadChecksum; MalformedMessage for a length
            below 8, and for a checksum of 0 over IPv6.
    """
    require(segment, HEADER_BYTES, "UDP header")
    source_port, target_port, length, checksum = _LAYOUT.unpack_from(segment)
    if length == 0:
        length = len(segment)
    if length < HEADER_BYTES:
        raise MalformedMessage(f"UDP: the datagram says it has {length} bytes, its header has {HEADER_BYTES}")
    if whole:
        require(segment, length, "UDP")
    if source is not None and target is not None and len(segment) >= length:
        _verify(segment[:length], checksum, source, target)
    return Datagram(source_port, target_port, bytes(segment[HEADER_BYTES:length]), checksum)


def _verify(segment: Bytes, checksum: int, source: IPAddress, target: IPAddress) -> None:
    if checksum != NO_CHECKSUM:
        start = pseudo_header_sum(source, target, UDP, len(segment))
        verify_checksum("UDP", segment, CHECKSUM_OFFSET, start)
    elif source.version == 6:
        raise MalformedMessage("UDP: over IPv6 a checksum is required, and there is none (RFC 8200 section 8.1)")


def build_udp(datagram: Datagram, *, source: IPAddress, target: IPAddress) -> bytes:
    """Return the bytes of the datagram between these addresses, its checksum computed.

    Raises: ValueError for a port or a length that does not fit in 16 bits.
    """
    length = HEADER_BYTES + len(datagram.payload)
    head = packed(_LAYOUT, "UDP", datagram.source_port, datagram.target_port, length, 0)
    checksum = internet_checksum(head + datagram.payload, pseudo_header_sum(source, target, UDP, length)) or 0xFFFF
    return head[:CHECKSUM_OFFSET] + checksum.to_bytes(2, "big") + datagram.payload
