"""tshark as a second opinion: what we build it decodes to the same values, without a complaint."""

from __future__ import annotations

import re
import subprocess
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from portside.wire import dns_records as rr
from portside.wire import icmp, icmpv6, ipv6_extensions, neighbor, numbers
from portside.wire import tcp_options as option
from portside.wire.arp import Arp, build_arp
from portside.wire.captured import LINUX_SLL2, Interface
from portside.wire.dns import DnsMessage, Edns, Question, Record, build_dns
from portside.wire.ethernet import BROADCAST, NO_MAC, Frame, VlanTag, build_ethernet, parse_mac
from portside.wire.icmp import build_icmp
from portside.wire.icmpv6 import build_icmpv6
from portside.wire.ipv4 import IPv4Option, IPv4Packet, build_ipv4
from portside.wire.ipv6 import IPv6Packet, build_ipv6
from portside.wire.pcapng import PcapngWriter
from portside.wire.sll import CookedPacket, build_sll2
from portside.wire.tcp import Flags, Segment, build_tcp
from portside.wire.udp import Datagram, build_udp
from support.peers import program

HERE, THERE = parse_mac("02:00:00:00:00:01"), parse_mac("02:00:00:00:00:02")
A, B = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
A6, B6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")
Expected = dict[str, str | list[str]]


def four(protocol: int, payload: bytes, **more: Any) -> bytes:
    return build_ethernet(Frame(THERE, HERE, 0x0800, build_ipv4(IPv4Packet(A, B, protocol, payload, **more))), pad=True)


def six(protocol: int, payload: bytes, **more: Any) -> bytes:
    return build_ethernet(Frame(THERE, HERE, 0x86DD, build_ipv6(IPv6Packet(A6, B6, protocol, payload, **more))))


def tcp(flags: int, payload: bytes = b"", **more: Any) -> bytes:
    segment = Segment(40_000, 9, 1_000, 2_000, flags, 512, payload, **more)
    return four(numbers.TCP, build_tcp(segment, source=A, target=B))


def dns(message: DnsMessage) -> bytes:
    return six(numbers.UDP, build_udp(Datagram(53, 40_000, build_dns(message)), source=A6, target=B6))


def ping6(message: icmpv6.Icmpv6, **more: Any) -> bytes:
    return six(numbers.ICMPV6, build_icmpv6(message, source=A6, target=B6), **more)


NOTHING = build_ipv4(IPv4Packet(A, B, 253))
QUOTED_6 = build_ipv6(IPv6Packet(B6, A6, 253, b"hello"))
QUOTED = build_ipv4(IPv4Packet(B, A, numbers.UDP, build_udp(Datagram(1, 2, b"hello"), source=B, target=A)))
RECORDS = (
    rr.A(A),
    rr.AAAA(A6),
    rr.NS("ns.example.com."),
    rr.CNAME("other.example.com."),
    rr.PTR("host.example.com."),
    rr.DNAME("elsewhere.example."),
    rr.SOA("ns.example.com.", "hostmaster.example.com.", 2024, 7_200, 3_600, 1_209_600, 300),
    rr.MX(10, "mail.example.com."),
    rr.TXT((b"v=spf1", b"-all")),
    rr.HINFO(b"PDP-11", b"UNIX"),
    rr.SRV(1, 2, 443, "web.example.com."),
    rr.NAPTR(1, 2, b"u", b"E2U+sip", b"!^.*$!sip:a@b!", "."),
    rr.DS(60_485, 8, 2, bytes(32)),
    rr.DNSKEY(257, 3, 8, bytes(64)),
    rr.RRSIG(1, 8, 2, 300, 1_700_000_000, 1_600_000_000, 4_711, "example.com.", bytes(64)),
    rr.NSEC("b.example.com.", (1, 2, 28, 257)),
    rr.SSHFP(4, 2, bytes(32)),
    rr.TLSA(3, 1, 1, bytes(32)),
    rr.CAA(0, b"issue", b"ca.example"),
    rr.SVCB(1, "svc.example.com.", ((3, b"\x01\xbb"),)),
    rr.HTTPS(1, ".", ((1, b"\2h2\2h3"), (4, A.packed), (6, A6.packed))),
)
PREFIX = neighbor.PrefixInformation(IPv6Address("2001:db8::"), 64, 86_400, 14_400)

