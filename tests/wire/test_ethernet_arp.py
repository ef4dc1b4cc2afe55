"""Ethernet frames with their tags, and ARP within them."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedAddress, MalformedMessage
from portside.wire.arp import REPLY, REQUEST, Arp, build_arp, parse_arp
from portside.wire.ethernet import (
    BROADCAST,
    NO_MAC,
    Frame,
    MacAddress,
    VlanTag,
    build_ethernet,
    parse_ethernet,
    parse_mac,
)
from portside.wire.malformed import Truncated
from support.packets import arps, frames, macs

HERE, THERE = parse_mac("02:00:00:00:00:01"), parse_mac("02:00:00:00:00:02")


def test_a_frame_byte_by_byte() -> None:
    assert build_ethernet(Frame(THERE, HERE, 0x0800, b"abc")).hex() == "020000000002020000000001" + "0800" + "616263"


def test_tags_stand_before_the_type() -> None:
    inner, outer = VlanTag(100, priority=5), VlanTag(4_095, may_drop=True, type=0x88A8)
    frame = Frame(THERE, HERE, 0x86DD, b"abc", (outer, inner))
    data = build_ethernet(frame)
    assert data[12:].hex() == "88a81fff" + "8100a064" + "86dd" + "616263"
    assert parse_ethernet(data) == frame
    assert frame.header_bytes == 22


def test_short_frames_are_padded_on_request() -> None:
    data = build_ethernet(Frame(BROADCAST, HERE, 0x0806, b"abc"), pad=True)
    assert len(data) == 60
    assert parse_ethernet(data).payload == b"abc" + bytes(43)


@given(frames)
def test_frames_are_parsed_as_they_were_built(frame: Frame) -> None:
    assert parse_ethernet(build_ethernet(frame)) == frame


@given(frames, st.data())
def test_a_frame_cut_within_its_header_is_refused(frame: Frame, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, frame.header_bytes - 1))
    with pytest.raises(Truncated):
        parse_ethernet(build_ethernet(frame)[:cut])


@pytest.mark.parametrize(
    "frame",
    [
        Frame(THERE, HERE, 0x8100),  # would be read as a tag
        Frame(THERE, HERE, 0x10000),
        Frame(THERE, HERE, 0x0800, tags=(VlanTag(4_096),)),
        Frame(THERE, HERE, 0x0800, tags=(VlanTag(1, priority=8),)),
        Frame(THERE, HERE, 0x0800, tags=(VlanTag(1, type=0x0800),)),
    ],
)
def test_what_does_not_fit_a_frame_is_not_built(frame: Frame) -> None:
    with pytest.raises(ValueError, match=r"VLAN|Ethernet"):
        build_ethernet(frame)


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(macs)
def test_addresses_are_read_as_they_are_written(mac: MacAddress) -> None:
    assert parse_mac(str(mac)) == mac
    assert parse_mac(str(mac).upper().replace(":", "-")) == mac


@pytest.mark.parametrize(
    "text", ["", "02:00:00:00:00", "02:00:00:00:00:00:00", "02:00-00:00:00:00", "020000000000", "g2:00:00:00:00:00"]
)
def test_other_text_is_no_address(text: str) -> None:
    with pytest.raises(MalformedAddress, match="is not a MAC"):
        parse_mac(text)


def test_what_an_address_tells() -> None:
    assert BROADCAST.is_group
    assert parse_mac("01:00:5e:00:00:01").is_group
    assert not HERE.is_group
    assert HERE.is_local
    assert not parse_mac("00:1b:21:00:00:01").is_local
    with pytest.raises(ValueError, match="an Ethernet address has 6 bytes, not 5"):
        MacAddress(bytes(5))


# ── ARP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

QUESTION = Arp(REQUEST, HERE, IPv4Address("192.0.2.1"), NO_MAC, IPv4Address("192.0.2.2"))


def test_a_question_byte_by_byte() -> None:
    expected = "0001080006040001020000000001c0000201000000000000c0000202"
    assert build_arp(QUESTION).hex() == expected


@given(arps)
def test_arp_is_parsed_as_it_was_built_padding_or_not(arp: Arp) -> None:
    assert parse_arp(build_arp(arp)) == arp
    assert parse_arp(build_arp(arp) + bytes(18)) == arp


@given(st.integers(0, 27))
def test_arp_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(Truncated, match=f"ARP: {cut} bytes came of 28"):
        parse_arp(build_arp(QUESTION)[:cut])


@pytest.mark.parametrize("at", [0, 2, 4, 5])
def test_arp_of_other_networks_is_refused(at: int) -> None:
    data = bytearray(build_arp(QUESTION))
    data[at] ^= 0x01
    with pytest.raises(MalformedMessage, match="only IPv4 over Ethernet is known here"):
        parse_arp(bytes(data))


def test_probes_and_announcements_of_rfc_5227() -> None:
    mine, nobody = IPv4Address("192.0.2.1"), IPv4Address(0)
    assert Arp(REQUEST, HERE, nobody, NO_MAC, mine).is_probe
    assert Arp(REQUEST, HERE, mine, NO_MAC, mine).is_announcement
    assert Arp(REPLY, HERE, mine, BROADCAST, mine).is_announcement
    assert not QUESTION.is_probe
    assert not QUESTION.is_announcement
    assert not Arp(REQUEST, HERE, nobody, NO_MAC, nobody).is_announcement
