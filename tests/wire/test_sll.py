"""Linux cooked captures of both versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.wire.malformed import Truncated
from portside.wire.sll import CookedPacket, build_sll2, parse_sll, parse_sll2
from support.packets import payloads, unsigned

cooked = st.builds(CookedPacket, unsigned(8), unsigned(16), st.binary(max_size=8), unsigned(16), payloads, unsigned(32))


@given(cooked)
def test_packets_are_parsed_as_they_were_built(packet: CookedPacket) -> None:
    assert parse_sll2(build_sll2(packet)) == packet


def test_the_second_version_byte_by_byte() -> None:
    data = build_sll2(CookedPacket(4, 772, b"\1\2\3\4\5\6", 0x0800, b"abc", 1))
    assert data.hex() == "0800000000000001030404060102030405060000616263"


def test_the_first_version() -> None:
    data = bytes.fromhex("000400010006010203040506000086dd") + b"abc"
    assert parse_sll(data) == CookedPacket(4, 1, b"\1\2\3\4\5\6", 0x86DD, b"abc")


@given(st.binary(max_size=30))
def test_any_bytes_are_packets_or_too_few(data: bytes) -> None:
    for parse, size in ((parse_sll, 16), (parse_sll2, 20)):
        if len(data) < size:
            with pytest.raises(Truncated):
                parse(data)
        else:
            assert parse(data).payload == data[size:]


def test_directions_in_words() -> None:
    words = [CookedPacket(number, 1, b"", 0).direction_words for number in (0, 4, 9)]
    assert words == ["to us", "from us", "packet type 9"]


@pytest.mark.parametrize(
    "packet", [CookedPacket(0, 1, bytes(9), 0), CookedPacket(256, 1, b"", 0), CookedPacket(0, 65_536, b"", 0)]
)
def test_what_does_not_fit_is_not_built(packet: CookedPacket) -> None:
    with pytest.raises(ValueError, match="Linux cooked capture"):
        build_sll2(packet)
