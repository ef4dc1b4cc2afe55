"""ARP, IP, ICMP and UDP as raw frames: what Linux answers, ours does."""

from __future__ import annotations

from typing import Any

import pytest

from portside.sim.addresses import to_ip
from portside.sim.encoding import encode, encode_packet, encode_payload
from portside.sim.frame import ArpFrame, IcmpFrame, OpaqueFrame, UdpFrame
from portside.wire.arp import Arp
from portside.wire.ethernet import MacAddress
from portside.wire.icmp import Echo, Unreachable
from portside.wire.icmpv6 import Icmpv6Error, NeighborAdvertisement, NeighborSolicitation
from support.oracle import OUR_MAC, PEER, PEER_MAC, PEER_V6, SOON_S, Wire

MAC = MacAddress(OUR_MAC.to_bytes(6))
NO_MAC = MacAddress(bytes(6))


def ends(wire: Wire, version: int) -> tuple[int, int]:
    return (wire.ours, PEER) if version == 4 else (wire.ours_v6, PEER_V6)


def echo(wire: Wire, version: int, payload: bytes) -> IcmpFrame:
    return IcmpFrame(*ends(wire, version), Echo(1, 2, payload), 8 + len(payload))


def as_bytes(frame: Any) -> bytearray:
    frame.source_mac, frame.target_mac = OUR_MAC, PEER_MAC
    return bytearray(encode(frame))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("size", [0, 1, 7, 56, 1_001])
def test_echo(wire: Wire, version: int, size: int) -> None:
    """RFC 792, RFC 4443 section 4.2: identifier, sequence and data come back."""
    payload = bytes(number % 256 for number in range(size))
    wire.send(echo(wire, version, payload))
    answer = wire.heard(IcmpFrame)
    assert answer.message == Echo(1, 2, payload, is_reply=True)
    assert answer.ttl == 64


@pytest.mark.parametrize("version", [4, 6])
def test_a_wrong_checksum_of_icmp_is_ignored(wire: Wire, version: int) -> None:
    data = as_bytes(echo(wire, version, b"abcd"))
    data[-1] ^= 1
    wire.send_bytes(bytes(data))
    assert wire.silent(IcmpFrame)


def test_a_wrong_checksum_of_ipv4_is_ignored(wire: Wire) -> None:
    """RFC 1122 section 3.2.1.2."""
    data = as_bytes(echo(wire, 4, b"abcd"))
    data[24] ^= 1
    wire.send_bytes(bytes(data))
    assert wire.silent(IcmpFrame)


@pytest.mark.parametrize("version", [4, 6])
def test_a_wrong_checksum_of_udp_is_ignored(wire: Wire, version: int) -> None:
    """RFC 1122 section 4.1.3.4: not even to complain of it."""
    wire.host.udp(5_001)
    source, target = ends(wire, version)
    for port in (5_001, 5_002):
        data = as_bytes(UdpFrame(source, 4_000, target, port, b"abcd"))
        data[-1] ^= 1
        wire.send_bytes(bytes(data))
    assert wire.silent(IcmpFrame)
    assert wire.host.datagrams(5_001) == []


@pytest.mark.parametrize("version", [4, 6])
def test_a_port_that_nobody_has_is_unreachable(wire: Wire, version: int) -> None:
    """RFC 1122 sections 4.1.3.1 and 3.2.2: the packet is quoted from its IP header on; RFC 4443 section 3.1."""
    source, target = ends(wire, version)
    asked = UdpFrame(source, 4_000, target, 5_003, b"hello" * 20)
    wire.send(asked)
    answer = wire.heard(IcmpFrame)
    if version == 4:
        assert answer.message == Unreachable(3, encode_packet(asked))
    else:
        assert answer.message == Icmpv6Error(1, 4, 0, encode_packet(asked))


@pytest.mark.parametrize("version", [4, 6])
def test_a_quote_is_of_bounded_length(wire: Wire, version: int) -> None:
    """RFC 1812 section 4.3.2.3: 576 bytes with all headers; RFC 4443 section 2.4 (c): the least MTU, 1,280."""
    source, target = ends(wire, version)
    asked = UdpFrame(source, 4_000, target, 5_004, bytes(1_400))
    wire.send(asked)
    quoted = wire.heard(IcmpFrame).message.original
    assert len(quoted) == (576 - 28 if version == 4 else 1_280 - 48)
    assert encode_packet(asked).startswith(quoted)


@pytest.mark.parametrize("version", [4, 6])
def test_a_protocol_that_nobody_speaks_is_unreachable(wire: Wire, version: int) -> None:
    """RFC 1122 section 3.2.2.1; RFC 4443 section 3.4: the pointer is at the Next Header field."""
    head = 20 if version == 4 else 40
    asked = OpaqueFrame(253, *ends(wire, version), 14 + head + 8, 64, b"whatever", 0, False)
    wire.send(asked)
    message = wire.heard(IcmpFrame).message
    quoted = encode_packet(asked)
    assert message == (Unreachable(2, quoted) if version == 4 else Icmpv6Error(4, 1, 6, quoted))


