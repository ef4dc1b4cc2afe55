"""Whether the checksums of a packet are right, wrong, or were never computed.

A network card often computes them on the way out, after the packet has been captured, and on loopback nobody does:
Linux leaves the sum of the pseudo header alone in the field then (Documentation/networking/checksum-offloads.rst).
"""

from __future__ import annotations

from typing import Final

from portside.observe.packets.dissect import Dissected, Layer
from portside.wire import icmp, icmpv6, ipv4, numbers, tcp, udp
from portside.wire.checksum import WORD_MAX, expected_checksum, ones_complement_sum, pseudo_header_sum
from portside.wire.ipv4 import IPv4Packet
from portside.wire.ipv6 import IPv6Packet
from portside.wire.ipv6_extensions import Routing

NOT_COMPUTED: Final = "not computed (offload)"

# Where the checksum is, and the protocol that the pseudo header names; None where there is no pseudo header.
_FIELDS: Final = {
    "ipv4": (ipv4.CHECKSUM_OFFSET, None),
    "icmp": (icmp.CHECKSUM_OFFSET, None),
    "icmpv6": (icmpv6.CHECKSUM_OFFSET, numbers.ICMPV6),
    "tcp": (tcp.CHECKSUM_OFFSET, numbers.TCP),
    "udp": (udp.CHECKSUM_OFFSET, numbers.UDP),
}


def checksum_words(dissected: Dissected, layer: Layer) -> str:
    """Return what can be said of the layer's checksum; empty where not all is there that it covers."""
    if layer.name not in _FIELDS or layer.is_quoted:
        return ""
    at, protocol = _FIELDS[layer.name]
    if layer.name == "ipv4":
        data = dissected.packet.data[layer.start : layer.body]
    elif not dissected.packet.is_whole or _is_piece(dissected, layer):
        return ""
    else:
        data = dissected.packet.data[layer.start : layer.end]
    got = int.from_bytes(data[at : at + 2], "big")
    if layer.name == "udp" and got == udp.NO_CHECKSUM:
        return "none"
    start = 0 if protocol is None else _pseudo_header(dissected, layer, protocol, len(data))
    if start is None:
        return ""
    if ones_complement_sum(data, start) == WORD_MAX:
        return "right"
    if protocol is not None and got == start:
        return NOT_COMPUTED
    return f"wrong, {expected_checksum(data, at, start):#06x} would be right"


def _is_piece(dissected: Dissected, layer: Layer) -> bool:
    ips = [each.value for each in dissected.own if isinstance(each.value, IPv4Packet | IPv6Packet)]
    return any(ip.is_fragment for ip in ips)


def _pseudo_header(dissected: Dissected, layer: Layer, protocol: int, length_bytes: int) -> int | None:
    """Return the sum of addresses, protocol and length; None where the target is not the last one (RFC 8200 8.1)."""
    before = [each.value for each in dissected.own if each.start < layer.start]
    if any(isinstance(value, Routing) and value.segments_left for value in before):
        return None
    ips = [value for value in before if isinstance(value, IPv4Packet | IPv6Packet)]
    return pseudo_header_sum(ips[-1].source, ips[-1].target, protocol, length_bytes) if ips else None
