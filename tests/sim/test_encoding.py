"""Frames are exactly the bytes that they claim to be, and come back from them as they were."""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.sim.addresses import to_int
from portside.sim.encoding import decode, encode, encode_by_layers, open_packet
from portside.sim.frame import AnyIpFrame, IcmpFrame, IpFrame, Offer, OpaqueFrame, TcpFrame, UdpFrame
from portside.sim.packing import pack
from portside.wire.icmp import Echo

PAIRS = ((to_int("10.0.0.1"), to_int("10.0.0.2")), (to_int("2001:db8::1"), to_int("2001:db8::2")))
WORD = st.integers(0, (1 << 32) - 1)
SHORT = st.integers(0, (1 << 16) - 1)
OFFERS = st.builds(
    Offer, st.one_of(st.none(), st.integers(1, 65_535)), st.one_of(st.none(), st.integers(0, 14)), st.booleans()
).filter(lambda offer: offer != Offer())


@st.composite
def segments(draw: Any) -> TcpFrame:
    source, target = draw(st.sampled_from(PAIRS))
    timestamp = draw(st.one_of(st.none(), WORD))
    blocks = draw(st.lists(st.tuples(WORD, WORD), max_size=4 if timestamp is None else 3))
    offer = draw(st.one_of(st.none(), OFFERS)) if not blocks else None
    return TcpFrame(
        source,
        draw(SHORT),
        target,
        draw(SHORT),
        draw(WORD),
        draw(WORD),
        draw(st.integers(0, 511)),
        draw(SHORT),
        draw(st.binary(max_size=100)),
        timestamp,
        draw(WORD) if timestamp is not None else 0,
        tuple(blocks),
        offer,
    )


@st.composite
def datagrams(draw: Any) -> UdpFrame:
    source, target = draw(st.sampled_from(PAIRS))
    return UdpFrame(source, draw(SHORT), target, draw(SHORT), draw(st.binary(max_size=100)))


@st.composite
def echoes(draw: Any) -> IcmpFrame:
    source, target = draw(st.sampled_from(PAIRS))
    message = Echo(draw(SHORT), draw(SHORT), draw(st.binary(max_size=100)), is_reply=draw(st.booleans()))
    return IcmpFrame(source, target, message, 8 + len(message.payload))


def read(data: bytes) -> AnyIpFrame:
    """Return the packet of IP that the bytes are, and what is within it."""
    opened = decode(data)
    assert isinstance(opened, OpaqueFrame)
    return open_packet(opened)


def fields(frame: IpFrame) -> dict[str, object]:
    """Return all that a frame says."""
    names = [name for kind in type(frame).__mro__[:-1] for name in getattr(kind, "__slots__", ())]
    return {name: getattr(frame, name) for name in names if name not in {"encoded", "inner"}}


@given(
    st.one_of(segments(), datagrams()),
    st.integers(0, 255),
    SHORT,
    st.booleans(),
    st.integers(0, (1 << 48) - 1),
    st.integers(0, (1 << 20) - 1),
    st.integers(0, 255),
)
def test_packed_at_once_the_bytes_are_those_of_the_layers(  # noqa: PLR0917 -- drawn by hypothesis
    frame: AnyIpFrame,
    traffic_class: int,
    identification: int,
    dont_fragment: bool,
    mac: int,
    flow_label: int,
    ttl: int,
) -> None:
    frame.traffic_class, frame.ttl = traffic_class, ttl
    frame.source_mac, frame.target_mac = mac, mac ^ 0xFFFF
    if frame.target < 1 << 48:
        frame.identification, frame.dont_fragment = identification, dont_fragment
    else:
        frame.flow_label = flow_label
    packed = pack(frame)
    if isinstance(frame, UdpFrame) or frame.offer is None:
        assert packed is not None
    assert packed in {None, encode_by_layers(frame)}


@given(st.one_of(segments(), datagrams(), echoes()))
def test_bytes_that_are_kept_are_those_of_the_frame_however_it_was_made(frame: AnyIpFrame) -> None:
    frame.source_mac = frame.target_mac = 1
    encode(frame)
    for made in (frame.hop(), frame.changed(source=frame.target), copy(frame)):
        made.source_mac = made.target_mac = 2
        assert encode(made) == encode_by_layers(made)
    assert encode(frame) == encode_by_layers(frame)


def test_what_does_not_fit_its_field_is_refused() -> None:
    frame = UdpFrame(*PAIRS[0][:1], 7, PAIRS[0][1], 70_000, b"")
    assert pack(frame) is None
    with pytest.raises(ValueError, match="UDP"):
        encode(frame)


@given(st.one_of(segments(), datagrams(), echoes()), st.integers(0, 255), SHORT, st.booleans())
def test_bytes_are_as_many_as_the_frame_says_and_give_it_back(
    frame: AnyIpFrame, traffic_class: int, identification: int, dont_fragment: bool
) -> None:
    frame.traffic_class = traffic_class
    if frame.target < 1 << 48:
        frame.identification, frame.dont_fragment = identification, dont_fragment
    else:
        frame.flow_label, frame.dont_fragment = identification, False
    frame.source_mac, frame.target_mac = 0x02_00_00_00_00_01, 0x02_00_00_00_00_02
    data = encode(frame)
    assert len(data) == frame.size
    back = decode(data)
    assert isinstance(back, OpaqueFrame)
    assert back.size == frame.size
    assert fields(open_packet(back)) == fields(frame)


@given(st.one_of(segments(), datagrams(), echoes()), st.data())
def test_a_bit_that_was_flipped_behind_the_addresses_is_noticed(frame: AnyIpFrame, data: st.DataObject) -> None:
    good = encode(frame)
    start = 14 * 8 if frame.target < 1 << 48 else (14 + 8) * 8  # IPv6 has no checksum of its own header
    bit = data.draw(st.integers(start, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    if isinstance(frame, UdpFrame) and bytes(bad[40:42] if start == 112 else bad[60:62]) == b"\0\0":
        return  # the flip made the checksum one that says "none"
    with pytest.raises(MalformedMessage):
        read(bytes(bad))


def test_a_fragment_stays_closed() -> None:
    source, target = PAIRS[1]
    frame = OpaqueFrame(17, source, target, 14 + 40 + 8 + 16, 64, bytes(16), 1_232, True)
    frame.identification = 77
    back = decode(encode(frame))
    assert isinstance(back, OpaqueFrame)
    assert (back.offset, back.more, back.identification, back.payload) == (1_232, True, 77, bytes(16))
    assert back.size == frame.size == len(encode(frame))
    assert back.is_fragment
