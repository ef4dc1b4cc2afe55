"""TCP segments: ports, sequence and acknowledgement numbers, flags, window, options, checksum.

Source: RFC 9293 section 3.1; RFC 3168 for ECE and CWR, RFC 9768 for AE.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
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


class Flags:
    """The control bits, in the order of the header from its right. Plain numbers: an IntFlag's ``&`` takes 2 µs."""

    FIN: Final = 0x001
    SYN: Final = 0x002
    RST: Final = 0x004
    PSH: Final = 0x008
    ACK: Final = 0x010
    URG: Final = 0x020
    ECE: Final = 0x040
    CWR: Final = 0x080
    AE: Final = 0x100


# SYN comes before ACK, and what ends a connection too.
_NAMES: Final = ("SYN", "FIN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE")


@lru_cache(maxsize=512)
def flag_words(flags: int) -> str:
    """Return the names of the bits as people say them: ``SYN ACK``; empty for none."""
    return " ".join(name for name in _NAMES if flags & getattr(Flags, name))


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment. ``flags`` are bits of ``Flags``, ``reserved`` three that nobody uses; ``window`` is not scaled yet.

    ``checksum`` is as it came, None in a segment of our own: it is computed whenever the segment is built.
    """

    source_port: int
    target_port: int
    sequence: int
    acknowledgement: int = 0
    flags: int = 0
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
        flags=word & 0x1FF,
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
