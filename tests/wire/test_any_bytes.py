"""Whatever the bytes are: every parser gives a value or raises MalformedMessage, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.wire.arp import build_arp, parse_arp
from portside.wire.dns import build_dns, parse_dns
from portside.wire.ethernet import build_ethernet, parse_ethernet
from portside.wire.icmp import build_icmp, parse_icmp
from portside.wire.icmpv6 import build_icmpv6, parse_icmpv6
from portside.wire.ipv4 import build_ipv4, parse_ipv4
from portside.wire.ipv6 import build_ipv6, parse_ipv6
from portside.wire.ipv6_extensions import parse_extension
from portside.wire.neighbor import parse_neighbor_options
from portside.wire.tcp import build_tcp, parse_tcp
from portside.wire.tcp_options import parse_tcp_options
from portside.wire.udp import build_udp, parse_udp
from support import packets
from support.dns_messages import messages

A, B = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
A6, B6 = IPv6Address("fe80::1"), IPv6Address("fe80::2")

PARSERS: dict[str, Callable[[bytes], object]] = {
    "ethernet": parse_ethernet,
    "arp": parse_arp,
    "ipv4": parse_ipv4,
    "ipv4 partly": lambda data: parse_ipv4(data, whole=False),
    "ipv6": parse_ipv6,
    "ipv6 partly": lambda data: parse_ipv6(data, whole=False),
    "extension": lambda data: [parse_extension(number, data) for number in (0, 43, 44, 60)],
    "udp": parse_udp,
    "udp partly": lambda data: parse_udp(data, whole=False),
    "udp verified": lambda data: parse_udp(data, source=A6, target=B6),
    "tcp": parse_tcp,
    "tcp options": parse_tcp_options,
    "tcp verified": lambda data: parse_tcp(data, source=A, target=B),
    "icmp": parse_icmp,
    "icmpv6": parse_icmpv6,
    "neighbor options": parse_neighbor_options,
    "dns": parse_dns,
}
BUILT: dict[str, st.SearchStrategy[bytes]] = {
    "ethernet": packets.frames.map(build_ethernet),
    "arp": packets.arps.map(build_arp),
    "ipv4": packets.ipv4_packets.map(build_ipv4),
    "ipv6": packets.ipv6_packets.map(build_ipv6),
    "udp": packets.datagrams.map(lambda datagram: build_udp(datagram, source=A, target=B)),
    "tcp": packets.segments.map(lambda segment: build_tcp(segment, source=A, target=B)),
    "icmp": packets.icmps.map(build_icmp),
    "icmpv6": packets.icmpv6s.map(lambda message: build_icmpv6(message, source=A6, target=B6)),
    "dns": messages().map(build_dns),
}


def parse(name: str, data: bytes) -> None:
    for form in (data, memoryview(data)):
        with contextlib.suppress(MalformedMessage):
            PARSERS[name](form)


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=120))
def test_any_bytes_are_a_value_or_refused(name: str, data: bytes) -> None:
    parse(name, data)


@pytest.mark.parametrize("name", BUILT)
@given(data=st.data())
def test_packets_with_changed_bytes_are_values_or_refused(name: str, data: st.DataObject) -> None:
    changed = bytearray(data.draw(BUILT[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    parse(name, bytes(changed))
