"""The bytes of TCP and UDP packets in few steps: what ``encoding`` says layer by layer, for what captures are full of.

A capture asks for the bytes of every frame, wherever it passes. Most are segments and datagrams without options of IP;
for those each of two parts is packed at once, and checksums are sums of fields. The inner part, transport and payload,
stays with a packet from hop to hop. Whatever else a frame has is ``encoding``'s; the tests compare both byte by byte.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

from portside.sim.addresses import MAPPED
from portside.sim.frame import TcpFrame, UdpFrame
from portside.wire.checksum import WORD_MAX
from portside.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6, TCP, UDP

Packable: TypeAlias = TcpFrame | UdpFrame

_OUTER_V4: Final = struct.Struct("!HIHIHBBHHHBBHII")  # Ethernet and IPv4: RFC 894, RFC 791 section 3.1
_OUTER_V6: Final = struct.Struct("!HIHIHIHBBQQQQ")  # Ethernet and IPv6: RFC 2464, RFC 8200 section 3
_TCP: Final = struct.Struct("!HHIIHHHH")
_UDP: Final = struct.Struct("!HHHH")
_TIMESTAMPS: Final = struct.Struct("!BBBBII")
_SACK: Final = struct.Struct("!BBBB")
_DONT_FRAGMENT: Final = 0x4000
_QUAD: Final = 0xFFFF_FFFF_FFFF_FFFF
_WORD: Final = 0xFFFF_FFFF


def pack(frame: Packable) -> bytes | None:
    """Return the bytes of a frame as ``encoding.encode`` does, None for what is to be made, or refused, elsewhere."""
    if frame.options:
        return None
    try:
        inner = frame.inner
        if inner is None:
            inner = frame.inner = _tcp(frame) if isinstance(frame, TcpFrame) else _udp(frame)
        if inner is None:
            return None
        outer = _outer_v4(frame, len(inner)) if frame.target >> 32 == WORD_MAX else _outer_v6(frame, len(inner))
    except struct.error:  # a number that does not fit its field
        return None
    return outer + inner


def _tcp(frame: TcpFrame) -> bytes | None:
    if frame.offer is not None:
        return None
    options, payload = _tcp_options(frame), frame.payload
    length = 20 + len(options) + len(payload)
    word = 5 + len(options) // 4 << 12 | frame.flags
    # Sums of 32 and 128 bits are as good as sums of 16: modulo 65,535 all powers of 65,536 are one. RFC 1071 section 2.
    total = (
        (frame.source + frame.target + TCP + length)
        + (frame.source_port + frame.target_port + frame.sequence + frame.ack)
        + (word + frame.window + frame.urgent)
        + (int.from_bytes(options) + _sum(payload))
    )
    head = _TCP.pack(
        frame.source_port,
        frame.target_port,
        frame.sequence,
        frame.ack,
        word,
        frame.window,
        -total % WORD_MAX,
        frame.urgent,
    )
    return b"".join((head, options, payload))


def _tcp_options(frame: TcpFrame) -> bytes:
    """Return timestamps and blocks, with their fillers: RFC 7323 appendix A, RFC 2018 section 3."""
    options = b""
    if frame.timestamp is not None:
        options = _TIMESTAMPS.pack(1, 1, 8, 10, frame.timestamp, frame.echo)
    if frame.sack:
        edges = [edge for block in frame.sack for edge in block]
        options += _SACK.pack(1, 1, 5, 2 + 4 * len(edges)) + struct.pack(f"!{len(edges)}I", *edges)
    return options


def _udp(frame: UdpFrame) -> bytes:
    payload = frame.payload
    length = 8 + len(payload)
    total = frame.source + frame.target + UDP + 2 * length + frame.source_port + frame.target_port + _sum(payload)
    checksum = -total % WORD_MAX or WORD_MAX  # RFC 768: zero says that there is none
    return _UDP.pack(frame.source_port, frame.target_port, length, checksum) + payload


def _sum(payload: bytes) -> int:
    """Return a number that is modulo 65,535 what the payload's words add up to."""
    return (int.from_bytes(payload) << 8 if len(payload) & 1 else int.from_bytes(payload)) % WORD_MAX


def _outer_v4(frame: Packable, length: int) -> bytes:
    source, target = frame.source - MAPPED, frame.target - MAPPED
    length += 20
    flags = _DONT_FRAGMENT if frame.dont_fragment else 0
    first, second = 0x4500 | frame.traffic_class, frame.ttl << 8 | frame.protocol
    return _OUTER_V4.pack(
        frame.target_mac >> 32,
        frame.target_mac & _WORD,
        frame.source_mac >> 32,
        frame.source_mac & _WORD,
        ETHERTYPE_IPV4,
        0x45,
        frame.traffic_class,
        length,
        frame.identification,
        flags,
        frame.ttl,
        frame.protocol,
        -(first + length + frame.identification + flags + second + source + target) % WORD_MAX,
        source,
        target,
    )


def _outer_v6(frame: Packable, length: int) -> bytes:
    return _OUTER_V6.pack(
        frame.target_mac >> 32,
        frame.target_mac & _WORD,
        frame.source_mac >> 32,
        frame.source_mac & _WORD,
        ETHERTYPE_IPV6,
        6 << 28 | frame.traffic_class << 20 | frame.flow_label,
        length,
        frame.protocol,
        frame.ttl,
        frame.source >> 64,
        frame.source & _QUAD,
        frame.target >> 64,
        frame.target & _QUAD,
    )
