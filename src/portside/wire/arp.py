"""ARP over Ethernet: who has this IPv4 address, and the answer with the Ethernet address.

Source: RFC 826; RFC 5227 for probes and announcements.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from portside.errors import MalformedMessage
from portside.wire.ethernet import MacAddress
from portside.wire.malformed import Bytes, packed, require
from portside.wire.numbers import ETHERTYPE_IPV4

# hardware (1 = Ethernet), protocol, the lengths of their addresses, operation, and two pairs of addresses
_LAYOUT: Final = struct.Struct("!HHBBH6s4s6s4s")
PACKET_BYTES: Final = _LAYOUT.size
_ETHERNET: Final = 1

REQUEST: Final = 1
REPLY: Final = 2


@dataclass(frozen=True, slots=True)
class Arp:
    """One question or answer. Of a request the ``target_mac`` means nothing: it is what is asked for."""

    operation: int
    sender_mac: MacAddress
    sender_ip: IPv4Address
    target_mac: MacAddress
    target_ip: IPv4Address

    @property
    def is_probe(self) -> bool:
        """Whether somebody asks if the address is free before taking it: RFC 5227 section 1.1."""
        return self.operation == REQUEST and not int(self.sender_ip)

    @property
    def is_announcement(self) -> bool:
        """Whether somebody tells everyone an address of its own: RFC 5227 section 1.1, also called gratuitous."""
        return self.sender_ip == self.target_ip and bool(int(self.sender_ip))


def parse_arp(data: Bytes) -> Arp:
    """Return the packet; what is behind its 28 bytes is padding of the frame.

    Raises: Truncated; MalformedMessage for other pairs of networks than Ethernet and IPv4.
    """
    require(data, PACKET_BYTES, "ARP")
    hardware, protocol, hardware_bytes, protocol_bytes, operation, *addresses = _LAYOUT.unpack_from(data)
    if (hardware, protocol, hardware_bytes, protocol_bytes) != (_ETHERNET, ETHERTYPE_IPV4, 6, 4):
        raise MalformedMessage(
            f"ARP: hardware {hardware} with {hardware_bytes} bytes and protocol {protocol:#06x} with {protocol_bytes}; "
            "only IPv4 over Ethernet is known here"
        )
    sender_mac, sender_ip, target_mac, target_ip = addresses
    return Arp(
        operation, MacAddress(sender_mac), IPv4Address(sender_ip), MacAddress(target_mac), IPv4Address(target_ip)
    )


def build_arp(arp: Arp) -> bytes:
    """Return the 28 bytes of the packet. Raises: ValueError."""
    return packed(
        _LAYOUT,
        "ARP",
        _ETHERNET,
        ETHERTYPE_IPV4,
        6,
        4,
        arp.operation,
        arp.sender_mac.packed,
        arp.sender_ip.packed,
        arp.target_mac.packed,
        arp.target_ip.packed,
    )
