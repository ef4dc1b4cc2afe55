"""UDP and TCP: what they carry, their options, and checksums that cover addresses too."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.wire.malformed import BadChecksum, Truncated
from portside.wire.tcp import Flags, Segment, build_tcp, flag_words, parse_tcp, tcp_header_bytes
from portside.wire.tcp_options import (
    MaximumSegmentSize,
    NoOperation,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
    build_tcp_options,
    parse_tcp_options,
)
from portside.wire.udp import Datagram, build_udp, parse_udp
from support.packets import datagrams, pairs_of_ips, segments

A, B = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
A6, B6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")
Ips = tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address]


def flipped(data: bytes, draw: st.DataObject) -> bytes:
    """Return the bytes with one bit changed."""
    changed = bytearray(data)
    bit = draw.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# ── UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_datagram_byte_by_byte() -> None:
    data = build_udp(Datagram(0x1234, 53, b"abc"), source=A, target=B)
    assert data[:6].hex() == "12340035000b"
    assert data[8:] == b"abc"


@given(datagrams, pairs_of_ips)
def test_datagrams_are_parsed_as_they_were_built(datagram: Datagram, pair: Ips) -> None:
    source, target = pair
    data = build_udp(datagram, source=source, target=target)
    assert parse_udp(data, source=source, target=target) == datagram
    assert parse_udp(memoryview(data + b"padding"), source=source, target=target) == datagram
    assert parse_udp(data).checksum == int.from_bytes(data[6:8], "big") != 0


@given(datagrams, pairs_of_ips, st.data())
def test_a_changed_bit_in_a_datagram_is_found(datagram: Datagram, pair: Ips, draw: st.DataObject) -> None:
    source, target = pair
    data = build_udp(datagram, source=source, target=target)
    changed = flipped(data, draw)
    if changed[6:8] == bytes(2) and source.version == 4:
        return  # the one bit that says that there is no checksum
    with pytest.raises(MalformedMessage):
        parse_udp(changed, source=source, target=target)


@given(datagrams, st.data())
def test_datagrams_cut_short_are_refused_unless_a_part_will_do(datagram: Datagram, draw: st.DataObject) -> None:
    data = build_udp(datagram, source=A, target=B)
    cut = draw.draw(st.integers(0, len(data) - 1))
    with pytest.raises(Truncated):
        parse_udp(data[:cut], source=A, target=B)
    if cut >= 8:
        part = parse_udp(data[:cut], source=A, target=B, whole=False)
        assert part == Datagram(datagram.source_port, datagram.target_port, datagram.payload[: cut - 8])


def test_no_checksum_is_right_over_ipv4_and_wrong_over_ipv6() -> None:
    data = bytes.fromhex("1234 0035 000b 0000") + b"abc"
    assert parse_udp(data, source=A, target=B).payload == b"abc"
    with pytest.raises(MalformedMessage, match="over IPv6 a checksum is required"):
        parse_udp(data, source=A6, target=B6)


def test_a_sum_of_nought_is_sent_by_its_other_name() -> None:
    """RFC 768: the datagram whose checksum comes out as 0 carries 0xFFFF."""
    sums = {
        build_udp(Datagram(port, 0), source=IPv4Address("0.0.0.0"), target=IPv4Address("0.0.0.0"))[6:8]
        for port in range(0xFFFF - 60, 0xFFFF)
    }
    assert b"\xff\xff" in sums
    assert b"\0\0" not in sums


@pytest.mark.parametrize(("length", "expected"), [("0000", b"abc"), ("0008", b""), ("000b", b"abc")])
def test_the_length_says_where_the_payload_ends(length: str, expected: bytes) -> None:
    assert parse_udp(bytes.fromhex(f"1234 0035 {length} 0000") + b"abc").payload == expected


def test_a_length_shorter_than_the_header_cannot_be() -> None:
    with pytest.raises(MalformedMessage, match="UDP: the datagram says it has 7 bytes"):
        parse_udp(bytes.fromhex("1234 0035 0007 0000"))


@pytest.mark.parametrize("datagram", [Datagram(-1, 0), Datagram(0, 65_536), Datagram(0, 0, bytes(65_528))])
def test_what_does_not_fit_udp_is_not_built(datagram: Datagram) -> None:
    with pytest.raises(ValueError, match="UDP"):
        build_udp(datagram, source=A, target=B)


# ── TCP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

SYN_OPTIONS = (MaximumSegmentSize(1_460), SackPermitted(), Timestamps(1, 0), NoOperation(), WindowScale(7))
SYN = Segment(0xC000, 80, 0x01020304, flags=Flags.SYN, window=64_240, options=SYN_OPTIONS)


def test_the_syn_of_linux_byte_by_byte() -> None:
    data = build_tcp(SYN, source=A, target=B)
    assert data[:16].hex() == "c00000500102030400000000a002faf0"
    assert data[18:].hex() == "0000" + "020405b4" + "0402" + "080a0000000100000000" + "01" + "030307"


@given(segments, pairs_of_ips)
def test_segments_are_parsed_as_they_were_built(segment: Segment, pair: Ips) -> None:
    source, target = pair
    data = build_tcp(segment, source=source, target=target)
    assert parse_tcp(data, source=source, target=target) == segment
    assert parse_tcp(memoryview(data)) == segment
    assert build_tcp(parse_tcp(data), source=source, target=target) == data
    assert parse_tcp(data).checksum == int.from_bytes(data[16:18], "big")
    assert tcp_header_bytes(data) == len(data) - len(segment.payload)


@given(segments, pairs_of_ips, st.data())
def test_a_changed_bit_in_a_segment_is_found(segment: Segment, pair: Ips, draw: st.DataObject) -> None:
    source, target = pair
    with pytest.raises(MalformedMessage):
        parse_tcp(flipped(build_tcp(segment, source=source, target=target), draw), source=source, target=target)


def test_a_wrong_address_is_found_too() -> None:
    data = build_tcp(SYN, source=A, target=B)
    with pytest.raises(BadChecksum):
        parse_tcp(data, source=A, target=IPv4Address("192.0.2.3"))


@given(segments, st.data())
def test_segments_cut_within_their_header_are_refused(segment: Segment, draw: st.DataObject) -> None:
    data = build_tcp(segment, source=A, target=B)
    with pytest.raises(Truncated, match="TCP header"):
        parse_tcp(data[: draw.draw(st.integers(0, tcp_header_bytes(data) - 1))])


def test_a_header_of_less_than_twenty_bytes_cannot_be() -> None:
    data = bytearray(build_tcp(SYN, source=A, target=B))
    data[12] = 0x40
    with pytest.raises(MalformedMessage, match="the header says it has 16 bytes"):
        parse_tcp(data)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("", ()),
        ("00 02 04 05", ()),  # behind the end there is padding
        ("01 01 00 ff", (NoOperation(), NoOperation())),
        ("02 03 05 01", (UnknownOption(2, b"\5"), NoOperation())),  # an MSS of one byte is none
        ("05 0a 00000001 00000002 01 01", (Sack(((1, 2),)), NoOperation(), NoOperation())),
        ("05 02", (UnknownOption(5),)),
        ("1e 04 00 81", (UnknownOption(30, b"\0\x81"),)),  # Multipath TCP
    ],
)
def test_options_as_they_come(data: str, options: tuple[Any, ...]) -> None:
    assert parse_tcp_options(bytes.fromhex(data)) == options


@pytest.mark.parametrize("data", ["02", "02 00", "02 01 05", "02 05 05 b4", "01 08"])
def test_options_that_do_not_fit_are_refused(data: str) -> None:
    with pytest.raises(MalformedMessage, match="TCP: option"):
        parse_tcp_options(bytes.fromhex(data))


@pytest.mark.parametrize(
    "options",
    [
        (MaximumSegmentSize(65_536),),
        (WindowScale(256),),
        (Timestamps(1 << 32, 0),),
        (UnknownOption(1),),
        (UnknownOption(256),),
        (UnknownOption(9, bytes(39)),),
        (UnknownOption(9, bytes(38)), NoOperation()),
        (Sack(((0, 1 << 32),)),),
        (Sack(((0, 1),) * 5),),
        (Sack(((0, 1),) * 40),),
    ],
)
def test_options_that_are_too_much_are_not_built(options: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="TCP"):
        build_tcp_options(options)


@pytest.mark.parametrize(
    "change", [{"sequence": 1 << 32}, {"window": 65_536}, {"reserved": 8}, {"flags": 0x200}, {"source_port": -1}]
)
def test_what_does_not_fit_tcp_is_not_built(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"source_port": 1, "target_port": 2, "sequence": 3, **change}
    with pytest.raises(ValueError, match="TCP"):
        build_tcp(Segment(**fields), source=A, target=B)


def test_flags_are_said_as_people_say_them() -> None:
    assert flag_words(Flags.SYN | Flags.ACK) == "SYN ACK"
    assert flag_words(Flags.ACK | Flags.FIN | Flags.PSH) == "FIN PSH ACK"
    assert flag_words(0) == ""


def test_syn_and_fin_take_a_sequence_number_each() -> None:
    assert Segment(1, 2, 3, flags=Flags.SYN | Flags.FIN, payload=b"abc").sequence_length == 5
    assert Segment(1, 2, 3, flags=Flags.ACK).sequence_length == 0
