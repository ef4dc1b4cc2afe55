"""IPv4 and IPv6: headers, options, extensions, fragments; and nothing cut or forged is believed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.wire import numbers
from portside.wire.ipv4 import (
    LOOSE_SOURCE_ROUTE,
    RECORD_ROUTE,
    IPv4Option,
    IPv4Packet,
    build_ipv4,
    ipv4_header_bytes,
    parse_ipv4,
)
from portside.wire.ipv6 import IPv6Packet, build_ipv6, parse_ipv6, parse_ipv6_headers
from portside.wire.ipv6_extensions import (
    JUMBO,
    DestinationOptions,
    Fragment,
    HopByHop,
    IPv6Option,
    Routing,
    build_extension,
    parse_extension,
)
from portside.wire.malformed import BadChecksum, Truncated
from support.packets import ipv4_packets, ipv6_packets

A, B = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
A6, B6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")


# ── IPv4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_packet_byte_by_byte() -> None:
    packet = IPv4Packet(A, B, 17, b"abc", identification=0x1234, dont_fragment=True, dscp=46, ecn=1)
    data = build_ipv4(packet)
    assert data[:10].hex() == "45b90017123440004011"
    assert data[12:].hex() == "c0000201c0000202616263"


def test_rfc_791_appendix_a_example_2_is_a_fragment() -> None:
    """A fragment of the middle: 472 bytes behind the header, at offset 320, more to come."""
    packet = IPv4Packet(A, B, 6, bytes(472), 123, 111, more_fragments=True, fragment_offset=320)
    data = build_ipv4(packet)
    assert data[:8].hex() == "45000" + "1ec006f" + "2028"
    assert packet.is_fragment
    assert replace(packet, fragment_offset=0).is_fragment
    assert replace(packet, more_fragments=False).is_fragment
    assert not replace(packet, more_fragments=False, fragment_offset=0).is_fragment


@given(ipv4_packets)
def test_ipv4_is_parsed_as_it_was_built(packet: IPv4Packet) -> None:
    data = build_ipv4(packet)
    assert parse_ipv4(data, verify=True) == packet
    assert parse_ipv4(memoryview(data), verify=True) == packet
    assert parse_ipv4(data + bytes(7), verify=True) == packet  # the frame's padding
    assert build_ipv4(parse_ipv4(data)) == data


@given(ipv4_packets, st.data())
def test_ipv4_cut_short_is_refused_unless_a_part_will_do(packet: IPv4Packet, draw: st.DataObject) -> None:
    whole = build_ipv4(packet)
    cut = whole[: draw.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(Truncated):
        parse_ipv4(cut)
    if len(cut) >= ipv4_header_bytes(whole):
        part = parse_ipv4(cut, whole=False)
        assert part == replace(packet, payload=packet.payload[: len(part.payload)])
        assert len(part.payload) == len(cut) - ipv4_header_bytes(whole)


@given(ipv4_packets, st.data())
def test_a_changed_bit_in_the_header_is_found(packet: IPv4Packet, draw: st.DataObject) -> None:
    data = bytearray(build_ipv4(packet))
    bit = draw.draw(st.integers(0, 8 * ipv4_header_bytes(data) - 1))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MalformedMessage):  # a length that no longer fits is found first
        parse_ipv4(bytes(data), verify=True)


def test_the_checksum_is_looked_at_on_request_only() -> None:
    data = bytearray(build_ipv4(IPv4Packet(A, B, 17)))
    data[8] -= 1
    assert parse_ipv4(data).time_to_live == 63
    with pytest.raises(BadChecksum, match="IPv4 header: the checksum is"):
        parse_ipv4(data, verify=True)


def test_the_checksum_is_kept_as_it_came_and_does_not_count() -> None:
    packet = IPv4Packet(A, B, 17)
    parsed = parse_ipv4(build_ipv4(packet))
    assert parsed.checksum is not None
    assert (parsed, packet.checksum) == (packet, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({0: 0x65}, "the version is 6"),
        ({0: 0x44}, "the header says it has 16 bytes"),
        ({2: 0, 3: 19}, "the packet says it has 19 bytes, its header 20"),
        ({2: 0, 3: 0}, "the packet says it has 0 bytes"),
    ],
)
def test_headers_that_cannot_be(change: dict[int, int], said: str) -> None:
    data = bytearray(build_ipv4(IPv4Packet(A, B, 17)))
    for at, value in change.items():
        data[at] = value
    with pytest.raises(MalformedMessage, match=said):
        parse_ipv4(data)


def test_a_length_of_nought_is_what_segmentation_in_hardware_leaves() -> None:
    data = bytearray(build_ipv4(IPv4Packet(A, B, 17, b"abc")))
    data[2:4] = bytes(2)
    assert parse_ipv4(data, whole=False).payload == b"abc"


@pytest.mark.parametrize("options", ["07 00 00 00", "07 01 00 00", "07 05 00 00", "01 01 01 07"])
def test_options_that_do_not_fit_are_refused(options: str) -> None:
    data = bytearray(build_ipv4(IPv4Packet(A, B, 17, options=(IPv4Option(1),))))
    data[20:24] = bytes.fromhex(options)
    with pytest.raises(MalformedMessage, match="IPv4: option 7 of"):
        parse_ipv4(data)


def test_a_route_is_read_as_far_as_it_is_written() -> None:
    """RFC 791 section 3.1: the pointer is counted from 1, so that 4 is the first address."""
    recorded = IPv4Option(RECORD_ROUTE, bytes([12]) + A.packed + B.packed + bytes(4))
    assert recorded.addresses == (A, B)
    assert IPv4Option(RECORD_ROUTE, bytes([4]) + bytes(8)).addresses == ()
    assert IPv4Option(LOOSE_SOURCE_ROUTE, bytes([4]) + A.packed + B.packed).addresses == (A, B)
    assert IPv4Option(RECORD_ROUTE, bytes([255]) + A.packed + b"\1").addresses == (A,)
    assert IPv4Option(RECORD_ROUTE).addresses == ()
    assert IPv4Option(148, bytes(2)).addresses == ()
    assert (recorded.name, IPv4Option(99).name) == ("record route", "option 99")


@pytest.mark.parametrize(
    "packet",
    [
        IPv4Packet(A, B, 256),
        IPv4Packet(A, B, 6, fragment_offset=4),
        IPv4Packet(A, B, 6, fragment_offset=65_536),
        IPv4Packet(A, B, 6, dscp=64),
        IPv4Packet(A, B, 6, payload=bytes(65_516)),
        IPv4Packet(A, B, 6, options=(IPv4Option(7, bytes(39)),)),
        IPv4Packet(A, B, 6, options=(IPv4Option(7, bytes(37)), IPv4Option(7))),
        IPv4Packet(A, B, 6, options=(IPv4Option(0),)),
        IPv4Packet(A, B, 6, options=(IPv4Option(1, b"x"),)),
    ],
)
def test_what_does_not_fit_ipv4_is_not_built(packet: IPv4Packet) -> None:
    with pytest.raises(ValueError, match="IPv4"):
        build_ipv4(packet)


# ── IPv6 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_header_of_ipv6_byte_by_byte() -> None:
    data = build_ipv6(IPv6Packet(A6, B6, 17, b"abc", hop_limit=255, traffic_class=0xB9, flow_label=0x12345))
    assert data.hex() == "6b912345000311ff" + A6.packed.hex() + B6.packed.hex() + "616263"


@given(ipv6_packets)
def test_ipv6_is_parsed_as_it_was_built(packet: IPv6Packet) -> None:
    data = build_ipv6(packet)
    assert parse_ipv6(data) == packet
    assert parse_ipv6(memoryview(data) if packet.payload else data + bytes(7)) == packet
    assert build_ipv6(parse_ipv6(data)) == data
    head, found = parse_ipv6_headers(data)
    assert len(head.payload) == sum(each.size_bytes for each in found) + len(packet.payload)


@given(ipv6_packets, st.data())
def test_ipv6_cut_short_is_refused_unless_a_part_will_do(packet: IPv6Packet, draw: st.DataObject) -> None:
    whole = build_ipv6(packet)
    assume(len(whole) > 40)
    cut = whole[: draw.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(Truncated):
        parse_ipv6(cut)
    if len(cut) >= len(whole) - len(packet.payload):
        part = parse_ipv6(cut, whole=False)
        assert part == replace(packet, payload=packet.payload[: len(part.payload)])


def test_a_chain_of_extensions_in_the_order_of_rfc_8200_section_4_1() -> None:
    alert = HopByHop((IPv6Option(5, bytes(2)),))
    route = Routing(4, 1, bytes([1, 1, 0, 0, 0, 0, 0, 0][:4]) + A6.packed + B6.packed)
    chain = (alert, DestinationOptions(), route, Fragment(7, more=True), DestinationOptions((IPv6Option(200, b"x"),)))
    data = build_ipv6(IPv6Packet(A6, B6, numbers.TCP, b"abc", extensions=chain))
    assert data[6] == numbers.HOP_BY_HOP
    assert data[40:48].hex() == "3c00050200000100"  # next is 60; router alert; PadN of two bytes
    packet = parse_ipv6(data)
    assert packet.extensions == chain
    assert (packet.protocol, packet.payload, packet.fragment) == (numbers.TCP, b"abc", Fragment(7, more=True))
    assert route.stations == (A6, B6)
    assert packet.is_fragment


def test_behind_a_later_fragment_is_the_middle_of_something() -> None:
    """What looks like an extension there is none: the chain ends (RFC 8200 section 4.5)."""
    packet = IPv6Packet(A6, B6, numbers.DESTINATION, b"\xff" * 16, extensions=(Fragment(7, offset=8),))
    assert parse_ipv6(build_ipv6(packet)) == packet


@pytest.mark.parametrize(
    ("sizes", "padding"),
    [
        ([], "010400000000"),
        ([2], "01020000"),
        ([3], "010100"),
        ([4], "0100"),
        ([5], "00"),
        ([6], ""),
        ([5, 8], "00"),
        ([5, 4], "010300" + "0000"),
    ],
)
def test_options_are_padded_to_eights(sizes: list[int], padding: str) -> None:
    """RFC 8200 section 4.2: Pad1 for one byte, PadN for more."""
    options = tuple(IPv6Option(0x1E, bytes(size - 2)) for size in sizes)
    data = build_extension(HopByHop(options), 59)
    assert (len(data) % 8, data[2 + sum(sizes) :].hex()) == (0, padding)
    assert parse_extension(0, data).extension == HopByHop(options)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("3b01" + "00" * 6, "IPv6 extension: 8 bytes came of 16"),
        ("3b00" + "0105000000" + "00", "option 0x01 reaches past the end"),
        ("3b00" + "00" * 5 + "07", "option 0x07 reaches past the end"),
        ("3b00", "IPv6 extension: 2 bytes came of 8"),
    ],
)
def test_extensions_that_do_not_fit_are_refused(data: str, said: str) -> None:
    with pytest.raises(MalformedMessage, match=said):
        parse_extension(numbers.HOP_BY_HOP, bytes.fromhex(data))


def test_jumbograms_of_rfc_2675() -> None:
    size = 70_000 + 8
    jumbo = HopByHop((IPv6Option(JUMBO, size.to_bytes(4, "big")),))
    packet = IPv6Packet(A6, B6, numbers.TCP, bytes(70_000), extensions=(jumbo,))
    data = build_ipv6(packet)
    assert data[4:6] == bytes(2)
    assert parse_ipv6(data) == packet
    assert parse_ipv6(data + b"padding") == packet
    with pytest.raises(Truncated):
        parse_ipv6(data[:-1])
    with pytest.raises(ValueError, match="IPv6"):
        build_ipv6(replace(packet, extensions=()))


def test_a_payload_of_nought_with_extensions_cannot_be() -> None:
    data = bytearray(build_ipv6(IPv6Packet(A6, B6, numbers.TCP, b"abc", extensions=(HopByHop(),))))
    data[4:6] = bytes(2)
    with pytest.raises(MalformedMessage, match="the payload has 0 bytes, and yet"):
        parse_ipv6(data)


def test_routes_of_other_kinds_are_not_read() -> None:
    assert Routing(3, 1, bytes(20)).stations == ()
    assert Routing(4, 1, bytes([0, 0, 0, 0]) + A6.packed + B6.packed).stations == (A6,)
    assert Routing(0, 1, bytes(4) + A6.packed + b"xx").stations == (A6,)


@pytest.mark.parametrize(
    "packet",
    [
        IPv6Packet(A6, B6, 256),
        IPv6Packet(A6, B6, 6, flow_label=1 << 20),
        IPv6Packet(A6, B6, 6, traffic_class=256),
        IPv6Packet(A6, B6, 6, extensions=(Fragment(1, offset=4),)),
        IPv6Packet(A6, B6, 6, extensions=(Routing(0, 0, bytes(5)),)),
        IPv6Packet(A6, B6, 6, extensions=(Routing(300, 0),)),
        IPv6Packet(A6, B6, 6, extensions=(HopByHop((IPv6Option(1),)),)),
        IPv6Packet(A6, B6, 6, extensions=(HopByHop(tuple(IPv6Option(9, bytes(255)) for _ in range(9))),)),
    ],
)
def test_what_does_not_fit_ipv6_is_not_built(packet: IPv6Packet) -> None:
    with pytest.raises(ValueError, match="IPv6"):
        build_ipv6(packet)


def test_ipv6_of_another_version_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="the version is 4"):
        parse_ipv6(b"\x45" + bytes(39))
