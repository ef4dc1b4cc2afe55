"""Fields of headers: each byte belongs to one, whatever the packet; and their words."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from hypothesis import given

from portside.observe.packets.checksums import NOT_COMPUTED
from portside.observe.packets.dissect import Dissected, dissect
from portside.observe.packets.field_lines import FieldLine
from portside.observe.packets.fields import fields_of
from portside.observe.packets.flows import Flows
from portside.wire import dns_records as rr
from portside.wire import icmp, icmpv6, ipv6_extensions, neighbor, numbers
from portside.wire.arp import Arp, build_arp
from portside.wire.captured import LINUX_SLL, LINUX_SLL2, CapturedPacket, Interface
from portside.wire.checksum import pseudo_header_sum
from portside.wire.dns import DnsMessage, Edns, Question, Record
from portside.wire.ethernet import BROADCAST, Frame, VlanTag, build_ethernet, parse_mac
from portside.wire.icmp import build_icmp
from portside.wire.icmpv6 import build_icmpv6
from portside.wire.ipv4 import IPv4Option, IPv4Packet, build_ipv4
from portside.wire.sll import CookedPacket, build_sll2
from portside.wire.tcp import Flags
from portside.wire.tcp_options import (
    MaximumSegmentSize,
    NoOperation,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
)
from portside.wire.udp import Datagram, build_udp
from support.capturing import A6, B6, HERE, THERE, A, B, captured, dns, four, frame, six, tcp, udp
from support.packets_frames import frames


def told(data: bytes, name: str, **more: Any) -> dict[str, str]:
    """Return names and words of a layer's fields; a name that comes again has a number behind it."""
    return words_of(dissect(captured(data, **more)), name)


def words_of(dissected: Dissected, name: str) -> dict[str, str]:
    layer = next(layer for layer in dissected.layers if layer.name == name)
    found: dict[str, str] = {}
    for each in fields_of(dissected, layer):
        again = sum(key.rstrip(" 0123456789") == each.name for key in found)
        found[f"{each.name} {again + 1}" if again else each.name] = each.text
    return found


@given(frames())
def test_fields_fill_their_header_one_behind_the_other(data: bytes) -> None:
    dissected = dissect(captured(data))
    assert dissected.problem is None
    for layer in dissected.layers:
        fields: list[FieldLine] = fields_of(dissected, layer)
        at = layer.start
        for each in fields:
            assert each.start == at
            assert each.size_bytes > 0
            at += each.size_bytes
        assert at == layer.body


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ethernet() -> None:
    multicast = parse_mac("01:00:5e:00:00:01")
    data = build_ethernet(Frame(multicast, HERE, 0x0800, b"", (VlanTag(7, 3, True),)))
    assert told(data, "ethernet") == {
        "target": "01:00:5e:00:00:01 multicast",
        "source": "02:00:00:00:00:01",
        "VLAN tag": "VLAN 7, priority 3, may be dropped",
        "type": "0x0800 IPv4",
    }
    assert told(build_ethernet(Frame(BROADCAST, HERE, 3, b"abc")), "ethernet") == {
        "target": "ff:ff:ff:ff:ff:ff broadcast",
        "source": "02:00:00:00:00:01",
        "length": "3",
    }


def test_cooked_packets_of_both_versions() -> None:
    second = build_sll2(CookedPacket(4, 772, b"", 0x88CC, b"", 3))
    assert told(second, "cooked", interface=Interface("any", LINUX_SLL2)) == {
        "protocol": "0x88cc LLDP",
        "reserved": "",
        "interface": "3",
        "hardware": "772",
        "packet type": "4 from us",
        "address length": "0",
        "sender": "none",
    }
    first = bytes.fromhex("0000 0001 0006 0102030405060000 88cc")
    assert told(first, "cooked", interface=Interface("any", LINUX_SLL)) == {
        "packet type": "0 to us",
        "hardware": "1",
        "address length": "6",
        "sender": "01:02:03:04:05:06",
        "protocol": "0x88cc LLDP",
    }


def test_arp() -> None:
    assert told(frame(0x0806, build_arp(Arp(1, HERE, A, THERE, B))), "arp") == {
        "hardware": "1 Ethernet",
        "protocol": "0x0800 IPv4",
        "hardware length": "6",
        "protocol length": "4",
        "operation": "1 request",
        "sender MAC": "02:00:00:00:00:01",
        "sender IP": "192.0.2.1",
        "target MAC": "02:00:00:00:00:02",
        "target IP": "192.0.2.2",
    }
    assert told(frame(0x0806, build_arp(Arp(9, HERE, A, THERE, B))), "arp")["operation"] == "9"


