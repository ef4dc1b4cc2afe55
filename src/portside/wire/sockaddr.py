"""``sockaddr_in`` and ``sockaddr_in6``: an address as programs hand it to the kernel, byte by byte.

Two byte orders meet in one structure. The family (and the scope) are plain C integers in the order of the machine,
called host order; port, flow and address stand as they travel, most significant byte first, called network order.
The layouts are Linux's: ``linux/in.h``, ``linux/in6.h``, ip(7), ipv6(7). The BSDs put a length byte before the family.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Literal, TypeAlias

from portside.address import PORT_MAX, IPAddress
from portside.errors import MalformedMessage

AF_INET: Final = 2  # linux/socket.h
AF_INET6: Final = 10
SOCKADDR_IN_BYTES: Final = 16
SOCKADDR_IN6_BYTES: Final = 28

ByteOrder: TypeAlias = Literal["little", "big"]
HOST_ORDER: Final[ByteOrder] = sys.byteorder


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """The values in a ``sockaddr_in`` or ``sockaddr_in6``; the family follows from the address."""

    ip: IPAddress
    port: int = 0
    flow: int = 0  # sin6_flowinfo: 8 bits traffic class and 20 bits flow label of IPv6, see RFC 3493 section 3.3
    scope: int = 0  # sin6_scope_id: the number of the interface that a zone means, 0 for none

    @property
    def struct_name(self) -> str:
        return "sockaddr_in" if isinstance(self.ip, IPv4Address) else "sockaddr_in6"


@dataclass(frozen=True, slots=True)
class Field:
    """One member of the structure where it lies. ``order`` is None where bytes have no order: padding."""

    name: str
    offset: int
    data: bytes
    order: Literal["host", "network"] | None
    value: str  # what the bytes mean


def build_sockaddr(address: SocketAddress, *, host_order: ByteOrder = HOST_ORDER) -> bytes:
    """Return the structure's bytes as a program on a machine of that byte order has them in memory.

    Shape:  sockaddr_in, 16 bytes: family (2, host order), port (2, network order), address (4, network order), 8 zeros.
            sockaddr_in6, 28 bytes: family (2, host), port (2, network), flow (4, network), address (16, network),
            scope (4, host).
    Raises: ValueError for a number that does not fit its field.
    """
    if not 0 <= address.port <= PORT_MAX:
        raise ValueError(f"port {address.port} does not fit in 16 bits")
    port = address.port.to_bytes(2, "big")
    if isinstance(address.ip, IPv4Address):
        return AF_INET.to_bytes(2, host_order) + port + address.ip.packed + bytes(8)
    if not (0 <= address.flow < 1 << 32 and 0 <= address.scope < 1 << 32):
        raise ValueError(f"flow {address.flow} or scope {address.scope} does not fit in 32 bits")
    family, scope = AF_INET6.to_bytes(2, host_order), address.scope.to_bytes(4, host_order)
    return family + port + address.flow.to_bytes(4, "big") + address.ip.packed + scope


def parse_sockaddr(data: bytes, *, host_order: ByteOrder = HOST_ORDER) -> SocketAddress:
    """Return the values in a ``sockaddr_in`` or ``sockaddr_in6``; the zone comes as its number, in ``scope``.

    Raises: MalformedMessage for another family, or fewer bytes than the family's structure has.
    """
    if len(data) < 2:
        raise MalformedMessage(f"a sockaddr begins with two bytes of family, only {len(data)} came")
    family = int.from_bytes(data[:2], host_order)
    if family == AF_INET:
        _expect(data, "sockaddr_in", SOCKADDR_IN_BYTES)
        return SocketAddress(IPv4Address(data[4:8]), int.from_bytes(data[2:4], "big"))
    if family == AF_INET6:
        _expect(data, "sockaddr_in6", SOCKADDR_IN6_BYTES)
        return SocketAddress(
            IPv6Address(data[8:24]),
            int.from_bytes(data[2:4], "big"),
            flow=int.from_bytes(data[4:8], "big"),
            scope=int.from_bytes(data[24:28], host_order),
        )
    raise MalformedMessage(f"a sockaddr of family {family} is neither AF_INET ({AF_INET}) nor AF_INET6 ({AF_INET6})")


def _expect(data: bytes, name: str, size: int) -> None:
    if len(data) < size:
        raise MalformedMessage(f"a {name} has {size} bytes, only {len(data)} came")


def fields_of(address: SocketAddress, *, host_order: ByteOrder = HOST_ORDER) -> tuple[Field, ...]:
    """Return the members of the structure in the order they lie in memory; their bytes joined are the structure."""
    data = build_sockaddr(address, host_order=host_order)
    if isinstance(address.ip, IPv4Address):
        return (
            Field("sin_family", 0, data[0:2], "host", f"{AF_INET} = AF_INET"),
            Field("sin_port", 2, data[2:4], "network", str(address.port)),
            Field("sin_addr", 4, data[4:8], "network", str(address.ip)),
            Field("sin_zero", 8, data[8:16], None, "padding"),
        )
    return (
        Field("sin6_family", 0, data[0:2], "host", f"{AF_INET6} = AF_INET6"),
        Field("sin6_port", 2, data[2:4], "network", str(address.port)),
        Field("sin6_flowinfo", 4, data[4:8], "network", str(address.flow)),
        Field("sin6_addr", 8, data[8:24], "network", str(IPv6Address(int(address.ip)))),
        Field("sin6_scope_id", 24, data[24:28], "host", str(address.scope)),
    )
