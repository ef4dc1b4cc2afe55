"""Addresses that follow from others: of an interface on its link, and of groups."""

from __future__ import annotations

from typing import Final

from portside.sim.addresses import is_v4

LINK_LOCAL: Final = 0xFE80 << 112
ALL_NODES: Final = (0xFF02 << 112) | 1
SOLICITED: Final = (0xFF02 << 112) | 0x1_FF00_0000  # ff02::1:ff00:0/104: RFC 4291 section 2.7.1


def link_local_of(mac: int) -> int:
    """Return the address that an interface gives itself: its modified EUI-64 under fe80::/64. RFC 4291 appendix A."""
    eui = (mac >> 24) << 40 | 0xFFFE << 24 | (mac & 0xFF_FFFF)
    return LINK_LOCAL | (eui ^ (1 << 57))


def solicited_node(address: int) -> int:
    """Return the group in which a neighbour of this address is asked for. RFC 4291 section 2.7.1."""
    return SOLICITED | (address & 0xFF_FFFF)


def group_mac(group: int) -> int:
    """Return the MAC address of a group: RFC 1112 section 6.4, RFC 2464 section 7."""
    if is_v4(group):
        return 0x0100_5E00_0000 | (group & 0x7F_FFFF)
    return 0x3333_0000_0000 | (group & 0xFFFF_FFFF)
