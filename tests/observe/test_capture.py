"""Packets of connections: right in every field, and holding exactly the bytes that were told, however they came."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import Address, InternetAddress, UnixAddress
from portside.observe.capture import (
    STOOD,
    UNIX_CLIENT,
    UNIX_SERVER,
    CapturedConnection,
    Way,
    captured_datagram,
    interface_of,
)
from portside.wire.captured import CapturedPacket
from portside.wire.ipv4 import parse_ipv4
from portside.wire.ipv6 import parse_ipv6
from portside.wire.tcp import Flags, Segment, parse_tcp
from portside.wire.udp import Datagram, parse_udp

SERVER, CLIENT = InternetAddress("192.0.2.10", 7), InternetAddress("198.51.100.3", 50_000)
SERVER_6, CLIENT_6 = InternetAddress("2001:db8::7", 7), InternetAddress("fe80::1%eth0", 50_000)
SERVICE = interface_of("echo")


def connection(local: Address = SERVER, peer: Address = CLIENT, number: int = 3) -> CapturedConnection:
    return CapturedConnection(number, SERVICE, local, peer)


def segment_of(packet: CapturedPacket) -> tuple[str, str, Segment]:
    """Return both addresses and the segment, every checksum verified."""
    if packet.data[0] >> 4 == 4:
        four = parse_ipv4(packet.data, verify=True)
        segment = parse_tcp(four.payload, source=four.source, target=four.target)
        return str(four.source), str(four.target), segment
    six = parse_ipv6(packet.data)
    return str(six.source), str(six.target), parse_tcp(six.payload, source=six.source, target=six.target)


def flags_of(packets: list[CapturedPacket]) -> list[int]:
    return [segment_of(packet)[2].flags for packet in packets]


def test_a_connection_begins_with_the_handshake_of_its_peer() -> None:
    packets = connection().opened(1_000)
    syn, syn_ack, ack = (segment_of(packet) for packet in packets)
    assert [each[:2] for each in (syn, syn_ack, ack)] == [
        ("198.51.100.3", "192.0.2.10"),
        ("192.0.2.10", "198.51.100.3"),
        ("198.51.100.3", "192.0.2.10"),
    ]
    assert flags_of(packets) == [Flags.SYN, Flags.SYN | Flags.ACK, Flags.ACK]
    assert (syn[2].source_port, syn[2].target_port) == (50_000, 7)
    assert syn_ack[2].acknowledgement == (syn[2].sequence + 1) % (1 << 32)
    assert ack[2].sequence == syn_ack[2].acknowledgement
    assert ack[2].acknowledgement == (syn_ack[2].sequence + 1) % (1 << 32)
    assert [packet.time_ns for packet in packets] == [1_000] * 3
    assert [packet.direction for packet in packets] == ["in", "out", "in"]


@pytest.mark.parametrize(("local", "peer", "mss"), [(SERVER, CLIENT, 1_460), (SERVER_6, CLIENT_6, 1_440)])
def test_no_segment_is_longer_than_the_handshake_allows(local: Address, peer: Address, mss: int) -> None:
    told = connection(local, peer)
    told.opened(0)
    packets = told.moved("out", bytes(2 * mss + 1), 5)
    assert [len(segment_of(packet)[2].payload) for packet in packets] == [mss, mss, 1]
    assert flags_of(packets) == [Flags.ACK, Flags.ACK, Flags.ACK | Flags.PSH]
    assert max(len(packet.data) for packet in packets) == 1_500


Step = tuple[Way, bytes]
steps = st.lists(st.tuples(st.sampled_from(["in", "out"]), st.integers(0, 4_000)), max_size=12)


@given(
    steps=steps,
    number=st.integers(0, 1 << 40),
    ends=st.sampled_from([(SERVER, CLIENT), (SERVER_6, CLIENT_6), (UnixAddress("/run/x"), UnixAddress(""))]),
)
def test_whatever_is_told_is_in_the_segments_and_each_follows_the_one_before(
    steps: list[tuple[Way, int]], number: int, ends: tuple[Address, Address]
) -> None:
    told = connection(*ends, number=number)
    packets = told.opened(0)
    said = {"in": b"", "out": b""}
    for at, (way, size) in enumerate(steps):
        data = bytes((at + each) % 251 for each in range(size))
        said[way] += data
        packets += told.moved(way, data, at)
    packets += told.ended("in", 50) + told.ended("out", 60)
    assert told.is_over
    got = {"in": b"", "out": b""}
    following: dict[str, int] = {}
    for packet in packets:
        source, target, segment = segment_of(packet)
        way = packet.direction
        assert way is not None
        assert following.setdefault(way, segment.sequence) == segment.sequence
        following[way] = (segment.sequence + segment.sequence_length) % (1 << 32)
        if segment.flags & Flags.ACK:
            assert segment.acknowledgement == following["out" if way == "in" else "in"]
        got[way] += segment.payload
        assert source != target
    assert got == said
    assert [packet.time_ns for packet in packets] == sorted(packet.time_ns or 0 for packet in packets)


def test_bytes_that_nobody_answers_are_acknowledged() -> None:
    told = connection()
    told.opened(0)
    assert flags_of(told.moved("in", b"a", 1)) == [Flags.ACK | Flags.PSH]
    acknowledged, carried = told.moved("in", b"b", 2)
    assert acknowledged.direction == "out"
    assert segment_of(acknowledged)[2].acknowledgement == segment_of(carried)[2].sequence
    # An answer acknowledges by itself.
    assert flags_of(told.moved("out", b"c", 3)) == [Flags.ACK | Flags.PSH]


def test_a_half_close_leaves_the_other_way_open() -> None:
    told = connection()
    told.opened(0)
    assert flags_of(told.ended("in", 1)) == [Flags.FIN | Flags.ACK, Flags.ACK]
    assert told.ended("in", 2) == []
    assert told.moved("in", b"late", 2) == []
    assert not told.is_over
    assert segment_of(told.moved("out", b"still", 3)[0])[2].payload == b"still"
    told.ended("out", 4)
    assert told.is_over


@pytest.mark.parametrize(("way", "source"), [("in", "198.51.100.3"), ("out", "192.0.2.10")])
def test_a_reset_comes_from_whoever_made_it(way: Way, source: str) -> None:
    told = connection()
    told.opened(0)
    (packet,) = told.reset(way, 1)
    sender, _, segment = segment_of(packet)
    assert (sender, segment.flags) == (source, Flags.RST | Flags.ACK)
    assert told.is_over
    assert told.reset(way, 2) == told.ended("in", 2) == []


def test_lost_bytes_leave_a_gap_that_says_so() -> None:
    told = connection()
    told.opened(0)
    before = segment_of(told.moved("in", b"abc", 1)[0])[2].sequence
    told.lost("in", 1_000)
    packets = told.moved("in", b"def", 2)
    assert segment_of(packets[-1])[2].sequence == (before + 1_003) % (1 << 32)
    assert "1000 bytes" in "".join(comment for packet in packets for comment in packet.comments)


def test_a_connection_that_comes_again_from_the_same_port_is_another() -> None:
    first, second = connection(number=1).opened(0)[0], connection(number=2).opened(0)[0]
    assert segment_of(first)[2].sequence != segment_of(second)[2].sequence


def test_comments_stand_at_the_first_packet() -> None:
    told = CapturedConnection(1, SERVICE, SERVER, CLIENT, comments=("connection 5-1", STOOD))
    assert [packet.comments for packet in told.opened(0)] == [("connection 5-1", STOOD), (), ()]


def test_unix_sockets_get_addresses_that_a_comment_calls_made_up() -> None:
    packet = connection(UnixAddress("/run/x.sock"), UnixAddress("")).opened(0)[0]
    source, target, _ = segment_of(packet)
    assert (source, target) == (str(UNIX_CLIENT), str(UNIX_SERVER))
    assert "/run/x.sock" in packet.comments[0]
    assert "made up" in packet.comments[0]


def test_a_client_that_a_proxy_tells_of_may_be_of_the_other_family() -> None:
    packet = connection(SERVER, CLIENT_6).opened(0)[0]
    assert segment_of(packet)[:2] == ("fe80::1", str(ip_address("::ffff:192.0.2.10")))


@pytest.mark.parametrize("version", [4, 6])
def test_a_datagram_is_one_packet(version: int) -> None:
    local, peer = (SERVER, CLIENT) if version == 4 else (SERVER_6, CLIENT_6)
    asked = captured_datagram(1, SERVICE, local=local, peer=peer, way="in", data=b"ping", at_ns=9)
    answer = captured_datagram(1, SERVICE, local=local, peer=peer, way="out", data=b"pong", at_ns=10)
    for packet, datagram in ((asked, Datagram(50_000, 7, b"ping")), (answer, Datagram(7, 50_000, b"pong"))):
        found: IPv4Address | IPv6Address
        if version == 4:
            four = parse_ipv4(packet.data, verify=True)
            found, target, payload = four.source, four.target, four.payload
            assert parse_udp(payload, source=found, target=target) == datagram
        else:
            six = parse_ipv6(packet.data)
            assert parse_udp(six.payload, source=six.source, target=six.target) == datagram
    assert (asked.time_ns, answer.time_ns) == (9, 10)
