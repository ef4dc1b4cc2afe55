"""Packets taken apart: which layers there are, where they lie, and what is said of what makes no sense."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.observe.packets.dissect import LAYERS_MAX, Dissected, dissect
from portside.wire import captured as links
from portside.wire import numbers
from portside.wire.arp import Arp, build_arp
from portside.wire.captured import CapturedPacket, Interface
from portside.wire.dns import DnsMessage, Question, build_dns
from portside.wire.ethernet import VlanTag, build_ethernet, parse_ethernet
from portside.wire.icmp import Echo, Unreachable, build_icmp
from portside.wire.icmpv6 import Icmpv6Error, NeighborSolicitation, build_icmpv6
from portside.wire.ipv4 import IPv4Packet, build_ipv4
from portside.wire.ipv6_extensions import DestinationOptions, Fragment, HopByHop, Routing
from portside.wire.sll import CookedPacket, build_sll2
from portside.wire.udp import Datagram, build_udp
from support.capturing import A6, B6, HERE, THERE, A, B, captured, dns, four, frame, six, tcp, udp
from support.packets_frames import frames

SOLICITATION = build_icmpv6(NeighborSolicitation(B6), source=A6, target=B6)
QUESTION = DnsMessage(7, (Question("example.com.", 1),))


def taken_apart(data: bytes, **more: Any) -> Dissected:
    return dissect(captured(data, **more))


def names(dissected: Dissected) -> list[str]:
    return [layer.name for layer in dissected.layers]


def spans(dissected: Dissected) -> list[tuple[int, int, int]]:
    return [(layer.start, layer.body, layer.end) for layer in dissected.layers]


@pytest.mark.parametrize(
    ("data", "expected", "left"),
    [
        (tcp(b"abc"), "ethernet ipv4 tcp", b"abc"),
        (udp(b"abc"), "ethernet ipv4 udp", b"abc"),
        (dns(QUESTION), "ethernet ipv4 udp dns", b""),
        (frame(0x0806, build_arp(Arp(1, HERE, A, THERE, B))), "ethernet arp", b""),
        (four(numbers.ICMP, build_icmp(Echo(1, 2, b"abc"))), "ethernet ipv4 icmp", b"abc"),
        (six(numbers.ICMPV6, SOLICITATION), "ethernet ipv6 icmpv6", b""),
        (six(253, b"abc", extensions=(HopByHop(), Routing(0, 0), DestinationOptions(), Fragment(1))),
         "ethernet ipv6 hop_by_hop routing destination fragment", b"abc"),
        (four(numbers.IPV4, tcp(b"abc")[14:]), "ethernet ipv4 ipv4 tcp", b"abc"),
        (frame(0x88CC, b"abc"), "ethernet", b"abc"),
        (frame(3, b"abc"), "ethernet", b"abc"),  # 802.3: the number is a length
        (four(253, b"abc"), "ethernet ipv4", b"abc"),
    ],
)  # fmt: skip
def test_layers_from_the_outside_in(data: bytes, expected: str, left: bytes) -> None:
    dissected = taken_apart(data)
    assert (names(dissected), dissected.data, dissected.problem) == (expected.split(), left, None)


def test_where_layers_lie_padding_of_the_frame_included() -> None:
    data = udp(b"abc") + bytes(15)
    dissected = taken_apart(data)
    assert spans(dissected) == [(0, 14, 60), (14, 34, 45), (34, 42, 45)]
    assert (dissected.rest, dissected.rest_end) == (42, 45)


def test_an_error_quotes_a_packet_which_may_be_cut() -> None:
    quoted = build_ipv4(IPv4Packet(B, A, numbers.UDP, build_udp(Datagram(7, 9, bytes(100)), source=B, target=A)))
    for original, left in ((quoted, 100), (quoted[:28], 0)):
        dissected = taken_apart(four(numbers.ICMP, build_icmp(Unreachable(3, original))))
        assert names(dissected) == ["ethernet", "ipv4", "icmp", "ipv4", "udp"]
        assert [layer.is_quoted for layer in dissected.layers] == [False, False, False, True, True]
        assert ([layer.name for layer in dissected.quoted], len(dissected.data)) == (["ipv4", "udp"], left)
        assert dissected.problem is None
    inner = six(numbers.UDP, build_udp(Datagram(7, 9, b"abc"), source=A6, target=B6))[14:]
    error = Icmpv6Error(1, 4, 0, inner)
    dissected = taken_apart(six(numbers.ICMPV6, build_icmpv6(error, source=A6, target=B6)))
    assert names(dissected) == ["ethernet", "ipv6", "icmpv6", "ipv6", "udp"]


def test_dns_over_tcp_where_a_segment_is_one_message() -> None:
    message = build_dns(QUESTION)
    length = len(message).to_bytes(2, "big")
    port_53 = tcp(length + message)
    port_53 = port_53[:36] + b"\0\x35" + port_53[38:]
    dissected = taken_apart(port_53)
    assert names(dissected) == ["ethernet", "ipv4", "tcp", "dns"]
    assert dissected.layers[-1].start == dissected.layers[-2].body + 2
    assert names(taken_apart(port_53[:-1])) == ["ethernet"]  # IP says that more bytes should have come
    other = tcp(length + message + b"more")
    assert names(taken_apart(other[:36] + b"\0\x35" + other[38:])) == ["ethernet", "ipv4", "tcp"]


def test_fragments_are_not_read_as_what_they_are_pieces_of() -> None:
    whole = build_udp(Datagram(40_000, 53, bytes(40)), source=A, target=B)
    first = taken_apart(four(numbers.UDP, whole[:24], more_fragments=True))
    assert (names(first), first.problem, len(first.data)) == (["ethernet", "ipv4", "udp"], None, 16)
    later = taken_apart(four(numbers.UDP, whole[24:], fragment_offset=24))
    assert (names(later), later.problem) == (["ethernet", "ipv4"], None)
    sixth = taken_apart(six(numbers.UDP, whole[24:], extensions=(Fragment(1, 24),)))
    assert (names(sixth), sixth.problem) == (["ethernet", "ipv6", "fragment"], None)


@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        (links.RAW, b""),
        (links.RAW_12, b""),
        (links.IPV4, b""),
        (links.NULL, b"\2\0\0\0"),
        (links.LOOP, b"\0\0\0\2"),
        (links.LINUX_SLL, bytes.fromhex("0000 0001 0006 0102030405060000 0800")),
        (links.LINUX_SLL2, build_sll2(CookedPacket(0, 1, b"\1\2\3\4\5\6", 0x0800))),
    ],
)
def test_links_of_other_kinds(link_type: int, head: bytes) -> None:
    dissected = taken_apart(head + udp(b"abc")[14:], interface=Interface("x", link_type))
    assert names(dissected)[-2:] == ["ipv4", "udp"]
    assert dissected.layers[-2].start == len(head)
    assert dissected.problem is None


def test_raw_packets_say_themselves_which_ip_they_are() -> None:
    data = six(253, b"abc")[14:]
    assert names(taken_apart(data, interface=Interface("tun0", links.RAW))) == ["ipv6"]


@pytest.mark.parametrize(
    ("data", "link_type", "said"),
    [
        (b"\1\2", links.ETHERNET, "Ethernet: 2 bytes came of 14"),
        (b"", links.RAW, "raw IP: 0 bytes came of 1"),
        (b"\2\0", links.NULL, "the loopback header: 2 bytes came of 4"),
        (b"abc", 105, "packets of Wi-Fi are not known here"),
        (udp(b"abc")[:-1], links.ETHERNET, "IPv4: 30 bytes came of 31"),
        (tcp(b"")[:46] + b"\x10" + tcp(b"")[47:], links.ETHERNET, "TCP: the header says it has 4 bytes"),
        (udp(b"not DNS", target=53), links.ETHERNET, "DNS: "),
    ],
)
def test_what_makes_no_sense_is_told_and_the_rest_is_data(data: bytes, link_type: int, said: str) -> None:
    dissected = taken_apart(data, interface=Interface("x", link_type))
    assert said in (dissected.problem or "")
    assert data.endswith(dissected.data)


def test_a_packet_that_was_cut_off_by_the_capture_is_read_as_far_as_it_goes() -> None:
    data = tcp(bytes(1_000))
    cut = dissect(CapturedPacket(Interface(), 0, data[:60], len(data)))
    assert (names(cut), cut.problem, len(cut.data)) == (["ethernet", "ipv4", "tcp"], None, 6)


def test_a_length_of_nought_is_left_to_the_hardware() -> None:
    data = bytearray(tcp(b"abc"))
    data[16:18] = bytes(2)
    dissected = taken_apart(bytes(data))
    assert (names(dissected), dissected.data) == (["ethernet", "ipv4", "tcp"], b"abc")


def test_headers_nested_without_end_are_given_up() -> None:
    packet = b""
    for _ in range(40):
        packet = build_ipv4(IPv4Packet(A, B, numbers.IPV4, packet))
    dissected = taken_apart(frame(0x0800, packet))
    assert len(dissected.layers) == LAYERS_MAX
    assert "more than 24 headers within each other" in (dissected.problem or "")


def test_tags_are_part_of_the_ethernet_header() -> None:
    plain = parse_ethernet(udp(b"abc"))
    data = build_ethernet(type(plain)(plain.target, plain.source, plain.type, plain.payload, (VlanTag(7), VlanTag(8))))
    assert spans(taken_apart(data))[0] == (0, 22, len(data))


@given(frames())
def test_layers_lie_within_each_other(data: bytes) -> None:
    dissected = taken_apart(data)
    assert dissected.problem is None
    for outer, inner in zip(dissected.layers, dissected.layers[1:], strict=False):
        assert outer.body <= inner.start <= inner.body <= inner.end <= outer.end
    last = dissected.layers[-1]
    assert (dissected.rest, dissected.rest_end) == (last.body, last.end)


@given(st.binary(max_size=150), st.sampled_from([0, 1, 12, 101, 105, 108, 113, 228, 229, 276]))
def test_any_bytes_are_taken_apart(data: bytes, link_type: int) -> None:
    dissected = taken_apart(data, interface=Interface("x", link_type))
    assert dissected.data == data[dissected.rest : dissected.rest_end]
