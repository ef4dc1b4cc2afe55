"""What an address tells: read as somebody typed it, and described down to its bytes in memory."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from portside.address import IPAddress, is_decimal, parse_ip, parse_port, split_host_port
from portside.errors import MalformedAddress
from portside.net.sockets import getservbyport, interface_index
from portside.wire.ranges import (
    AddressClass,
    Embedded,
    MulticastScope,
    SpecialRange,
    address_class,
    embedded_ipv4,
    interface_mac,
    is_handed_out,
    multicast_scope,
    port_range,
    special_ranges,
)
from portside.wire.sockaddr import HOST_ORDER, SocketAddress, build_sockaddr, fields_of

_IPV4_MAX: Final = (1 << 32) - 1
_IPV6_MAX: Final = (1 << 128) - 1
_IPV4_HEX_DIGITS: Final = 8

# ── what was typed ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Typed:
    """An address as somebody typed it, with the port behind it if there was one."""

    ip: IPAddress
    port: int | None = None


def parse_typed(text: str) -> Typed:
    """Return what ``text`` means: an address, ``A:PORT``, ``[A]:PORT``; A may be an integer, decimal or ``0x…``.

    A number that fits in 32 bits is an IPv4 address, a larger one IPv6; hexadecimal with more than eight digits is
    always IPv6, so that small IPv6 addresses can be written. Raises: MalformedAddress with the reason.
    """
    if "://" in text:
        raise MalformedAddress(text, "it is a URL; an address stands without a scheme")
    host, port_text = split_host_port(text)
    ip = _parse_number(host) or parse_ip(host) if host else None
    if ip is None:
        raise MalformedAddress(text, "it is empty" if not text else "the address before the port is missing")
    if port_text is None:
        return Typed(ip)
    if not port_text:
        raise MalformedAddress(text, "the port after ':' is missing")
    return Typed(ip, parse_port(port_text))


def _parse_number(text: str) -> IPAddress | None:
    if text[:2] in {"0x", "0X"}:
        digits = text[2:]
        if not re.fullmatch(r"[0-9a-fA-F]+", digits):
            raise MalformedAddress(text, "after 0x come hexadecimal digits")
        return _from_integer(text, int(digits, 16), is_ipv6=len(digits) > _IPV4_HEX_DIGITS)
    if not is_decimal(text):
        return None
    if len(text) > 1 and text.startswith("0"):
        raise MalformedAddress(text, "the number starts with a zero, which some programs read as octal")
    if len(text) > len(str(_IPV6_MAX)):  # int() refuses thousands of digits with an error of its own
        raise MalformedAddress(text, "an address has at most 128 bits")
    return _from_integer(text, int(text))


def _from_integer(text: str, number: int, *, is_ipv6: bool = False) -> IPAddress:
    if number > _IPV6_MAX:
        raise MalformedAddress(text, "an address has at most 128 bits")
    return IPv6Address(number) if is_ipv6 or number > _IPV4_MAX else IPv4Address(number)


def explained(text: str, error: MalformedAddress) -> MalformedAddress:
    """Return the error with the way out for the two things people type by mistake: a name, and a network."""
    host = error.text
    if error.text == text.rpartition(":")[2] != text:  # it is the port that is wrong
        return error
    if "/" in host and _is_address(host.partition("/")[0]):
        return MalformedAddress(text, "it is a network; an address has no prefix length")
    if re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.?", host) and host[:2].lower() != "0x":
        return MalformedAddress(text, f"it looks like a name; portside resolve {host} lists its addresses")
    return error


def _is_address(text: str) -> bool:
    try:
        parse_ip(text)
    except MalformedAddress:
        return False
    return True


# ── what it tells ────────────────────────────────────────────────────────────────────────────────────────────────────
# Fields are the keys of --json, documented in docs/names.md.


@dataclass(frozen=True, slots=True)
class Zone:
    """The part after ``%``: which link a link-local address is on (RFC 4007). ``index`` is None if not known here."""

    name: str
    index: int | None


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Port:
    number: int
    range: str
    first: int
    last: int
    hex: str
    services: tuple[Service, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the structure. ``order`` is host or network, None for padding."""

    name: str
    offset: int
    hex: str
    order: str | None
    value: str


@dataclass(frozen=True, slots=True)
class Structure:
    struct: str
    size_bytes: int
    host_order: str
    hex: str
    fields: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """All of it. ``ipv4`` describes the address inside an IPv4-mapped one as if it had been typed itself."""

    address: str
    version: int
    full: str
    mapped: str | None
    integer: int
    hex: str
    binary: str
    address_class: AddressClass | None
    ranges: tuple[SpecialRange, ...]
    is_handed_out: bool
    multicast: MulticastScope | None
    embedded: Embedded | None
    mac: str | None
    zone: Zone | None
    reverse_name: str
    port: Port | None
    sockaddr: Structure
    ipv4: Description | None


def describe(typed: Typed) -> Description:
    """Return everything the address tells, services and interfaces as this machine names them."""
    ip = typed.ip
    zone_name = ip.scope_id if isinstance(ip, IPv6Address) else None
    zone = Zone(zone_name, interface_index(zone_name)) if zone_name else None
    embedded = embedded_ipv4(ip)
    mac = interface_mac(ip)
    is_mapped = embedded is not None and embedded.kind == "IPv4-mapped"
    return Description(
        address=shown(ip),
        version=ip.version,
        full=_without_zone(ip).exploded,
        mapped=f"::ffff:{ip}" if isinstance(ip, IPv4Address) else None,
        integer=int(ip),
        hex=f"0x{ip.packed.hex()}",
        binary=f"{int(ip):0{ip.max_prefixlen}b}",
        address_class=address_class(ip) if isinstance(ip, IPv4Address) else None,
        ranges=special_ranges(ip),
        is_handed_out=is_handed_out(ip),
        multicast=multicast_scope(ip),
        embedded=embedded,
        mac=mac.hex(":") if mac else None,
        zone=zone,
        reverse_name=_without_zone(ip).reverse_pointer,
        port=None if typed.port is None else _describe_port(typed.port),
        sockaddr=_describe_structure(SocketAddress(ip, typed.port or 0, scope=(zone and zone.index) or 0)),
        ipv4=describe(Typed(embedded.ipv4, typed.port)) if embedded and is_mapped else None,
    )


def shown(ip: IPAddress) -> str:
    """Return the address as RFC 5952 writes it; a mapped one mixed, ``::ffff:192.0.2.1`` (section 5)."""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return f"::ffff:{ip.ipv4_mapped}" + (f"%{ip.scope_id}" if ip.scope_id else "")
    return str(ip)


def _without_zone(ip: IPAddress) -> IPAddress:
    # Python's exploded and reverse_pointer take the zone for digits.
    return IPv6Address(int(ip)) if isinstance(ip, IPv6Address) else ip


def _describe_port(number: int) -> Port:
    known = port_range(number)
    services = []
    for protocol in ("tcp", "udp"):
        with contextlib.suppress(OSError):
            services.append(Service(getservbyport(number, protocol), protocol))
    return Port(number, known.name, known.first, known.last, f"0x{number:04x}", tuple(services))


def _describe_structure(address: SocketAddress) -> Structure:
    data = build_sockaddr(address)
    fields = tuple(
        Member(part.name, part.offset, part.data.hex(), part.order, part.value) for part in fields_of(address)
    )
    return Structure(address.struct_name, len(data), HOST_ORDER, data.hex(), fields)
