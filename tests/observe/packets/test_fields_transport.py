"""The fields of TCP, UDP, ICMP of both families, and DNS, in words."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from portside.observe.packets.dissect import dissect
from portside.observe.packets.fields import fields_of
from portside.observe.packets.flows import Flows
from portside.wire import dns_records as rr
from portside.wire import icmp, icmpv6, neighbor, numbers
from portside.wire.dns import DnsMessage, Edns, Question, Record
from portside.wire.icmp import build_icmp
from portside.wire.icmpv6 import build_icmpv6
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
from support.capturing import A6, B6, HERE, A, B, captured, dns, four, six, tcp, udp
from support.packet_fields import told

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