PACKETS: dict[str, tuple[bytes, Expected]] = {
    "VLANs": (
        build_ethernet(Frame(THERE, HERE, 0x0800, NOTHING, (VlanTag(5, type=0x88A8), VlanTag(7, 3, True)))),
        {"ieee8021ad.id": "5", "vlan.id": "7", "vlan.priority": "3", "vlan.dei": "1", "ip.proto": "253"},
    ),
    "ARP question": (
        build_ethernet(Frame(BROADCAST, HERE, 0x0806, build_arp(Arp(1, HERE, A, NO_MAC, B))), pad=True),
        {"arp.opcode": "1", "arp.src.hw_mac": str(HERE), "arp.src.proto_ipv4": str(A), "arp.dst.proto_ipv4": str(B)},
    ),
    "IPv4 header": (
        four(253, b"abc", dscp=46, ecn=1, identification=0x1234, dont_fragment=True, time_to_live=5),
        {"ip.dsfield.dscp": "46", "ip.dsfield.ecn": "1", "ip.id": "0x1234", "ip.flags.df": "1", "ip.ttl": "5"},
    ),
    "IPv4 options": (
        four(253, b"", options=(IPv4Option(7, bytes([8]) + A.packed), IPv4Option(1), IPv4Option(148, bytes(2)))),
        {"ip.hdr_len": "32", "ip.opt.type": ["7", "1", "148"], "ip.rec_rt": str(A), "ip.opt.ra": "0"},
    ),
    "IPv4 fragment": (
        four(253, bytes(16), fragment_offset=1_480, more_fragments=True),
        {"ip.flags.mf": "1"},
    ),
    "IPv6 header": (
        six(253, b"abc", traffic_class=0xB9, flow_label=0x12345, hop_limit=5),
        {"ipv6.tclass.dscp": "46", "ipv6.tclass.ecn": "1", "ipv6.flow": "0x012345", "ipv6.hlim": "5"},
    ),
    "IPv6 extensions": (
        six(
            253,
            b"abc",
            extensions=(
                ipv6_extensions.HopByHop((ipv6_extensions.IPv6Option(5, bytes(2)),)),
                ipv6_extensions.DestinationOptions(),
                ipv6_extensions.Routing(4, 1, bytes([1, 0, 0, 0]) + A6.packed + B6.packed),
                ipv6_extensions.Fragment(7),
            ),
        ),
        {"ipv6.opt.router_alert": "0", "ipv6.routing.srh.addr": [str(A6), str(B6)], "ipv6.fraghdr.ident": "0x00000007"},
    ),
    "UDP": (
        four(numbers.UDP, build_udp(Datagram(40_001, 40_002, b"abc"), source=A, target=B)),
        {"udp.srcport": "40001", "udp.dstport": "40002", "udp.length": "11", "udp.payload": "61:62:63"},
    ),
    "TCP SYN": (
        tcp(
            Flags.SYN,
            options=(
                option.MaximumSegmentSize(1_460),
                option.SackPermitted(),
                option.Timestamps(7, 0),
                option.NoOperation(),
                option.WindowScale(7),
            ),
        ),
        {
            "tcp.flags": "0x0002",
            "tcp.options.mss_val": "1460",
            "tcp.options.wscale.shift": "7",
            "tcp.options.timestamp.tsval": "7",
            "tcp.window_size_value": "512",
        },
    ),
    "TCP data": (
        tcp(Flags.PSH | Flags.ACK, b"abc", urgent=3),
        {"tcp.seq_raw": "1000", "tcp.ack_raw": "2000", "tcp.len": "3", "tcp.urgent_pointer": "3"},
    ),
    "TCP SACK": (
        tcp(Flags.ACK, options=(option.Sack(((2_100, 2_200), (2_300, 2_400))),)),
        {"tcp.options.sack_le": ["2100", "2300"], "tcp.options.sack_re": ["2200", "2400"]},
    ),
    "TCP flags": (tcp(Flags.RST | Flags.CWR | Flags.ECE | Flags.AE), {"tcp.flags": "0x01c4"}),
    "ping": (
        four(numbers.ICMP, build_icmp(icmp.Echo(0x1234, 5, b"abc"))),
        {"icmp.type": "8", "icmp.ident": "4660", "icmp.seq": "5"},
    ),
    "too large": (
        four(numbers.ICMP, build_icmp(icmp.Unreachable(4, QUOTED, 1_400))),
        {"icmp.type": "3", "icmp.code": "4", "icmp.mtu": "1400", "udp.dstport": "2"},
    ),
    "redirect": (four(numbers.ICMP, build_icmp(icmp.Redirect(1, B, QUOTED))), {"icmp.redir_gw": str(B)}),
    "time exceeded": (four(numbers.ICMP, build_icmp(icmp.TimeExceeded(0, QUOTED))), {"icmp.type": "11"}),
    "parameter": (four(numbers.ICMP, build_icmp(icmp.ParameterProblem(0, 20, QUOTED))), {"icmp.pointer": "20"}),
    "ping 6": (ping6(icmpv6.Echo(1, 2, is_reply=True)), {"icmpv6.type": "129", "icmpv6.echo.identifier": "0x0001"}),
    "too big": (
        ping6(icmpv6.Icmpv6Error(2, 0, 1_280, QUOTED_6)),
        {"icmpv6.type": "2", "icmpv6.mtu": "1280"},
    ),
    "solicitation": (
        ping6(icmpv6.NeighborSolicitation(B6, (neighbor.LinkLayerAddress(HERE),)), hop_limit=255),
        {"icmpv6.nd.ns.target_address": str(B6), "icmpv6.opt.linkaddr": str(HERE)},
    ),
    "advertisement": (
        ping6(
            icmpv6.NeighborAdvertisement(B6, True, True, True, (neighbor.LinkLayerAddress(THERE, is_target=True),)),
            hop_limit=255,
        ),
        {"icmpv6.nd.na.flag.r": "1", "icmpv6.nd.na.flag.s": "1", "icmpv6.nd.na.flag.o": "1"},
    ),
    "router": (
        ping6(
            icmpv6.RouterAdvertisement(
                64, True, False, 1_800, 0, 0, (PREFIX, neighbor.LinkMtu(1_500), neighbor.NameServers(600, (A6,)))
            ),
            hop_limit=255,
        ),
        {
            "icmpv6.nd.ra.flag.m": "1",
            "icmpv6.nd.ra.router_lifetime": "1800",
            "icmpv6.opt.prefix.length": "64",
            "icmpv6.opt.prefix.valid_lifetime": "86400",
            "icmpv6.opt.mtu": "1500",
            "icmpv6.opt.rdnss": str(A6),
        },
    ),
    "DNS question": (
        dns(DnsMessage(0x1234, (Question("example.com.", 28),), recursion_desired=True, edns=Edns(dnssec_ok=True))),
        {"dns.id": "0x1234", "dns.qry.name": "example.com", "dns.qry.type": "28", "dns.resp.z.do": "1"},
    ),
    "DNS records": (
        dns(
            DnsMessage(
                1,
                (Question("example.com.", 255),),
                tuple(Record("example.com.", 300, data) for data in RECORDS),
                is_response=True,
            )
        ),
        {
            "dns.count.answers": str(len(RECORDS)),
            "dns.a": str(A),
            "dns.mx.mail_exchange": "mail.example.com",
            "dns.soa.serial_number": "2024",
            "dns.srv.port": "443",
            "dns.naptr.service": "E2U+sip",
            "dns.caa.value": "ca.example",
            "dns.svcb.svcparam.port": "443",
        },
    ),
    "no such name": (
        dns(DnsMessage(1, (Question("nobody.example.", 1),), is_response=True, rcode=3)),
        {"dns.flags.rcode": "3"},
    ),
}  # fmt: skip
PREFERENCES = [
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
    "tcp.relative_sequence_numbers:FALSE",
]
Found = dict[str, list[str]]


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """What tshark finds in each packet: it takes a second to start, so it reads all at once."""
    path = tmp_path_factory.mktemp("tshark") / "all.pcapng"
    with path.open("wb") as file:
        writer = PcapngWriter(file.write)
        number = writer.add_interface(Interface("eth0"))
        for data, _ in PACKETS.values():
            writer.packet(number, 0, data)
    preferences = [word for each in PREFERENCES for word in ("-o", each)]
    command = [program("tshark"), "-n", "-r", str(path), "-T", "pdml", *preferences]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return dict(zip(PACKETS, map(fields_of, ElementTree.fromstring(done.stdout)), strict=True))