# ── IP ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ipv4() -> None:
    options = (IPv4Option(7, bytes([8]) + A.packed), IPv4Option(1), IPv4Option(148, bytes(2)))
    data = four(253, b"abc", dscp=46, ecn=3, identification=7, dont_fragment=True, options=options)
    assert told(data, "ipv4") == {
        "version, length": "4, 8 words = 32 bytes",
        "service": "DSCP 46 expedited forwarding, congestion experienced",
        "total length": "35 bytes",
        "identification": "7",
        "flags, offset": "don't fragment, offset 0",
        "time to live": "64",
        "protocol": "253 protocol 253",
        "checksum": f"{int.from_bytes(data[24:26], 'big'):#06x}, right",
        "source": "192.0.2.1",
        "target": "192.0.2.2",
        "option": "record route: 192.0.2.1",
        "option 2": "no operation",
        "option 3": "router alert",
    }


@pytest.mark.parametrize(
    ("dscp", "words"),
    [(0, "DSCP 0 best effort"), (8, "DSCP 8 class 1"), (10, "DSCP 10 AF11"), (38, "DSCP 38 AF43"), (3, "DSCP 3")],
)
def test_the_service_in_words(dscp: int, words: str) -> None:
    assert told(four(253, b"", dscp=dscp), "ipv4")["service"] == f"{words}, no ECN"


def test_flags_of_fragments() -> None:
    data = four(253, bytes(8), more_fragments=True, fragment_offset=1_480, reserved_flag=True)
    assert told(data, "ipv4")["flags, offset"] == "reserved, more fragments, offset 1480"


def test_ipv6_and_its_extensions() -> None:
    chain = (
        ipv6_extensions.HopByHop((ipv6_extensions.IPv6Option(5, bytes(2)),)),
        ipv6_extensions.Routing(4, 1, bytes([1, 0, 0, 0]) + A6.packed + B6.packed),
        ipv6_extensions.Fragment(7, 16, more=True),
    )
    data = six(numbers.UDP, bytes(8), extensions=chain, traffic_class=1, flow_label=5)
    assert told(data, "ipv6") == {
        "version, flow": "6, DSCP 0 best effort, ECN capable (1), flow 0x00005",
        "payload length": "64 bytes",
        "next header": "0 hop-by-hop options",
        "hop limit": "64",
        "source": "2001:db8::1",
        "target": "2001:db8::2",
    }
    assert told(data, "hop_by_hop") == {
        "next header": "43 routing",
        "length": "0: 8 bytes",
        "option": "router alert",
        "padding": "",
    }
    assert told(data, "routing") == {
        "next header": "44 fragment",
        "length": "4: 40 bytes",
        "kind": "4",
        "segments left": "1",
        "more": "",
        "station": "2001:db8::1",
        "station 2": "2001:db8::2",
    }
    assert told(data, "fragment") == {
        "next header": "17 UDP",
        "reserved": "",
        "offset, flags": "offset 16, more fragments",
        "identification": "7",
    }


# ── TCP and UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_udp() -> None:
    checksum = f"{int.from_bytes(udp(b'abc')[40:42], 'big'):#06x}, right"
    assert told(udp(b"abc"), "udp") == {
        "source port": "40000",
        "target port": "9",
        "length": "11 bytes",
        "checksum": checksum,
    }


def test_tcp_with_its_place_in_the_connection() -> None:
    options = (
        MaximumSegmentSize(1_460),
        SackPermitted(),
        Timestamps(7, 0),
        WindowScale(7),
        NoOperation(),
        UnknownOption(30, b"x"),
    )
    flows = Flows()
    for data in (
        tcp(flags=Flags.SYN, options=(WindowScale(2),)),
        tcp(
            is_back=True, flags=Flags.SYN | Flags.ACK, options=(WindowScale(2),), sequence=9_000, acknowledgement=1_001
        ),
        tcp(b"abc", sequence=1_001, acknowledgement=9_001, window=500, options=options),
    ):
        dissected = dissect(captured(data))
        ip, layer = dissected.layers[1].value, dissected.layers[2]
        relative = flows.follow(ip.source, ip.target, layer.value)  # type: ignore[union-attr, arg-type]
    lines = fields_of(dissected, layer, relative)
    assert {each.name: each.text for each in lines[:8]} == {
        "source port": "40000",
        "target port": "80",
        "sequence": "1001, relative 1",
        "acknowledgement": "9001, relative 1",
        "length, flags": "11 words = 44 bytes, ACK",
        "window": "500, scaled 2000",
        "checksum": f"{int.from_bytes(data[50:52], 'big'):#06x}, right",
        "urgent pointer": "none",
    }
    assert [(each.name, each.text) for each in lines[8:]] == [
        ("option", "MSS 1460 bytes"),
        ("option", "SACK permitted"),
        ("option", "timestamp 7, echo 0"),
        ("option", "window scale 7: times 128"),
        ("option", "no operation"),
        ("option", "option 30"),
        ("padding", ""),
    ]


