"""ICMP of both families, neighbor discovery included: round trips, words, and nothing cut or forged is believed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.wire.ethernet import parse_mac
from portside.wire.icmp import (
    Echo,
    Icmp,
    OtherIcmp,
    ParameterProblem,
    Redirect,
    TimeExceeded,
    Unreachable,
    build_icmp,
    parse_icmp,
)
from portside.wire.icmpv6 import (
    Icmpv6,
    Icmpv6Error,
    NeighborAdvertisement,
    NeighborSolicitation,
    OtherIcmpv6,
    RouterAdvertisement,
    build_icmpv6,
    parse_icmpv6,
)
from portside.wire.malformed import BadChecksum, Truncated
from portside.wire.neighbor import (
    LinkLayerAddress,
    LinkMtu,
    NameServers,
    NeighborOption,
    PrefixInformation,
    RedirectedPacket,
    UnknownNeighborOption,
    build_neighbor_options,
    parse_neighbor_options,
)
from support.packets import icmps, icmpv6s, many

A6, B6 = IPv6Address("fe80::1"), IPv6Address("fe80::2")
MAC = parse_mac("02:00:00:00:00:01")


def test_a_ping_byte_by_byte() -> None:
    assert build_icmp(Echo(0x1234, 1, b"ab")).hex() == "08008468123400016162"
    assert build_icmp(Echo(0x1234, 1, b"ab", is_reply=True)).hex() == "00008c68123400016162"


def test_the_next_hops_mtu_is_where_rfc_1191_has_it() -> None:
    assert build_icmp(Unreachable(4, b"", mtu_bytes=1_400)).hex() == "0304f78300000578"


@given(icmps)
def test_icmp_is_parsed_as_it_was_built(message: Icmp) -> None:
    assert parse_icmp(build_icmp(message), verify=True) == message
    assert parse_icmp(memoryview(build_icmp(message)), verify=True) == message


@given(icmpv6s, st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_icmpv6_is_parsed_as_it_was_built(message: Icmpv6, source: IPv6Address, target: IPv6Address) -> None:
    data = build_icmpv6(message, source=source, target=target)
    assert parse_icmpv6(data, source=source, target=target) == message
    assert parse_icmpv6(memoryview(data)) == message


@given(icmps, icmpv6s, st.data())
def test_a_changed_bit_is_found(four: Icmp, six: Icmpv6, draw: st.DataObject) -> None:
    data = bytearray(build_icmp(four))
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadChecksum):
        parse_icmp(bytes(data), verify=True)
    data = bytearray(build_icmpv6(six, source=A6, target=B6))
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadChecksum):
        parse_icmpv6(bytes(data), source=A6, target=B6)


@given(st.integers(0, 7))
def test_icmp_cut_within_its_header_is_refused(cut: int) -> None:
    with pytest.raises(Truncated):
        parse_icmp(build_icmp(Echo(1, 2))[:cut])
    with pytest.raises(Truncated):
        parse_icmpv6(build_icmpv6(Echo(1, 2), source=A6, target=B6)[:cut])


@given(icmpv6s, st.data())
def test_icmpv6_cut_short_is_refused_or_shorter(message: Icmpv6, draw: st.DataObject) -> None:
    data = build_icmpv6(message, source=A6, target=B6)
    cut = draw.draw(st.integers(0, len(data) - 1))
    try:
        assert parse_icmpv6(data[:cut]) != message
    except Truncated:
        return


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Unreachable(3), "port unreachable"),
        (Unreachable(13), "prohibited by a filter"),
        (Unreachable(99), "unreachable, code 99"),
        (TimeExceeded(0), "time to live exceeded"),
        (TimeExceeded(2), "time exceeded, code 2"),
        (ParameterProblem(0, 20), "wrong at byte 20"),
        (ParameterProblem(1, 0), "an option is missing"),
        (Redirect(1, IPv4Address("192.0.2.1")), "redirect for the host to 192.0.2.1"),
        (Icmpv6Error(1, 4), "port unreachable"),
        (Icmpv6Error(1, 8), "unreachable, code 8"),
        (Icmpv6Error(2, 0, 1_280), "packet too big, at most 1280 bytes"),
        (Icmpv6Error(3, 0), "hop limit exceeded"),
        (Icmpv6Error(4, 1, 40), "unknown next header at byte 40"),
    ],
)
def test_errors_in_words(message: Unreachable, words: str) -> None:
    assert message.words == words


@pytest.mark.parametrize(
    "message",
    [
        Echo(65_536, 0),
        Unreachable(256),
        Unreachable(0, mtu_bytes=1 << 16),
        OtherIcmp(9, 0, b"x"),
        OtherIcmp(256, 0, bytes(4)),
    ],
)
def test_what_does_not_fit_icmp_is_not_built(message: Icmp) -> None:
    with pytest.raises(ValueError, match="ICMP"):
        build_icmp(message)


@pytest.mark.parametrize(
    "message", [Echo(65_536, 0), Icmpv6Error(1, 256), OtherIcmpv6(256, 0), RouterAdvertisement(lifetime_s=65_536)]
)
def test_what_does_not_fit_icmpv6_is_not_built(message: Icmpv6) -> None:
    with pytest.raises(ValueError, match="ICMPv6"):
        build_icmpv6(message, source=A6, target=B6)


# ── neighbor discovery ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_question_for_a_neighbor_byte_by_byte() -> None:
    """RFC 4861 section 4.3."""
    message = NeighborSolicitation(B6, (LinkLayerAddress(MAC),))
    data = build_icmpv6(message, source=A6, target=B6)
    assert data[:2].hex() == "8700"
    assert data[4:].hex() == "00000000" + B6.packed.hex() + "0101" + "020000000001"


def test_the_flags_of_an_answer_are_in_the_order_of_rfc_4861_section_4_4() -> None:
    for flags, first in (((True, False, False), 0x80), ((False, True, False), 0x40), ((False, False, True), 0x20)):
        assert build_icmpv6(NeighborAdvertisement(B6, *flags), source=A6, target=B6)[4] == first


def test_a_router_advertisement_byte_by_byte() -> None:
    """RFC 4861 section 4.2 and 4.6.2."""
    prefix = PrefixInformation(IPv6Address("2001:db8::"), 64, 2_592_000, 604_800)
    message = RouterAdvertisement(64, is_managed=True, lifetime_s=1_800, options=(prefix, LinkMtu(1_500)))
    data = build_icmpv6(message, source=A6, target=B6)
    assert data[4:16].hex() == "408007080000000000000000"
    assert data[16:48].hex() == "030440c000278d0000093a8000000000" + prefix.prefix.packed.hex()
    assert data[48:].hex() == "05010000000005dc"


@given(many)
def test_options_are_parsed_as_they_were_built(options: tuple[NeighborOption, ...]) -> None:
    data = build_neighbor_options(options)
    assert parse_neighbor_options(data) == options
    assert len(data) % 8 == 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("0100 0000 0000 0000", "option 1 says it has no bytes"),
        ("0102 0000 0000 0000", "8 bytes came of 16"),
        ("01", "1 bytes came of 2"),
        ("0101 0000 0000 0000 05", "9 bytes came of 10"),
    ],
)
def test_options_that_do_not_fit_are_refused(data: str, said: str) -> None:
    with pytest.raises(MalformedMessage, match=said):
        parse_neighbor_options(bytes.fromhex(data))


def test_options_of_another_length_than_their_own_are_unknown() -> None:
    for number in (1, 3, 5, 25):
        size = 22 if number in {1, 5} else 6
        data = bytes([number, (size + 2) // 8]) + bytes(size)
        assert parse_neighbor_options(data) == (UnknownNeighborOption(number, bytes(size)),)


def test_a_redirected_packet_is_filled_up_to_eights() -> None:
    data = build_neighbor_options([RedirectedPacket(b"abc")])
    assert data == bytes([4, 2]) + bytes(6) + b"abc" + bytes(5)


@pytest.mark.parametrize(
    "option",
    [
        UnknownNeighborOption(9, bytes(5)),
        UnknownNeighborOption(256, bytes(6)),
        UnknownNeighborOption(9, bytes(2_046)),
        LinkMtu(1 << 32),
        NameServers(1 << 32, (A6,)),
        PrefixInformation(A6, 256, 0, 0),
    ],
)
def test_options_that_are_too_much_are_not_built(option: NeighborOption) -> None:
    with pytest.raises(ValueError, match="ICMPv6"):
        build_neighbor_options([option])