def pieces(wire: Wire, version: int, number: int, cuts: list[tuple[int, int]], payload: bytes) -> list[OpaqueFrame]:
    source, target = ends(wire, version)
    whole = encode_payload(UdpFrame(source, 4_000, target, 5_005, payload))
    made = []
    for start, end in cuts:
        part = whole[start:end]
        head = 20 if version == 4 else 48
        one = OpaqueFrame(17, source, target, 14 + head + len(part), 64, part, start, end < len(whole))
        one.identification = number
        made.append(one)
    return made


WHOLE = bytes(number % 251 for number in range(232))  # with UDP's header 240 bytes


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("order", "cuts"),
    [
        ("in order", [(0, 80), (80, 160), (160, 240)]),
        ("reversed", [(160, 240), (80, 160), (0, 80)]),
        ("one twice", [(0, 80), (80, 160), (80, 160), (160, 240)]),
        ("the middle last", [(0, 80), (160, 240), (80, 160)]),
    ],
)
def test_fragments_are_put_together(wire: Wire, version: int, order: str, cuts: list[tuple[int, int]]) -> None:
    """RFC 791 section 3.2, RFC 8200 section 4.5; exact duplicates may be ignored (RFC 5722, RFC 8200)."""
    wire.host.udp(5_005)
    for piece in pieces(wire, version, 77, cuts, WHOLE):
        wire.send(piece)
    wire.silent(IcmpFrame, SOON_S)
    assert wire.host.datagrams(5_005) == [WHOLE], order


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_that_overlap_are_for_nobody(wire: Wire, version: int) -> None:
    """RFC 5722; Linux does the same with IPv4 since 4.18, after FragmentSmack."""
    wire.host.udp(5_005)
    for piece in pieces(wire, version, 78, [(0, 80), (72, 160), (160, 240)], WHOLE):
        wire.send(piece)
    wire.silent(IcmpFrame, SOON_S)
    assert wire.host.datagrams(5_005) == []


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_of_two_packets_are_kept_apart(wire: Wire, version: int) -> None:
    wire.host.udp(5_005)
    other = bytes(reversed(WHOLE))
    first = pieces(wire, version, 79, [(0, 80), (80, 240)], WHOLE)
    second = pieces(wire, version, 80, [(0, 80), (80, 240)], other)
    for piece in (first[0], second[0], second[1], first[1]):
        wire.send(piece)
    wire.silent(IcmpFrame, SOON_S)
    assert wire.host.datagrams(5_005) == [other, WHOLE]


def test_arp_is_answered_for_what_is_ones_own(wire: Wire) -> None:
    """RFC 826."""
    wire.send(ArpFrame(0, 0, Arp(1, MAC, to_ip(wire.ours), NO_MAC, to_ip(PEER))))  # type: ignore[arg-type]
    answer = wire.heard(ArpFrame).message
    assert (answer.operation, answer.sender_ip, answer.target_ip) == (2, to_ip(PEER), to_ip(wire.ours))
    assert answer.sender_mac == MacAddress(PEER_MAC.to_bytes(6))


def test_arp_is_not_answered_for_others_nor_for_replies_and_announcements(wire: Wire) -> None:
    ours: Any = to_ip(wire.ours)
    wire.send(ArpFrame(0, 0, Arp(1, MAC, ours, NO_MAC, to_ip(PEER + 1))))  # type: ignore[arg-type]
    wire.send(ArpFrame(0, 0, Arp(1, MAC, ours, NO_MAC, ours)))
    wire.send(ArpFrame(0, 0, Arp(2, MAC, ours, MAC, to_ip(PEER))))  # type: ignore[arg-type]
    assert wire.silent(ArpFrame)


def test_a_neighbour_is_told_by_who_has_the_address(wire: Wire) -> None:
    """RFC 4861 section 7.2.4."""
    asked: Any = to_ip(PEER_V6)
    wire.send(IcmpFrame(wire.ours_v6, PEER_V6, NeighborSolicitation(asked), 24, 255))
    told = wire.heard(IcmpFrame)
    assert isinstance(told.message, NeighborAdvertisement)
    assert (told.message.target, told.message.is_solicited, told.message.is_router) == (asked, True, False)
    assert told.ttl == 255


def test_a_neighbour_beyond_a_router_is_not_told(wire: Wire) -> None:
    """RFC 4861 section 7.1.1: a hop limit below 255 has come from elsewhere."""
    asked: Any = to_ip(PEER_V6)
    wire.send(IcmpFrame(wire.ours_v6, PEER_V6, NeighborSolicitation(asked), 24, 254))
    assert wire.silent(IcmpFrame)


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_at_the_end_of_its_hops_has_arrived(wire: Wire, version: int) -> None:
    """RFC 1122 section 3.2.1.7: a host takes what comes with any TTL."""
    asked = echo(wire, version, b"last")
    asked.ttl = 1
    wire.send(asked)
    assert wire.heard(IcmpFrame).message.payload == b"last"
