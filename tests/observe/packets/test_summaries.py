"""Packets in one line: what is said of each kind."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.observe.packets.dissect import dissect
from portside.observe.packets.summaries import End, Summarizer, Summary
from portside.wire import captured as links
from portside.wire import dns_records as rr
from portside.wire import icmp, icmpv6, neighbor, numbers
from portside.wire.arp import Arp, build_arp
from portside.wire.captured import CapturedPacket, Interface
from portside.wire.dns import DnsMessage, Question, Record
from portside.wire.ethernet import BROADCAST, NO_MAC
from portside.wire.icmp import Echo, build_icmp
from portside.wire.icmpv6 import build_icmpv6
from portside.wire.ipv4 import IPv4Packet, build_ipv4
from portside.wire.ipv6_extensions import Fragment
from portside.wire.sll import CookedPacket, build_sll2
from portside.wire.tcp import Flags
from portside.wire.tcp_options import MaximumSegmentSize, NoOperation, Sack, SackPermitted, Timestamps, WindowScale
from portside.wire.udp import Datagram, build_udp
from support.capturing import A6, B6, HERE, THERE, A, B, captured, dns, four, frame, six, tcp, udp
from support.packets_frames import frames

PORTS = (End(str(A), 40_000), End(str(B), 80))


def summary(*datas: bytes, is_short: bool = False, **more: Any) -> Summary:
    """Return the summary of the last of several packets in their order."""
    summarizer = Summarizer()
    for data in datas:
        dissected = dissect(captured(data, **more))
        said = summarizer.summarize(dissected, summarizer.relative(dissected), is_short=is_short)
    return said


def words(*datas: bytes, **more: Any) -> str:
    return summary(*datas, **more).words


# ── TCP and UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────

SYN = tcp(
    flags=Flags.SYN,
    window=64_240,
    options=(MaximumSegmentSize(1_460), SackPermitted(), Timestamps(1, 0), NoOperation(), WindowScale(7)),
)


def test_a_syn_tells_what_it_offers() -> None:
    assert summary(SYN) == Summary(*PORTS, "TCP", "SYN seq=0 win=64240 len=0 mss=1460 sack scale=7")


def test_a_segment_is_told_with_numbers_of_its_connection() -> None:
    reply = tcp(b"hello", is_back=True, sequence=9_001, acknowledgement=1_001, flags=Flags.PSH | Flags.ACK, window=5)
    said = summary(SYN, reply)
    assert (said.source, said.target) == PORTS[::-1]
    assert said.words == "PSH ACK seq=1 ack=1 win=5 len=5"
    assert words(SYN, reply, reply) == "PSH ACK seq=1 ack=1 win=5 len=5 again"


def test_selective_acknowledgements_count_from_the_peers_first() -> None:
    ack = tcp(is_back=True, sequence=9_001, acknowledgement=1_001, options=(Sack(((1_101, 1_201), (1_301, 1_401))),))
    assert words(SYN, ack) == "ACK seq=1 ack=1 win=0 len=0 sack=101-201,301-401"


def test_flags_that_are_seldom() -> None:
    assert words(tcp(flags=0, window=1)) == "no flags seq=1 win=1 len=0"
    assert (
        words(tcp(b"x", flags=Flags.URG | Flags.ACK, urgent=1, window=1)) == "ACK URG seq=1 ack=1 win=1 len=1 urgent=1"
    )


def test_where_there_is_little_room_only_a_closed_window_is_told() -> None:
    assert words(tcp(b"abc", window=5), is_short=True) == "ACK seq=1 ack=1 len=3"
    assert words(tcp(b"abc", window=0), is_short=True) == "ACK seq=1 ack=1 win=0 len=3"


def test_datagrams() -> None:
    assert summary(udp(b"abc")) == Summary(End(str(A), 40_000), End(str(B), 9), "UDP", "len=3")
    said = summary(six(numbers.UDP, build_udp(Datagram(7, 9, b"abc"), source=A6, target=B6)))
    assert str(said.source) == "[2001:db8::1]:7"


# ── below IP, and IP alone ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arp", "expected"),
    [
        (Arp(1, HERE, A, NO_MAC, B), "who has 192.0.2.2? asks 192.0.2.1"),
        (Arp(2, HERE, A, THERE, B), "192.0.2.1 is at 02:00:00:00:00:01"),
        (Arp(1, HERE, type(A)(0), NO_MAC, B), "is 192.0.2.2 free? asks 02:00:00:00:00:01"),
        (Arp(1, HERE, A, NO_MAC, A), "192.0.2.1 is at 02:00:00:00:00:01, an announcement"),
        (Arp(3, HERE, A, THERE, B), "operation 3"),
    ],
)
def test_arp_in_words(arp: Arp, expected: str) -> None:
    said = summary(frame(0x0806, build_arp(arp)))
    assert said == Summary(End(str(HERE)), End(str(THERE)), "ARP", expected)


def test_frames_of_other_protocols() -> None:
    ends = (End(str(HERE)), End(str(THERE)))
    assert summary(frame(0x88CC, b"abc")) == Summary(*ends, "LLDP", "len=3")
    assert summary(frame(0x1234, b"abc")) == Summary(*ends, "type 0x1234", "len=3")
    assert summary(frame(3, b"abc")) == Summary(*ends, "802.3", "len=3")


def test_cooked_packets_tell_the_sender_alone() -> None:
    said = summary(
        build_sll2(CookedPacket(0, 1, HERE.packed, 0x88CC, b"abc")), interface=Interface("any", links.LINUX_SLL2)
    )
    assert said == Summary(End(str(HERE)), None, "LLDP", "len=3")


def test_ip_that_carries_something_else() -> None:
    assert summary(four(253, b"abc")) == Summary(End(str(A)), End(str(B)), "protocol 253", "len=3")
    assert summary(six(numbers.ESP, b"abc")).protocol == "ESP"


def test_fragments() -> None:
    later = four(numbers.UDP, bytes(16), identification=7, fragment_offset=1_480)
    assert summary(later) == Summary(End(str(A)), End(str(B)), "UDP", "fragment of 7: bytes 1480 to 1496, the last")
    middle = six(numbers.UDP, bytes(16), extensions=(Fragment(7, 8, more=True),))
    assert words(middle) == "fragment of 7: bytes 8 to 24, more follow"


def test_a_tunnel_is_told_by_what_is_in_it() -> None:
    inner = build_ipv4(IPv4Packet(B, A, numbers.UDP, build_udp(Datagram(7, 9), source=B, target=A)))
    assert summary(four(numbers.IPV4, inner)) == Summary(End(str(B), 7), End(str(A), 9), "UDP", "len=0")


# ── ICMP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

QUOTED = build_ipv4(IPv4Packet(B, A, numbers.UDP, build_udp(Datagram(7, 9, b"hello"), source=B, target=A)))
ABOUT = ", for UDP 192.0.2.2:7 → 192.0.2.1:9"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Echo(1, 2, bytes(56)), "echo request id=1 seq=2 len=56"),
        (Echo(1, 2, b"", is_reply=True), "echo reply id=1 seq=2 len=0"),
        (icmp.Unreachable(3, QUOTED), "port unreachable" + ABOUT),
        (icmp.Unreachable(4, QUOTED, 1_400), "fragmentation needed, at most 1400 bytes" + ABOUT),
        (icmp.TimeExceeded(0, QUOTED[:20]), "time to live exceeded, for UDP 192.0.2.2 → 192.0.2.1"),
        (icmp.TimeExceeded(0, b""), "time to live exceeded"),
        (icmp.Redirect(1, B, QUOTED), "redirect for the host to 192.0.2.2" + ABOUT),
        (icmp.OtherIcmp(13, 0, bytes(4)), "timestamp request"),
        (icmp.OtherIcmp(77, 1, bytes(4)), "type 77, code 1"),
    ],
)
def test_icmp_in_words(message: icmp.Icmp, expected: str) -> None:
    said = summary(four(numbers.ICMP, build_icmp(message)))
    assert (said.protocol, said.words) == ("ICMP", expected)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Echo(1, 2, b"x"), "echo request id=1 seq=2 len=1"),
        (icmpv6.Icmpv6Error(2, 0, 1_280), "packet too big, at most 1280 bytes"),
        (icmpv6.NeighborSolicitation(B6), "who has 2001:db8::2?"),
        (
            icmpv6.NeighborSolicitation(B6, (neighbor.LinkLayerAddress(HERE),)),
            "who has 2001:db8::2? asks 02:00:00:00:00:01",
        ),
        (icmpv6.NeighborAdvertisement(B6), "2001:db8::2 is here"),
        (
            icmpv6.NeighborAdvertisement(B6, options=(neighbor.LinkLayerAddress(HERE, True),)),
            "2001:db8::2 is at 02:00:00:00:00:01",
        ),
        (icmpv6.RouterSolicitation(), "which routers are there?"),
        (
            icmpv6.RouterAdvertisement(
                lifetime_s=1_800, options=(neighbor.PrefixInformation(IPv6Address("2001:db8::"), 64, 1, 1),)
            ),
            "a router for 1800 s, prefix 2001:db8::/64",
        ),
        (icmpv6.RedirectV6(A6, B6), "redirect for 2001:db8::2 to 2001:db8::1"),
        (icmpv6.OtherIcmpv6(143, 0), "multicast listener report, version 2"),
        (icmpv6.OtherIcmpv6(99, 1), "type 99, code 1"),
    ],
)
def test_icmpv6_in_words(message: icmpv6.Icmpv6, expected: str) -> None:
    said = summary(six(numbers.ICMPV6, build_icmpv6(message, source=A6, target=B6)))
    assert (said.protocol, said.words) == ("ICMPv6", expected)


# ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

ASKED = (Question("example.com.", 1),)
ADDRESS = Record("example.com.", 300, rr.A(B))


def answer(*answers: Record, **more: Any) -> DnsMessage:
    return DnsMessage(7, ASKED, answers, is_response=True, **more)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (DnsMessage(7, ASKED), "#7 asks A of example.com."),
        (DnsMessage(7), "#7 asks nothing"),
        (DnsMessage(7, (*ASKED, Question("b.", 28))), "#7 asks A of example.com. and AAAA of b."),
        (answer(ADDRESS), "#7 answers A of example.com.: 192.0.2.2"),
        (
            answer(Record("example.com.", 1, rr.CNAME("b.")), ADDRESS),
            "#7 answers A of example.com.: CNAME b., 192.0.2.2",
        ),
        (answer(*[ADDRESS] * 8), "#7 answers A of example.com.: " + ", ".join(["192.0.2.2"] * 6) + " and 2 more"),
        (answer(), "#7 answers A of example.com.: no data"),
        (answer(rcode=3), "#7 answers A of example.com.: no such name"),
        (answer(rcode=11), "#7 answers A of example.com.: rcode 11"),
        (answer(is_truncated=True), "#7 answers A of example.com.: no data, truncated"),
        (answer(authority=(Record("com.", 1, rr.NS("a.")),)), "#7 answers A of example.com.: ask a."),
        (DnsMessage(0, answers=(ADDRESS,), is_response=True), "#0 tells example.com. A 192.0.2.2"),
        (DnsMessage(7, ASKED, opcode=4), "#7 notify A of example.com."),
        (DnsMessage(7, ASKED, opcode=5, is_response=True), "#7 update answer A of example.com."),
    ],
)
def test_dns_in_words(message: DnsMessage, expected: str) -> None:
    said = summary(dns(message))
    assert (said.protocol, said.words) == ("DNS", expected)


def test_multicast_dns_by_its_port() -> None:
    data = dns(DnsMessage(0, ASKED))
    port = bytes.fromhex("14e9")
    assert summary(data[:36] + port + data[38:]).protocol == "mDNS"


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_malformed_packet_says_so_as_far_as_it_is_understood() -> None:
    short = tcp()[:46] + b"\x10" + tcp()[47:]
    assert summary(short) == Summary(
        End(str(A)),
        End(str(B)),
        "TCP",
        "len=20, malformed: TCP: the header says it has 4 bytes, it has 20 at least",
    )
    assert summary(b"abc") == Summary(None, None, "?", "len=3, malformed: Ethernet: 3 bytes came of 14")


def test_a_packet_that_was_cut_says_so() -> None:
    data = udp(bytes(100))
    dissected = dissect(CapturedPacket(Interface(), 0, data[:60], len(data)))
    said = Summarizer().summarize(dissected, None)
    assert said.words == "len=18, only 60 of 142 bytes captured"


@given(st.binary(max_size=120) | frames(), st.booleans())
def test_every_packet_has_a_summary(data: bytes, is_short: bool) -> None:
    said = summary(data, is_short=is_short)
    assert said.protocol
    assert said.words


def test_broadcasts_are_no_special_case() -> None:
    assert summary(frame(0x0806, build_arp(Arp(1, HERE, A, BROADCAST, B)))).protocol == "ARP"