def test_tcp_alone() -> None:
    found = told(tcp(flags=Flags.URG, urgent=3, options=(Sack(((1, 2), (3, 4))),)), "tcp")
    assert found["sequence"] == "1000"
    assert found["acknowledgement"] == "none"
    assert found["urgent pointer"] == "3"
    assert found["option"] == "SACK 1 to 2, 3 to 4"
    assert told(tcp(flags=0), "tcp")["length, flags"] == "5 words = 20 bytes, no flags"


# ── ICMP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (icmp.Echo(1, 2), {"type": "8 echo request", "code": "0", "identifier": "1", "sequence": "2"}),
        (
            icmp.Unreachable(4, b"", 1_400),
            {"type": "3 unreachable", "code": "4 fragmentation needed", "unused": "", "quoted length": "all of it",
             "next hop's MTU": "1400 bytes"},
        ),
        (
            icmp.TimeExceeded(0, b"", 8),
            {"type": "11 time exceeded", "code": "0 time to live exceeded", "unused": "", "quoted length": "8 words",
             "unused 2": ""},
        ),
        (
            icmp.ParameterProblem(0, 20),
            {"type": "12 parameter problem", "code": "0 wrong at byte 20", "pointer": "20",
             "quoted length": "all of it", "unused": ""},
        ),
        (icmp.Redirect(1, B), {"type": "5 redirect", "code": "1", "gateway": "192.0.2.2"}),
        (icmp.OtherIcmp(99, 7, bytes(4)), {"type": "99", "code": "7", "more": ""}),
    ],
)  # fmt: skip
def test_icmp(message: icmp.Icmp, expected: dict[str, str]) -> None:
    found = told(four(numbers.ICMP, build_icmp(message)), "icmp")
    assert found.pop("checksum").endswith(", right")
    assert found == expected


PREFIX = neighbor.PrefixInformation(IPv6Address("2001:db8::"), 64, 0xFFFF_FFFF, 600, is_autonomous=False)
ROUTER_TELLS = (PREFIX, neighbor.LinkMtu(1_500), neighbor.NameServers(600, (A6,)))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (icmp.Echo(1, 2), {"type": "128 echo request", "code": "0", "identifier": "1", "sequence": "2"}),
        (
            icmpv6.Icmpv6Error(2, 0, 1_280),
            {"type": "2 packet too big", "code": "0 packet too big, at most 1280 bytes", "MTU": "1280"},
        ),
        (
            icmpv6.Icmpv6Error(4, 0, 6),
            {"type": "4 parameter problem", "code": "0 wrong header field at byte 6", "pointer": "6"},
        ),
        (icmpv6.Icmpv6Error(3, 0), {"type": "3 time exceeded", "code": "0 hop limit exceeded", "unused": ""}),
        (icmpv6.RouterSolicitation(), {"type": "133 router solicitation", "code": "0", "reserved": ""}),
        (
            icmpv6.RouterAdvertisement(0, True, True, 1_800, 0, 0, ROUTER_TELLS),
            {"type": "134 router advertisement", "code": "0", "hop limit": "not said",
             "flags": "addresses by DHCP, more by DHCP", "lifetime": "1800 s", "reachable": "not said",
             "retransmit": "not said", "option": "prefix 2001:db8::/64, valid for ever, preferred 600 s, on link",
             "option 2": "MTU 1500 bytes", "option 3": "name servers 2001:db8::1 for 600 s"},
        ),
        (
            icmpv6.NeighborAdvertisement(B6, True, False, True, (neighbor.LinkLayerAddress(HERE, True),)),
            {"type": "136 neighbor advertisement", "code": "0", "flags": "router, override", "target": "2001:db8::2",
             "option": "target is at 02:00:00:00:00:01"},
        ),
        (
            icmpv6.NeighborSolicitation(B6, (neighbor.UnknownNeighborOption(99, bytes(6)),)),
            {"type": "135 neighbor solicitation", "code": "0", "reserved": "", "target": "2001:db8::2",
             "option": "option 99"},
        ),
        (
            icmpv6.RedirectV6(A6, B6, (neighbor.RedirectedPacket(bytes(8)),)),
            {"type": "137 redirect", "code": "0", "reserved": "", "target": "2001:db8::1",
             "destination": "2001:db8::2", "option": "the packet's first 8 bytes"},
        ),
        (icmpv6.OtherIcmpv6(143, 0, b"abcd"), {"type": "143 multicast listener report, version 2", "code": "0"}),
    ],
)  # fmt: skip
def test_icmpv6(message: icmpv6.Icmpv6, expected: dict[str, str]) -> None:
    found = told(six(numbers.ICMPV6, build_icmpv6(message, source=A6, target=B6)), "icmpv6")
    assert found.pop("checksum").endswith(", right")
    assert found == expected


# ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_dns() -> None:
    message = DnsMessage(
        7,
        (Question("example.com.", 1),),
        (Record("example.com.", 300, rr.A(B)),),
        (Record("com.", 60, rr.NS("a.")),),
        (Record("a.", 60, rr.A(A)),),
        is_response=True,
        is_authoritative=True,
        recursion_desired=True,
        edns=Edns(1_232, dnssec_ok=True, options=((10, b"x"),)),
    )
    assert told(dns(message), "dns") == {
        "id": "7",
        "flags": "answer, no error, authoritative, recursion desired",
        "questions": "1",
        "answers": "1",
        "authority": "1",
        "additional": "2",
        "question": "example.com. A",
        "answer": "example.com. A 192.0.2.2, 300 s",
        "authority 2": "com. NS a., 60 s",
        "additional 2": "a. A 192.0.2.1, 60 s",
        "EDNS": "datagrams of 1232 bytes, DNSSEC, 1 options",
    }
    assert told(dns(DnsMessage(7, opcode=4)), "dns")["flags"] == "question, notify"


# ── checksums ────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_checksum(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + value.to_bytes(2, "big") + data[at + 2 :]


def test_a_checksum_that_was_left_to_the_hardware_is_not_wrong() -> None:
    """Linux has the sum of the pseudo header in its place then."""
    for data, at, number, name in ((tcp(b"abc"), 50, numbers.TCP, "tcp"), (udp(b"abc"), 40, numbers.UDP, "udp")):
        partial = pseudo_header_sum(A, B, number, len(data) - 34)
        assert told(with_checksum(data, at, partial), name)["checksum"] == f"{partial:#06x}, {NOT_COMPUTED}"


def test_wrong_checksums_are_told_with_the_right_one() -> None:
    data = tcp(b"abc")
    right = int.from_bytes(data[50:52], "big")
    assert told(with_checksum(data, 50, 0x1234), "tcp")["checksum"] == f"0x1234, wrong, {right:#06x} would be right"
    right = int.from_bytes(data[24:26], "big")
    assert told(with_checksum(data, 24, 0), "ipv4")["checksum"] == f"0x0000, wrong, {right:#06x} would be right"


def test_udp_may_have_none() -> None:
    assert told(with_checksum(udp(b"abc"), 40, 0), "udp")["checksum"] == "0x0000, none"


def test_nothing_is_said_of_checksums_over_what_is_not_there() -> None:
    fragment = four(numbers.UDP, build_udp(Datagram(1, 2, bytes(20)), source=A, target=B)[:24], more_fragments=True)
    assert "," not in told(fragment, "udp")["checksum"]
    data = tcp(bytes(100))
    cut = dissect(CapturedPacket(Interface(), 0, data[:80], len(data)))
    assert "," not in words_of(cut, "tcp")["checksum"]
    assert words_of(cut, "ipv4")["checksum"].endswith(", right")
    quoted = build_ipv4(IPv4Packet(B, A, numbers.UDP, build_udp(Datagram(7, 9, b"x"), source=B, target=A)))
    assert "," not in told(four(numbers.ICMP, build_icmp(icmp.Unreachable(3, quoted))), "udp")["checksum"]
    on_its_way = six(
        numbers.UDP,
        build_udp(Datagram(7, 9, b"x"), source=A6, target=B6),
        extensions=(ipv6_extensions.Routing(4, 1, bytes([1, 0, 0, 0]) + A6.packed + B6.packed),),
    )
    assert "," not in told(on_its_way, "udp")["checksum"]
