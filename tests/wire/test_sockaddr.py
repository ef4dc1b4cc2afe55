"""The kernel's structures of addresses, byte by byte, against the C layouts and against ``ctypes``."""

from __future__ import annotations

import ctypes
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.wire.sockaddr import (
    AF_INET,
    AF_INET6,
    ByteOrder,
    SocketAddress,
    build_sockaddr,
    fields_of,
    parse_sockaddr,
)

orders = st.sampled_from(["little", "big"])
ports = st.integers(0, 65_535)
words = st.integers(0, (1 << 32) - 1)
addresses = st.one_of(
    st.builds(SocketAddress, st.ip_addresses(v=4), ports),
    st.builds(SocketAddress, st.ip_addresses(v=6), ports, words, words),
)


def test_sockaddr_in_is_as_the_lectures_draw_it() -> None:
    address = SocketAddress(IPv4Address("128.143.67.11"), 80)
    assert build_sockaddr(address, host_order="little").hex(" ") == "02 00 00 50 80 8f 43 0b 00 00 00 00 00 00 00 00"
    assert build_sockaddr(address, host_order="big").hex(" ") == "00 02 00 50 80 8f 43 0b 00 00 00 00 00 00 00 00"


def test_sockaddr_in6_has_flow_address_and_scope() -> None:
    address = SocketAddress(IPv6Address("fe80::1"), 443, flow=0x12345, scope=3)
    assert build_sockaddr(address, host_order="little").hex() == (
        "0a0001bb00012345fe80000000000000000000000000000103000000"
    )
    assert build_sockaddr(address, host_order="big")[-4:].hex() == "00000003"


class InC(ctypes.Structure):
    """``struct sockaddr_in`` of linux/in.h."""

    _fields_ = (
        ("sin_family", ctypes.c_ushort),
        ("sin_port", ctypes.c_uint16),
        ("sin_addr", ctypes.c_uint8 * 4),
        ("sin_zero", ctypes.c_uint8 * 8),
    )


class In6C(ctypes.Structure):
    """``struct sockaddr_in6`` of linux/in6.h."""

    _fields_ = (
        ("sin6_family", ctypes.c_ushort),
        ("sin6_port", ctypes.c_uint16),
        ("sin6_flowinfo", ctypes.c_uint32),
        ("sin6_addr", ctypes.c_uint8 * 16),
        ("sin6_scope_id", ctypes.c_uint32),
    )


@given(addresses)
def test_the_layout_is_what_the_c_compiler_makes(address: SocketAddress) -> None:
    layout = InC if address.ip.version == 4 else In6C
    data = build_sockaddr(address)
    assert len(data) == ctypes.sizeof(layout)
    for part in fields_of(address):
        member = getattr(layout, part.name)
        assert (part.offset, len(part.data)) == (member.offset, member.size)
    structure = layout.from_buffer_copy(data)
    assert getattr(structure, part_name(address, "family")) == (AF_INET if address.ip.version == 4 else AF_INET6)
    if address.ip.version == 6:
        assert structure.sin6_scope_id == address.scope


def part_name(address: SocketAddress, name: str) -> str:
    return ("sin_" if address.ip.version == 4 else "sin6_") + name


@given(addresses, orders)
def test_what_was_built_is_parsed(address: SocketAddress, order: ByteOrder) -> None:
    assert parse_sockaddr(build_sockaddr(address, host_order=order), host_order=order) == address


@given(addresses, orders)
def test_the_fields_joined_are_the_structure(address: SocketAddress, order: ByteOrder) -> None:
    fields = fields_of(address, host_order=order)
    assert b"".join(part.data for part in fields) == build_sockaddr(address, host_order=order)
    offset = 0
    for part in fields:
        assert part.offset == offset
        offset += len(part.data)


@given(st.binary(max_size=40), orders)
def test_any_bytes_are_a_structure_or_refused(data: bytes, order: ByteOrder) -> None:
    try:
        address = parse_sockaddr(data, host_order=order)
    except MalformedMessage:
        return
    built = build_sockaddr(address, host_order=order)
    assert built[:8] == data[:8]  # sin_zero need not be zero


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "a sockaddr begins with two bytes of family, only 0 came"),
        (b"\2\0" + bytes(13), "a sockaddr_in has 16 bytes, only 15 came"),
        (b"\x0a\0" + bytes(14), "a sockaddr_in6 has 28 bytes, only 16 came"),
        (b"\1\0" + bytes(14), "a sockaddr of family 1 is neither AF_INET (2) nor AF_INET6 (10)"),
    ],
)
def test_other_bytes_are_refused_with_the_reason(data: bytes, said: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_sockaddr(data, host_order="little")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "address",
    [
        SocketAddress(IPv4Address(0), 65_536),
        SocketAddress(IPv4Address(0), -1),
        SocketAddress(IPv6Address(0), 0, flow=1 << 32),
        SocketAddress(IPv6Address(0), 0, scope=-1),
    ],
)
def test_numbers_that_do_not_fit_are_refused(address: SocketAddress) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        build_sockaddr(address)
