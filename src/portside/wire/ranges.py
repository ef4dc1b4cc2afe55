"""What an Internet address tells by itself: the special range it lies in, what is hidden inside it, its class.

The ranges are those of the IANA registries "IPv4 Special-Purpose Address Space" and "IPv6 Special-Purpose Address
Space" (RFC 6890, RFC 8190 and the RFCs they list, as of 2025), with the multicast blocks and a few ranges that no
registry lists any more and that are still met. Python's ``ipaddress`` answers differently from version to version.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from portside.address import IPAddress


@dataclass(frozen=True, slots=True)
class SpecialRange:
    """A range of addresses with a meaning of its own.

    ``is_global``: routers between networks forward to it. None where the registry says that depends, or where the
    range is deprecated.
    """

    network: IPv4Network | IPv6Network
    name: str
    source: str
    is_global: bool | None


# range, name, source, forwarded between networks
_IPV4: Final = (
    ("0.0.0.0/8", "this network", "RFC 791", False),
    ("0.0.0.0/32", "this host (any address of its own)", "RFC 1122 section 3.2.1.3", False),
    ("10.0.0.0/8", "private", "RFC 1918", False),
    ("100.64.0.0/10", "carrier-grade NAT (shared address space)", "RFC 6598", False),
    ("127.0.0.0/8", "loopback", "RFC 1122 section 3.2.1.3", False),
    ("169.254.0.0/16", "link-local", "RFC 3927", False),
    ("172.16.0.0/12", "private", "RFC 1918", False),
    ("192.0.0.0/24", "IETF protocol assignments", "RFC 6890", False),
    ("192.0.0.0/29", "IPv4 service continuity (DS-Lite)", "RFC 7335", False),
    ("192.0.0.8/32", "IPv4 dummy address", "RFC 7600", False),
    ("192.0.0.9/32", "Port Control Protocol anycast", "RFC 7723", True),
    ("192.0.0.10/32", "TURN anycast", "RFC 8155", True),
    ("192.0.0.170/31", "NAT64/DNS64 discovery", "RFC 7050", False),
    ("192.0.2.0/24", "documentation (TEST-NET-1)", "RFC 5737", False),
    ("192.31.196.0/24", "AS112 (DNAME)", "RFC 7535", True),
    ("192.52.193.0/24", "automatic multicast tunneling", "RFC 7450", True),
    ("192.88.99.0/24", "6to4 relay anycast (deprecated)", "RFC 7526", None),
    ("192.88.99.2/32", "6a44 relay anycast", "RFC 6751", False),
    ("192.168.0.0/16", "private", "RFC 1918", False),
    ("192.175.48.0/24", "AS112", "RFC 7534", True),
    ("198.18.0.0/15", "benchmarking", "RFC 2544", False),
    ("198.51.100.0/24", "documentation (TEST-NET-2)", "RFC 5737", False),
    ("203.0.113.0/24", "documentation (TEST-NET-3)", "RFC 5737", False),
    ("224.0.0.0/4", "multicast", "RFC 5771", True),
    ("224.0.0.0/24", "multicast, link scope (never forwarded)", "RFC 5771 section 4", False),
    ("224.0.0.1/32", "multicast, all hosts of the link", "RFC 1112", False),
    ("224.0.0.2/32", "multicast, all routers of the link", "RFC 1256", False),
    ("224.0.0.251/32", "multicast, multicast DNS", "RFC 6762", False),
    ("224.0.1.0/24", "multicast, internetwork control", "RFC 5771 section 5", True),
    ("232.0.0.0/8", "multicast, source-specific", "RFC 4607", True),
    ("233.0.0.0/8", "multicast, by AS number (GLOP)", "RFC 3180", True),
    ("233.252.0.0/14", "multicast, ad hoc", "RFC 5771 section 9", True),
    ("233.252.0.0/24", "documentation (MCAST-TEST-NET)", "RFC 6676", False),
    ("234.0.0.0/8", "multicast, by unicast prefix", "RFC 6034", True),
    ("239.0.0.0/8", "multicast, administrative scope", "RFC 2365", False),
    ("239.192.0.0/14", "multicast, organization-local scope", "RFC 2365 section 6.2", False),
    ("239.255.0.0/16", "multicast, site-local scope", "RFC 2365 section 6.1", False),
    ("240.0.0.0/4", "reserved", "RFC 1112 section 4", False),
    ("255.255.255.255/32", "limited broadcast", "RFC 919 section 7", False),
)
_IPV6: Final = (
    ("::/128", "unspecified", "RFC 4291 section 2.5.2", False),
    ("::1/128", "loopback", "RFC 4291 section 2.5.3", False),
    ("::/96", "IPv4-compatible (deprecated)", "RFC 4291 section 2.5.5.1", None),
    ("::ffff:0:0/96", "IPv4-mapped", "RFC 4291 section 2.5.5.2", False),
    ("64:ff9b::/96", "NAT64", "RFC 6052", True),
    ("64:ff9b:1::/48", "NAT64, local use", "RFC 8215", False),
    ("100::/64", "discard only", "RFC 6666", False),
    ("100:0:0:1::/64", "dummy prefix", "RFC 9780", False),
    ("2001::/23", "IETF protocol assignments", "RFC 2928", False),
    ("2001::/32", "Teredo", "RFC 4380", None),
    ("2001:1::1/128", "Port Control Protocol anycast", "RFC 7723", True),
    ("2001:1::2/128", "TURN anycast", "RFC 8155", True),
    ("2001:1::3/128", "DNS service registration anycast", "RFC 9665", True),
    ("2001:2::/48", "benchmarking", "RFC 5180", False),
    ("2001:3::/32", "automatic multicast tunneling", "RFC 7450", True),
    ("2001:4:112::/48", "AS112 (DNAME)", "RFC 7535", True),
    ("2001:10::/28", "ORCHID (deprecated)", "RFC 4843", None),
    ("2001:20::/28", "ORCHIDv2", "RFC 7343", True),
    ("2001:30::/28", "drone remote identification", "RFC 9374", True),
    ("2001:db8::/32", "documentation", "RFC 3849", False),
    ("2002::/16", "6to4", "RFC 3056", None),
    ("2620:4f:8000::/48", "AS112", "RFC 7534", True),
    ("3fff::/20", "documentation", "RFC 9637", False),
    ("5f00::/16", "segment routing (SRv6)", "RFC 9602", False),
    ("fc00::/7", "unique local", "RFC 4193", False),
    ("fe80::/10", "link-local", "RFC 4291 section 2.5.6", False),
    ("fec0::/10", "site-local (deprecated)", "RFC 3879", None),
    ("ff00::/8", "multicast", "RFC 4291 section 2.7", True),
    ("ff02::1/128", "multicast, all nodes of the link", "RFC 4291 section 2.7.1", False),
    ("ff02::2/128", "multicast, all routers of the link", "RFC 4291 section 2.7.1", False),
    ("ff02::fb/128", "multicast, multicast DNS", "RFC 6762", False),
    ("ff02::1:ff00:0/104", "multicast, solicited node", "RFC 4291 section 2.7.1", False),
)
MULTICAST_SCOPES: Final = {  # RFC 4291 section 2.7 and RFC 7346 section 2
    0x0: "reserved",
    0x1: "interface-local",
    0x2: "link-local",
    0x3: "realm-local",
    0x4: "admin-local",
    0x5: "site-local",
    0x8: "organization-local",
    0xE: "global",
    0xF: "reserved",
}


@lru_cache(maxsize=2)
def _table(version: int) -> tuple[tuple[int, int, SpecialRange], ...]:
    """Return first address, last address and range, longest prefix first. Made once: a program may never need it."""
    ranges = [
        SpecialRange(ip_network(network), name, source, is_global)
        for network, name, source, is_global in (_IPV4 if version == 4 else _IPV6)
    ]
    ranges.sort(key=lambda special: -special.network.prefixlen)
    return tuple((int(special.network[0]), int(special.network[-1]), special) for special in ranges)


def special_ranges(ip: IPAddress) -> tuple[SpecialRange, ...]:
    """Return the ranges with a special meaning that hold the address, the narrowest first; most addresses have none."""
    number = int(ip)
    found = tuple(special for first, last, special in _table(ip.version) if first <= number <= last)
    # :: and ::1 lie in ::/96 by their numbers only, says RFC 4291 section 2.5.5.1.
    return found[:1] if ip.version == 6 and number <= 1 else found


def is_handed_out(ip: IPAddress) -> bool:
    """Return whether ordinary addresses come from here: all of IPv4, and of IPv6 the eighth that IANA gives out.

    Source: RFC 4291 section 2.4, and the IANA registry "Internet Protocol Version 6 Address Space": 2000::/3.
    """
    return ip.version == 4 or ip.packed[0] >> 5 == 1


@dataclass(frozen=True, slots=True)
class MulticastScope:
    """How far an IPv6 multicast packet goes, and how its group came to be (the four flags 0 R P T)."""

    number: int
    name: str
    is_transient: bool  # T: not assigned by IANA
    is_from_prefix: bool  # P: made of a unicast prefix, RFC 3306
    has_rendezvous: bool  # R: carries its rendezvous point, RFC 3956


def multicast_scope(ip: IPAddress) -> MulticastScope | None:
    """Return the scope and flags in the second byte of an IPv6 multicast address, or None. RFC 4291 section 2.7."""
    if not isinstance(ip, IPv6Address) or ip.packed[0] != 0xFF:
        return None
    flags, number = ip.packed[1] >> 4, ip.packed[1] & 0xF
    return MulticastScope(
        number,
        MULTICAST_SCOPES.get(number, "unassigned"),
        is_transient=bool(flags & 1),
        is_from_prefix=bool(flags & 2),
        has_rendezvous=bool(flags & 4),
    )


# ── addresses inside addresses ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Embedded:
    """An IPv4 address carried inside an IPv6 one; Teredo carries a server, a port and a flag as well."""

    kind: str  # IPv4-mapped, IPv4-compatible, NAT64, 6to4, Teredo
    ipv4: IPv4Address
    server: IPv4Address | None = None
    port: int | None = None
    is_cone: bool | None = None  # Teredo: the client believed to be behind a cone NAT


def embedded_ipv4(ip: IPAddress) -> Embedded | None:
    """Return the IPv4 address that an IPv6 address carries, or None.

    Source: RFC 4291 section 2.5.5; RFC 6052 section 2.2 (the well-known prefix); RFC 3056 section 2; RFC 4380
            section 4: server in bytes 4 to 7, flags in 8 and 9, port and client inverted in 10 to 15.
    """
    if not isinstance(ip, IPv6Address):
        return None
    packed = ip.packed
    last = IPv4Address(packed[12:])
    if packed[:12] == bytes(10) + b"\xff\xff":
        return Embedded("IPv4-mapped", last)
    if packed[:12] == bytes(12) and int(last) > 0xFFFF:  # ::1 and other small numbers are none
        return Embedded("IPv4-compatible", last)
    if packed[:12] == bytes.fromhex("0064ff9b") + bytes(8):
        return Embedded("NAT64", last)
    if packed[:2] == b"\x20\x02":
        return Embedded("6to4", IPv4Address(packed[2:6]))
    if packed[:4] == b"\x20\x01\0\0":
        return Embedded(
            "Teredo",
            IPv4Address(bytes(byte ^ 0xFF for byte in packed[12:])),
            server=IPv4Address(packed[4:8]),
            port=int.from_bytes(packed[10:12], "big") ^ 0xFFFF,
            is_cone=bool(packed[8] & 0x80),
        )
    return None


def interface_mac(ip: IPAddress) -> bytes | None:
    """Return the six bytes of the Ethernet address from which the interface identifier was made, or None.

    ``ff:fe`` in the middle says so; the universal/local bit is inverted: RFC 4291 appendix A. Addresses that begin
    with the bits 000, and multicast ones, have no such identifier (section 2.5.1). A chance match is possible.
    """
    if not isinstance(ip, IPv6Address):
        return None
    packed = ip.packed
    if packed[11:13] != b"\xff\xfe" or packed[0] >> 5 == 0 or packed[0] == 0xFF:
        return None
    if packed[:4] == b"\x20\x01\0\0":  # Teredo fills these bits otherwise
        return None
    return bytes((packed[8] ^ 0x02, packed[9], packed[10], *packed[13:16]))


# ── the classes of old, and ports ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class AddressClass:
    """The class an IPv4 address had before 1993: its first bits said how long the network's part is."""

    letter: str
    network: IPv4Network | None  # None for D (multicast) and E (reserved), which have no network part


def address_class(ip: IPv4Address) -> AddressClass:
    """Return the historic class. Source: RFC 791 section 3.2, RFC 1112 section 4; replaced by RFC 4632 (CIDR)."""
    first = ip.packed[0]
    for letter, below, prefix in (("A", 128, 8), ("B", 192, 16), ("C", 224, 24)):
        if first < below:
            return AddressClass(letter, IPv4Network((int(ip), prefix), strict=False))
    return AddressClass("D" if first < 240 else "E", None)


@dataclass(frozen=True, slots=True)
class PortRange:
    """A range of port numbers and who hands them out."""

    name: str
    first: int
    last: int
    sentence: str


PORT_RANGES: Final = (
    PortRange("well-known", 0, 1_023, "assigned by IANA; binding one needs a privilege on Unix"),
    PortRange("registered", 1_024, 49_151, "assigned by IANA, open to every program"),
    PortRange("dynamic", 49_152, 65_535, "never assigned: for the kernel to choose from"),
)


def port_range(port: int) -> PortRange:
    """Return the range of a port number. Source: RFC 6335 section 6, which calls them system, user and dynamic."""
    return next(known for known in PORT_RANGES if port <= known.last)
