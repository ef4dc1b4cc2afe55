"""Internet addresses as integers, which is what a simulated packet carries millions of times.

There is one space for both versions, that of IPv6: an IPv4 address is its mapped one, ``::ffff:a.b.c.d`` (RFC 4291
section 2.5.5.2). So one routing table and one table of connections hold both, as in the kernel.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from portside.address import IPAddress, parse_ip

MAPPED: Final = 0xFFFF << 32
IPV4_BITS: Final = 96  # a prefix of IPv4 is so much longer here: /24 is /120
ANY: Final = 0  # the unspecified address, ::
ANY_V4: Final = MAPPED
LOOPBACK: Final = 1
BROADCAST_V4: Final = MAPPED | 0xFFFF_FFFF
BROADCAST_MAC: Final = 0xFFFF_FFFF_FFFF


def is_v4(address: int) -> bool:
    """Return whether the address is one of IPv4."""
    return address >> 32 == 0xFFFF


def is_multicast(address: int) -> bool:
    """Return whether a group is meant: 224.0.0.0/4 (RFC 1112) or ff00::/8 (RFC 4291 section 2.7)."""
    return (address >> 28) & 0xF == 0xE if is_v4(address) else address >> 120 == 0xFF


def is_loopback(address: int) -> bool:
    """Return whether the address is within this host: 127.0.0.0/8 (RFC 1122 section 3.2.1.3) or ::1."""
    return address == LOOPBACK or (address >> 24) & 0xFF_FFFF_FF == 0xFF_FF7F


def is_link_local(address: int) -> bool:
    """Return whether the address is fe80::/10 or 169.254.0.0/16 (RFC 3927)."""
    return address >> 118 == 0x3FA or address >> 16 == 0xFFFF_A9FE


@lru_cache(maxsize=65_536)
def to_int(text: str) -> int:
    """Return the integer of an address as it is written. Raises MalformedAddress."""
    return from_ip(parse_ip(text))


@lru_cache(maxsize=65_536)
def to_text(address: int) -> str:
    """Return how the address is written, one of IPv4 in dots."""
    return str(to_ip(address))


def from_ip(address: IPAddress) -> int:
    """Return the integer of an address."""
    return MAPPED | int(address) if isinstance(address, IPv4Address) else int(address)


@lru_cache(maxsize=65_536)
def to_ip(address: int) -> IPAddress:
    """Return the address as a value of the standard library's, IPv4 where it is one."""
    return IPv4Address(address & 0xFFFF_FFFF) if is_v4(address) else IPv6Address(address)


def parse_network(text: str) -> tuple[int, int]:
    """Return address and prefix length in bits of ``10.0.0.1/24`` or ``2001:db8::1/64``, host bits kept.

    An IPv4 prefix counts its 96 mapped bits too. Without a slash the whole address is the prefix.
    Raises MalformedAddress, and ValueError for a length that there is not.
    """
    host, slash, length = text.partition("/")
    address = to_int(host)
    bits = 32 if is_v4(address) else 128
    prefix = int(length) if slash else bits
    if not 0 <= prefix <= bits:
        raise ValueError(f"{text}: a prefix has 0 to {bits} bits")
    return address, prefix + 128 - bits


def network_of(address: int, prefix: int) -> int:
    """Return the address with everything behind the prefix set to zero."""
    return address >> (128 - prefix) << (128 - prefix)


def mac_text(mac: int) -> str:
    """Return how a MAC address is written: ``02:00:00:00:00:01``."""
    return mac.to_bytes(6).hex(":")
