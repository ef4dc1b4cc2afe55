"""The Internet checksum against RFC 1071's own example, and against the loop that everybody writes first."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.wire.checksum import (
    expected_checksum,
    internet_checksum,
    ones_complement_sum,
    pseudo_header_sum,
    verify_checksum,
)
from portside.wire.malformed import BadChecksum
from support.packets import pairs_of_ips, unsigned


def loop_sum(data: bytes) -> int:
    """RFC 1071 section 4.1, word by word with the carry brought round."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_the_sum_of_rfc_1071_section_3() -> None:
    assert ones_complement_sum(bytes.fromhex("00 01 f2 03 f4 f5 f6 f7")) == 0xDDF2
    assert internet_checksum(bytes.fromhex("00 01 f2 03 f4 f5 f6 f7")) == 0x220D


def test_a_known_header_of_ipv4() -> None:
    header = bytes.fromhex("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7")
    assert internet_checksum(header) == 0xB861
    assert expected_checksum(header[:10] + b"\x12\x34" + header[12:], 10) == 0xB861


@given(st.binary(max_size=200))
def test_the_sum_is_that_of_the_loop(data: bytes) -> None:
    assert ones_complement_sum(data) == loop_sum(data)
    assert ones_complement_sum(memoryview(data)) == loop_sum(data)


@pytest.mark.parametrize("data", [b"", bytes(20), b"\xff\xff", b"\xff\xff\xff\xff", b"\x80\x00\x7f\xff"])
def test_zero_has_two_names_and_only_nothing_is_called_zero(data: bytes) -> None:
    assert ones_complement_sum(data) == loop_sum(data)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_sums_go_on_from_each_other(head: bytes, rest: bytes) -> None:
    even = head + bytes(len(head) % 2)
    assert ones_complement_sum(rest, ones_complement_sum(even)) == loop_sum(even + rest)


@given(pairs_of_ips, unsigned(8), unsigned(16))
def test_the_pseudo_header_of_both_families(pair: tuple[object, object], protocol: int, length: int) -> None:
    source, target = (ip_address(str(each)) for each in pair)
    if isinstance(source, IPv4Address):  # RFC 9293 section 3.1
        header = source.packed + target.packed + bytes([0, protocol]) + length.to_bytes(2, "big")
    else:  # RFC 8200 section 8.1
        header = source.packed + target.packed + length.to_bytes(4, "big") + bytes([0, 0, 0, protocol])
    assert pseudo_header_sum(source, target, protocol, length) == loop_sum(header)


@given(st.binary(min_size=4, max_size=80), st.data())
def test_whatever_carries_its_checksum_is_verified_and_one_changed_bit_is_found(
    data: bytes, draw: st.DataObject
) -> None:
    at = 2 * draw.draw(st.integers(0, len(data) // 2 - 1))
    whole = bytearray(data)
    whole[at : at + 2] = bytes(2)
    whole[at : at + 2] = internet_checksum(whole).to_bytes(2, "big")
    verify_checksum("test", bytes(whole), at)
    bit = draw.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(
        BadChecksum, match=r"test: the checksum is 0x[0-9a-f]{4}, the bytes make 0x[0-9a-f]{4}"
    ) as caught:
        verify_checksum("test", bytes(whole), at)
    assert isinstance(caught.value, MalformedMessage)
    assert caught.value.got == int.from_bytes(whole[at : at + 2], "big")
    whole[at : at + 2] = caught.value.expected.to_bytes(2, "big")
    verify_checksum("test", bytes(whole), at)
