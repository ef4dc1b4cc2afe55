"""TCP segments: ports, sequence and acknowledgement numbers, flags, window, options, checksum.

Source: RFC 9293 section 3.1; RFC 3168 for ECE and CWR, RFC 9768 for AE.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Final

from portside.address import IPAddress
from portside.errors import MalformedMessage
from portside.wire.checksum import internet_checksum, pseudo_header_sum, verify_checksum
from portside.wire.malformed import Bytes, packed, require
from portside.wire.numbers import TCP
from portside.wire.tcp_options import TcpOption, build_tcp_options, parse_tcp_options

# ports, sequence number, acknowledgement number, header length (4 bits, in words) and flags (12 bits, the first three
# reserved), window, checksum, urgent pointer
_LAYOUT: Final = struct.Struct("!HHIIHHHH")
HEADER_BYTES: Final = _LAYOUT.size
CHECKSUM_OFFSET: Final = 16


class Flags(IntFlag):
    """The control bits, in the order of the header from its right."""

    FIN = 0x001
    SYN = 0x002
    RST = 0x004
    PSH = 0x008
    ACK = 0x010
    URG = 0x020
    ECE = 0x040
    CWR = 0x080
    AE = 0x100

    def __str__(self) -> str:
        """Return the names of the bits, as people say them: ``SYN ACK``."""
        return " ".join(name for name, bit in _NAMES if self & bit)


NO_FLAGS: Final = Flags(0)
# SYN comes before ACK, and what ends a connection too.
_NAMES: Final = tuple((name, Flags[name]) for name in ("SYN", "FIN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"))


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment. ``window`` is as it travels, before any scaling. ``reserved`` are three bits that nobody uses.

    ``checksum`` is as it came, None in a segment of our own: it is computed whenever the segment is built.
    """

    source_port: int
    target_port: int
    sequence: int
    acknowledgement: int = 0
    flags: Flags = NO_FLAGS
    window: int = 0
    payload: bytes = field(default=b"", repr=False)
    options: tuple[TcpOption, ...] = ()
    urgent: int = 0
    reserved: int = 0
    checksum: int | None = field(default=None, compare=False)

    @property
    def sequence_length(self) -> int:
        """How many sequence numbers it takes: its bytes, and one each for SYN and FIN (RFC 9293 section 3.4)."""
        return len(self.payload) + bool(self.flags & Flags.SYN) + bool(self.flags & Flags.FIN)


def parse_tcp(segment: Bytes, *, source: IPAddress | None = None, target: IPAddress | None = None) -> Segment:
    """Return the segment carried in the payload of an IP packet, whose end is its end.

    With both addresses the checksum is verified, which covers them too (the pseudo header).

    Raises: Truncated; BadChecksum; MalformedMessage for a header shorter than 20 bytes, or options that do not fit.
    """
    header_bytes = tcp_header_bytes(segment)
    source_port, target_port, sequence, acknowledgement, word, window, checksum, urgent = _LAYOUT.unpack_from(segment)
    if source is not None and target is not None:
        verify_checksum("TCP", segment, CHECKSUM_OFFSET, pseudo_header_sum(source, target, TCP, len(segment)))
    return Segment(
        source_port=source_port,
        target_port=target_port,
        sequence=sequence,
        acknowledgement=acknowledgement,
        flags=Flags(word & 0x1FF),
        window=window,
        payload=bytes(segment[header_bytes:]),
        options=parse_tcp_options(segment[HEADER_BYTES:header_bytes]),
        urgent=urgent,
        reserved=word >> 9 & 0b111,
        checksum=checksum,
    )


def tcp_header_bytes(segment: Bytes) -> int:
    """Return how long the header is that the bytes begin with. Raises: Truncated; MalformedMessage."""
    require(segment, HEADER_BYTES, "TCP header")
    header_bytes = (segment[12] >> 4) * 4
    if header_bytes < HEADER_BYTES:
        raise MalformedMessage(f"TCP: the header says it has {header_bytes} bytes, it has {HEADER_BYTES} at least")
    require(segment, header_bytes, "TCP header")
    return header_bytes


def build_tcp(segment: Segment, *, source: IPAddress, target: IPAddress) -> bytes:
    """Return the bytes of the segment between these addresses, its checksum computed.

    Raises: ValueError for what does not fit its field.
    """
    options = build_tcp_options(segment.options)
    if not (0 <= segment.flags < 1 << 9 and 0 <= segment.reserved < 1 << 3):
        raise ValueError(f"TCP: flags {segment.flags:#x} or reserved bits {segment.reserved:#x} do not fit")
    head = packed(
        _LAYOUT,
        "TCP",
        segment.source_port,
        segment.target_port,
        segment.sequence,
        segment.acknowledgement,
        (HEADER_BYTES + len(options)) // 4 << 12 | segment.reserved << 9 | segment.flags,
        segment.window,
        0,
        segment.urgent,
    )
    data = b"".join([head, options, segment.payload])
    checksum = internet_checksum(data, pseudo_header_sum(source, target, TCP, len(data)))
    return data[:CHECKSUM_OFFSET] + checksum.to_bytes(2, "big") + data[CHECKSUM_OFFSET + 2 :]
