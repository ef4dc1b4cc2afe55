"""Fields of headers: each byte belongs to one, whatever the packet; the words of links and networks; checksums."""

from __future__ import annotations

import pytest
from hypothesis import given

from portside.observe.packets.checksums import NOT_COMPUTED
from portside.observe.packets.dissect import dissect
from portside.observe.packets.field_lines import FieldLine
from portside.observe.packets.fields import fields_of
from portside.wire import icmp, ipv6_extensions, numbers
from portside.wire.arp import Arp, build_arp
from portside.wire.captured import LINUX_SLL, LINUX_SLL2, CapturedPacket, Interface
from portside.wire.checksum import pseudo_header_sum
from portside.wire.ethernet import BROADCAST, Frame, VlanTag, build_ethernet, parse_mac
from portside.wire.icmp import build_icmp
from portside.wire.ipv4 import IPv4Option, IPv4Packet, build_ipv4
from portside.wire.sll import CookedPacket, build_sll2
from portside.wire.udp import Datagram, build_udp
from support.capturing import A6, B6, HERE, THERE, A, B, captured, four, frame, six, tcp, udp
from support.packet_fields import told, words_of
from support.packets_frames import frames


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
