"""Packets for tests of captures: a program that makes traffic in a namespace, and frames of TCP and DNS to be read."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from portside.wire import numbers
from portside.wire.captured import CapturedPacket, Interface
from portside.wire.dns import DnsMessage, build_dns
from portside.wire.ethernet import Frame, build_ethernet, parse_mac
from portside.wire.ipv4 import IPv4Packet, build_ipv4
from portside.wire.ipv6 import IPv6Packet, build_ipv6
from portside.wire.pcapng import PcapngWriter
from portside.wire.tcp import Flags, Segment, build_tcp
from portside.wire.udp import Datagram, build_udp

NOW_NS = 1_700_000_000_123_456_789
HERE, THERE = parse_mac("02:00:00:00:00:01"), parse_mac("02:00:00:00:00:02")
A, B = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
A6, B6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")
ETH0 = Interface("eth0")


def frame(ethertype: int, payload: bytes) -> bytes:
    return build_ethernet(Frame(THERE, HERE, ethertype, payload))


def four(protocol: int, payload: bytes, **more: Any) -> bytes:
    return frame(0x0800, build_ipv4(IPv4Packet(A, B, protocol, payload, **more)))


def six(protocol: int, payload: bytes, **more: Any) -> bytes:
    return frame(0x86DD, build_ipv6(IPv6Packet(A6, B6, protocol, payload, **more)))


def tcp(payload: bytes = b"", *, is_back: bool = False, **more: Any) -> bytes:
    """Return a segment from A port 40000 to B port 80, or the other way."""
    ports = (80, 40_000) if is_back else (40_000, 80)
    fields: dict[str, Any] = {"sequence": 1_000, "flags": Flags.ACK, **more}
    source, target = (B, A) if is_back else (A, B)
    segment = build_tcp(Segment(*ports, payload=payload, **fields), source=source, target=target)
    return frame(0x0800, build_ipv4(IPv4Packet(source, target, numbers.TCP, segment)))


def udp(payload: bytes, *, source: int = 40_000, target: int = 9) -> bytes:
    return four(numbers.UDP, build_udp(Datagram(source, target, payload), source=A, target=B))


def dns(message: DnsMessage) -> bytes:
    ports = {"source": 53, "target": 40_000} if message.is_response else {"source": 40_000, "target": 53}
    return udp(build_dns(message), **ports)


def captured(data: bytes, *, time_ns: int | None = NOW_NS, interface: Interface = ETH0) -> CapturedPacket:
    return CapturedPacket(interface, time_ns, data, len(data))


def pcapng(*frames: bytes) -> bytes:
    """Return a file of the frames, a millisecond apart."""
    blocks: list[bytes] = []
    writer = PcapngWriter(blocks.append)
    number = writer.add_interface(ETH0)
    for at, data in enumerate(frames):
        writer.packet(number, NOW_NS + at * 1_000_000, data)
    return b"".join(blocks)
