"""Filters: what fits is what people mean, and the kernel's program keeps everything that fits."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.observe.packets.dissect import dissect
from portside.observe.packets.wanted import PROTOCOLS, Wanted
from portside.wire import numbers
from portside.wire.arp import Arp, build_arp
from portside.wire.bpf import KEEP_BYTES, NOTE_HARDWARE, NOTE_PACKET_TYPE, NOTE_PROTOCOL, build_bpf
from portside.wire.captured import CapturedPacket, Interface
from portside.wire.ethernet import Frame, VlanTag, build_ethernet, parse_ethernet, parse_mac
from portside.wire.icmp import Unreachable, build_icmp
from portside.wire.ipv4 import IPv4Option, IPv4Packet, build_ipv4
from portside.wire.ipv6 import IPv6Packet, build_ipv6
from portside.wire.ipv6_extensions import DestinationOptions, Fragment
from portside.wire.tcp import Segment, build_tcp
from portside.wire.udp import Datagram, build_udp
from support import packets
from support.bpf import run

HERE, THERE = parse_mac("02:00:00:00:00:01"), parse_mac("02:00:00:00:00:02")
A, B = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
A6, B6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")


def frame(ethertype: int, payload: bytes, *tags: VlanTag) -> bytes:
    return build_ethernet(Frame(THERE, HERE, ethertype, payload, tags))


def four(protocol: int, payload: bytes, **more: Any) -> bytes:
    return frame(0x0800, build_ipv4(IPv4Packet(A, B, protocol, payload, **more)))


def six(protocol: int, payload: bytes, **more: Any) -> bytes:
    return frame(0x86DD, build_ipv6(IPv6Packet(A6, B6, protocol, payload, **more)))


def udp(source: int, target: int, payload: bytes = b"x") -> bytes:
    return build_udp(Datagram(source, target, payload), source=A, target=B)


def fits(data: bytes, **wanted: Any) -> bool:
    """Return whether the filter wants the frame, having made sure that the kernel would hand it over then."""
    return decide(data, make(**wanted))


def make(ports: Any = (), networks: Any = (), protocols: Any = ()) -> Wanted:
    return Wanted(frozenset(ports), tuple(map(ip_network, networks)), frozenset(protocols))


def decide(data: bytes, wanted: Wanted) -> bool:
    does_fit = wanted.fits(dissect(CapturedPacket(Interface(), 0, data, len(data))))
    assert keeps(data, wanted) or not does_fit
    return does_fit


def keeps(data: bytes, wanted: Wanted, *, packet_type: int = 0, hardware: int = 1) -> bool:
    outer = parse_ethernet(data)
    # The kernel's note of the protocol is that of the outermost tag, where the card has not taken it out.
    protocol = outer.tags[0].type if outer.tags else outer.type
    notes = {NOTE_PROTOCOL: protocol, NOTE_PACKET_TYPE: packet_type, NOTE_HARDWARE: hardware}
    return run(build_bpf(wanted.condition), data[14:], notes) == KEEP_BYTES


TCP = four(numbers.TCP, build_tcp(Segment(40_000, 80, 1), source=A, target=B))
TCP_6 = six(numbers.TCP, build_tcp(Segment(40_000, 80, 1), source=A6, target=B6))
UDP = four(numbers.UDP, udp(40_000, 53, b"not DNS"))
ARP = frame(0x0806, build_arp(Arp(1, HERE, A, THERE, B)))
QUOTED = build_ipv4(IPv4Packet(B, A, numbers.UDP, udp(7, 9)))
ERROR = four(numbers.ICMP, build_icmp(Unreachable(3, QUOTED)))

ALL = {"tcp": TCP, "tcp 6": TCP_6, "udp": UDP, "arp": ARP, "icmp": ERROR}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, {"tcp", "tcp 6", "udp", "arp", "icmp"}),
        ({"ports": [80]}, {"tcp", "tcp 6"}),
        ({"ports": [80, 53]}, {"tcp", "tcp 6", "udp"}),
        ({"ports": [40_000]}, {"tcp", "tcp 6", "udp"}),
        ({"ports": [9]}, {"icmp"}),  # the packet that the error is about
        ({"ports": [1]}, set()),
        ({"protocols": ["tcp"]}, {"tcp", "tcp 6"}),
        ({"protocols": ["udp", "arp"]}, {"udp", "arp"}),
        ({"protocols": ["icmp"]}, {"icmp"}),
        ({"protocols": ["dns"]}, {"udp"}),
        ({"protocols": ["dns", "tcp"]}, {"tcp", "tcp 6", "udp"}),
        ({"protocols": ["tcp"], "ports": [9]}, set()),
        ({"protocols": ["dns"], "ports": [53]}, {"udp"}),
        ({"networks": ["192.0.2.1"]}, {"tcp", "udp", "arp", "icmp"}),
        ({"networks": ["192.0.2.2"]}, {"tcp", "udp", "arp", "icmp"}),
        ({"networks": ["192.0.0.0/16"]}, {"tcp", "udp", "arp", "icmp"}),
        ({"networks": ["192.0.2.3"]}, set()),
        ({"networks": ["2001:db8::2"]}, {"tcp 6"}),
        ({"networks": ["2001:db8::/33", "10.0.0.0/8"]}, {"tcp 6"}),
        ({"networks": ["::/0"]}, {"tcp 6"}),
        ({"networks": ["192.0.2.1"], "ports": [80], "protocols": ["tcp", "arp"]}, {"tcp"}),
    ],
)
def test_what_fits_and_what_the_kernel_keeps(wanted: dict[str, Any], expected: set[str]) -> None:
    """Of these packets the kernel keeps just what fits, but for ICMP errors, which it does not look into."""
    assert {name for name, data in ALL.items() if fits(data, **wanted)} == expected
    kept = {name for name, data in ALL.items() if keeps(data, make(**wanted))}
    assert kept - {"icmp"} == expected - {"icmp"}


@pytest.mark.parametrize(
    "data",
    [
        four(numbers.TCP, build_tcp(Segment(40_000, 80, 1), source=A, target=B), options=(IPv4Option(148, bytes(2)),)),
        frame(0x0800, build_ipv4(IPv4Packet(A, B, numbers.TCP, TCP[34:])), VlanTag(7)),
        six(numbers.TCP, TCP_6[54:], extensions=(DestinationOptions(),)),
        six(numbers.TCP, TCP_6[54:], extensions=(Fragment(1, more=True),)),
        four(numbers.IPV6, TCP_6[14:]),
        four(numbers.IPV4, TCP[14:]),
        frame(0x86DD, build_ipv6(IPv6Packet(B6, A6, numbers.IPV4, TCP[14:]))),
        six(numbers.TCP, TCP_6[54:], extensions=(DestinationOptions(), Fragment(1))),
    ],
)
def test_ports_are_found_behind_whatever_stands_before_them(data: bytes) -> None:
    assert fits(data, ports=[80])
    assert not fits(data, ports=[81])
    assert fits(data, protocols=["tcp"])


def test_dns_on_another_port_is_none() -> None:
    assert not fits(TCP, protocols=["dns"], ports=[80])


def test_a_packet_whose_header_is_wrong_behind_its_ports_is_shown_all_the_same() -> None:
    segment = bytearray(TCP[34:])
    segment[12] = 0x40  # a header of sixteen bytes
    assert fits(four(numbers.TCP, bytes(segment)), ports=[80])
    assert not fits(four(numbers.TCP, bytes(segment)), ports=[81])
    assert not fits(four(numbers.TCP, bytes(segment[:2])), ports=[81])


def test_hosts_are_found_within_tunnels() -> None:
    assert fits(frame(0x0800, build_ipv4(IPv4Packet(B, B, numbers.IPV6, TCP_6[14:]))), networks=["2001:db8::1"])


def test_a_later_fragment_has_a_protocol_and_no_ports() -> None:
    """What would be its ports is data."""
    later = four(numbers.UDP, bytes([0, 80, 0, 80]) + bytes(12), fragment_offset=8)
    assert fits(later, protocols=["udp"])
    assert not fits(later, ports=[80])
    assert not keeps(later, make(ports=[80]))
    assert fits(four(numbers.UDP, udp(40_000, 80, bytes(8)), more_fragments=True), ports=[80])


def test_a_packet_on_loopback_is_seen_once() -> None:
    for wanted in (make(), make(ports=[80])):
        assert keeps(TCP, wanted, packet_type=0, hardware=772)
        assert not keeps(TCP, wanted, packet_type=4, hardware=772)
        assert keeps(TCP, wanted, packet_type=4, hardware=1)


some = st.sampled_from
wanteds = st.builds(
    make,
    st.lists(some([7, 9, 53, 80, 5_353, 40_000]), max_size=2),
    st.lists(
        some(["192.0.2.1", "192.0.0.0/12", "10.0.0.0/8", "2001:db8::1", "2001:db8::/32", "fe80::/10"]), max_size=2
    ),
    st.lists(some(PROTOCOLS), max_size=2),
)
ports = some([7, 9, 53, 80, 5_353, 40_000])
ips = st.one_of(
    st.tuples(some([A, B, IPv4Address("10.0.0.1")]), some([A, B])),
    st.tuples(some([A6, B6, IPv6Address("fe80::1")]), some([A6, B6])),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Return a frame that a filter may be about: IP with or without what can stand between its header and the ports."""
    source, target = draw(ips)
    tags = draw(st.lists(packets.tags, max_size=1))
    transport = draw(
        st.one_of(
            st.builds(lambda a, b: (numbers.UDP, udp(a, b)), ports, ports),
            st.builds(lambda a, b: (numbers.TCP, build_tcp(Segment(a, b, 1), source=A, target=B)), ports, ports),
            st.builds(lambda a: (numbers.ICMP, build_icmp(Unreachable(3, a))), some([QUOTED, b""])),
            st.tuples(some([numbers.IPV4, numbers.IPV6]), some([TCP[14:], TCP_6[14:]])),
            st.just((253, b"something")),
        )
    )
    if isinstance(source, IPv6Address):
        extensions = draw(packets.extension_chains)
        return frame(0x86DD, build_ipv6(IPv6Packet(source, target, *transport, extensions=extensions)), *tags)
    options = draw(st.lists(packets.ipv4_options, max_size=2))
    offset = draw(some([0, 0, 8]))
    more = {"options": tuple(options), "fragment_offset": offset, "more_fragments": draw(st.booleans())}
    return frame(0x0800, build_ipv4(IPv4Packet(source, target, *transport, **more)), *tags)


@given(frames() | st.just(ARP), wanteds)
def test_the_kernel_keeps_whatever_fits(data: bytes, wanted: Wanted) -> None:
    decide(data, wanted)


def test_a_filter_in_words() -> None:
    wanted = make([80, 53], ["192.0.2.1", "2001:db8::/32"], ["tcp"])
    assert wanted.words == "protocol tcp, host 192.0.2.1 or host 2001:db8::/32, port 53 or port 80"
    assert make().words == ""
    assert make().is_everything
    assert not wanted.is_everything
