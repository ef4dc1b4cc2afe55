"""Numbers that one format's header uses to say which format comes next, with the words for them.

Source: IANA, "IEEE 802 Numbers" and "Protocol Numbers".
"""

from __future__ import annotations

from typing import Final

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_VLAN: Final = 0x8100  # IEEE 802.1Q, a customer's tag
ETHERTYPE_IPV6: Final = 0x86DD
ETHERTYPE_SERVICE_VLAN: Final = 0x88A8  # IEEE 802.1ad, a provider's tag around it

_ETHERTYPES: Final = {
    ETHERTYPE_IPV4: "IPv4",
    ETHERTYPE_ARP: "ARP",
    0x0842: "Wake-on-LAN",
    0x22F3: "TRILL",
    0x8035: "RARP",
    ETHERTYPE_VLAN: "802.1Q",
    ETHERTYPE_IPV6: "IPv6",
    0x8808: "Ethernet flow control",
    0x8809: "slow protocols (LACP)",
    0x8847: "MPLS",
    0x8863: "PPPoE discovery",
    0x8864: "PPPoE session",
    0x888E: "802.1X",
    ETHERTYPE_SERVICE_VLAN: "802.1ad",
    0x88CC: "LLDP",
    0x88E5: "MACsec",
    0x88F7: "PTP",
}

HOP_BY_HOP: Final = 0
ICMP: Final = 1
IGMP: Final = 2
IPV4: Final = 4
TCP: Final = 6
UDP: Final = 17
IPV6: Final = 41
ROUTING: Final = 43
FRAGMENT: Final = 44
GRE: Final = 47
ESP: Final = 50
AUTHENTICATION: Final = 51
ICMPV6: Final = 58
NO_NEXT_HEADER: Final = 59
DESTINATION: Final = 60

_PROTOCOLS: Final = {
    HOP_BY_HOP: "hop-by-hop options",
    ICMP: "ICMP",
    IGMP: "IGMP",
    IPV4: "IPv4",
    TCP: "TCP",
    UDP: "UDP",
    33: "DCCP",
    IPV6: "IPv6",
    ROUTING: "routing",
    FRAGMENT: "fragment",
    46: "RSVP",
    GRE: "GRE",
    ESP: "ESP",
    AUTHENTICATION: "AH",
    ICMPV6: "ICMPv6",
    NO_NEXT_HEADER: "nothing",
    DESTINATION: "destination options",
    89: "OSPF",
    103: "PIM",
    112: "VRRP",
    132: "SCTP",
    135: "mobility",
    136: "UDP-Lite",
    137: "MPLS",
}


def ethertype_name(number: int) -> str:
    """Return the word for an EtherType, ``type 0x1234`` for one without."""
    return _ETHERTYPES.get(number, f"type {number:#06x}")


def protocol_name(number: int) -> str:
    """Return the word for a protocol that IP carries, ``protocol 253`` for one without."""
    return _PROTOCOLS.get(number, f"protocol {number}")