def fields_of(packet: ElementTree.Element) -> Found:
    """Return every field by its name, in the order of the packet."""
    fields: Found = {}
    for element in packet.iter():
        fields.setdefault(element.get("name", ""), []).append(element.get("show", ""))
    return fields


@pytest.mark.parametrize("name", PACKETS)
def test_tshark_finds_the_values_that_we_put_in(name: str, decoded: dict[str, Found]) -> None:
    found = decoded[name]
    expected = {key: [value] if isinstance(value, str) else value for key, value in PACKETS[name][1].items()}
    assert {key: found.get(key) for key in expected} == expected, found


@pytest.mark.parametrize("name", PACKETS)
def test_tshark_has_nothing_to_complain_of(name: str, decoded: dict[str, Found]) -> None:
    found = decoded[name]
    said = [*found.get("_ws.expert.message", ()), *found.get("_ws.malformed", ())]
    assert [words for words in said if re.search("malformed|checksum|bogus|length", words, re.IGNORECASE)] == []
    assert "_ws.malformed" not in found
    # 0 is "bad", 1 "good", 2 "unverified": within what an ICMP error quotes.
    states = {key: value for key, value in found.items() if key.endswith("checksum.status")}
    assert "0" not in [value for values in states.values() for value in values], states
    assert name in WITHOUT_CHECKSUM or ["1"] in [value[:1] for value in states.values()]


WITHOUT_CHECKSUM = {"ARP question", "IPv6 header", "IPv6 extensions"}


def test_tshark_reads_cooked_packets(tmp_path: Path) -> None:
    path = tmp_path / "cooked.pcapng"
    with path.open("wb") as file:
        writer = PcapngWriter(file.write)
        number = writer.add_interface(Interface("any", LINUX_SLL2))
        packet = CookedPacket(4, 772, HERE.packed, 0x0800, build_ipv4(IPv4Packet(A, B, 253)), 3)
        writer.packet(number, 0, build_sll2(packet))
    fields = ["sll.pkttype", "sll.hatype", "sll.src.eth", "sll.ifindex", "ip.proto"]
    command = [
        program("tshark"),
        "-n",
        "-r",
        str(path),
        "-T",
        "fields",
        *[word for name in fields for word in ("-e", name)],
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["4", "772", str(HERE), "3", "253"]
