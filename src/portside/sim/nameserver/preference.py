"""The order in which the addresses of a host are tried: RFC 6724 section 6, without what a simulated host lacks.

Left out are rules 3 (no address is deprecated here), 4 (no home addresses) and 7 (no tunnels). Rule 9, the longest
common prefix, holds within IPv6 only, as glibc has it but for neighbours.
"""

from __future__ import annotations

from typing import Final

from portside.sim.addresses import LOOPBACK, MAPPED, is_link_local, is_loopback, is_multicast, is_v4, parse_network
from portside.sim.seams import Stack

# RFC 6724 section 2.1: prefix, its length, precedence, label; the longest prefix first.
_POLICY: Final = tuple(
    (*network, precedence, label)
    for network, precedence, label in (
        ((LOOPBACK, 128), 50, 0),
        ((MAPPED, 96), 35, 4),
        ((0, 96), 1, 3),
        (parse_network("2001::/32"), 5, 5),
        (parse_network("2002::/16"), 30, 2),
        (parse_network("3ffe::/16"), 1, 12),
        (parse_network("fec0::/10"), 1, 11),
        (parse_network("fc00::/7"), 3, 13),
        ((0, 0), 40, 1),
    )
)
_LINK_LOCAL: Final = 2
_SITE_LOCAL: Final = 5
_GLOBAL: Final = 14


def preferred(addresses: list[int], stack: Stack) -> list[int]:
    """Return the addresses in the order to try them; equal ones stay as they are (rule 10)."""
    return sorted(addresses, key=lambda address: _rank(address, stack)) if len(addresses) > 1 else addresses


def _rank(address: int, stack: Stack) -> tuple[int, ...]:
    precedence, label = _policy(address)
    try:
        source = stack.source_for(address)
    except OSError:
        return (1, 1, 1, -precedence, _scope(address), 0)  # rule 1: there is no way to it
    return (
        0,
        int(_scope(address) != _scope(source)),  # rule 2
        int(_policy(source)[1] != label),  # rule 5
        -precedence,  # rule 6
        _scope(address),  # rule 8
        0 if is_v4(address) else -_common_bits(address, source),  # rule 9
    )


def _policy(address: int) -> tuple[int, int]:
    return next((precedence, label) for prefix, bits, precedence, label in _POLICY if _covers(prefix, bits, address))


def _covers(prefix: int, bits: int, address: int) -> bool:
    return (prefix ^ address) >> (128 - bits) == 0


def _scope(address: int) -> int:
    """RFC 6724 sections 3.1 and 3.2: IPv4's loopback is as near as a link is, private addresses are global."""
    if is_multicast(address) and not is_v4(address):
        return address >> 112 & 0xF
    if is_loopback(address) or is_link_local(address):
        return _LINK_LOCAL
    return _SITE_LOCAL if address >> 118 == 0x3FB else _GLOBAL


def _common_bits(one: int, other: int) -> int:
    """Section 2.2: only the prefix counts, which is 64 bits of it."""
    return min(64, 128 - (one ^ other).bit_length())
