"""The fields of a packet's headers, one by one: where each lies, and what its bytes mean.

Links and networks are told here; ``fields_transport`` and ``fields_dns`` have the rest.
"""

from __future__ import annotations

from typing import Final

from portside.observe.packets import fields_dns, fields_transport
from portside.observe.packets.dissect import Dissected, Layer
from portside.observe.packets.field_lines import Context, FieldLine, Fields, Teller, with_name
from portside.observe.packets.flows import Relative
from portside.wire.arp import REPLY, REQUEST, Arp
from portside.wire.ethernet import ETHERTYPE_MIN, Frame, MacAddress
from portside.wire.ipv4 import IPv4Option, IPv4Packet
from portside.wire.ipv6 import IPv6Packet
from portside.wire.ipv6_extensions import DestinationOptions, Fragment, HopByHop, Routing
from portside.wire.numbers import ethertype_name, protocol_name
from portside.wire.sll import CookedPacket

TITLES: Final = {
    "ethernet": "Ethernet",
    "cooked": "Linux cooked capture",
    "arp": "ARP",
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "hop_by_hop": "IPv6 hop-by-hop options",
    "destination": "IPv6 destination options",
    "routing": "IPv6 routing",
    "fragment": "IPv6 fragment",
    "tcp": "TCP",
    "udp": "UDP",
    "icmp": "ICMP",
    "icmpv6": "ICMPv6",
    "dns": "DNS",
}
_ECN: Final = ("no ECN", "ECN capable (1)", "ECN capable (0)", "congestion experienced")
# RFC 2474, 2597, 3246, 5865 and 8622.
_DSCP: Final = {0: "best effort", 1: "lower effort", 44: "voice admit", 46: "expedited forwarding"}


def fields_of(dissected: Dissected, layer: Layer, relative: Relative | None = None) -> list[FieldLine]:
    """Return the fields of the layer's header in the order in which they lie there."""
    fields = Fields(layer.start)
    context = Context(dissected, layer, None if layer.is_quoted else relative)
    _TELLERS[layer.name](layer.value, fields, context)
    return fields.lines


def _mac(mac: MacAddress) -> str:
    if mac.packed == b"\xff" * 6:
        return f"{mac} broadcast"
    return f"{mac} multicast" if mac.is_group else str(mac)


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ethernet(frame: Frame, fields: Fields, _: Context) -> None:
    fields.add("target", 6, _mac(frame.target))
    fields.add("source", 6, _mac(frame.source))
    for tag in frame.tags:
        dropping = ", may be dropped" if tag.may_drop else ""
        fields.add("VLAN tag", 4, f"VLAN {tag.vlan}, priority {tag.priority}{dropping}")
    is_length = frame.type < ETHERTYPE_MIN
    fields.add(
        "length" if is_length else "type",
        2,
        frame.type if is_length else f"{frame.type:#06x} {ethertype_name(frame.type)}",
    )


def _cooked(packet: CookedPacket, fields: Fields, _: Context) -> None:
    address = packet.address.hex(":") or "none"
    protocol = f"{packet.protocol:#06x} {ethertype_name(packet.protocol)}"
    if packet.interface is None:
        fields.add("packet type", 2, with_name(packet.packet_type, packet.direction_words))
        fields.add("hardware", 2, packet.hardware)
        fields.add("address length", 2, len(packet.address))
        fields.add("sender", 8, address)
        fields.add("protocol", 2, protocol)
        return
    fields.add("protocol", 2, protocol)
    fields.add("reserved", 2, "")
    fields.add("interface", 4, packet.interface)
    fields.add("hardware", 2, packet.hardware)
    fields.add("packet type", 1, with_name(packet.packet_type, packet.direction_words))
    fields.add("address length", 1, len(packet.address))
    fields.add("sender", 8, address)


def _arp(arp: Arp, fields: Fields, _: Context) -> None:
    fields.add("hardware", 2, "1 Ethernet")
    fields.add("protocol", 2, "0x0800 IPv4")
    fields.add("hardware length", 1, 6)
    fields.add("protocol length", 1, 4)
    fields.add("operation", 2, with_name(arp.operation, {REQUEST: "request", REPLY: "reply"}.get(arp.operation, "")))
    fields.add("sender MAC", 6, _mac(arp.sender_mac))
    fields.add("sender IP", 4, arp.sender_ip)
    fields.add("target MAC", 6, _mac(arp.target_mac))
    fields.add("target IP", 4, arp.target_ip)


# ── IP ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _dscp(dscp: int) -> str:
    if dscp in _DSCP:
        return f"DSCP {dscp} {_DSCP[dscp]}"
    if dscp & 0b111 == 0:
        return f"DSCP {dscp} class {dscp >> 3}"
    if dscp & 1 == 0 and 1 <= dscp >> 3 <= 4 and dscp & 0b110:
        return f"DSCP {dscp} AF{dscp >> 3}{dscp >> 1 & 0b11}"
    return f"DSCP {dscp}"


def _ipv4(packet: IPv4Packet, fields: Fields, context: Context) -> None:
    header = context.header
    flags = [
        *(["reserved"] if packet.reserved_flag else []),
        *(["don't fragment"] if packet.dont_fragment else []),
        *(["more fragments"] if packet.more_fragments else []),
    ]
    fields.add("version, length", 1, f"4, {len(header) // 4} words = {len(header)} bytes")
    fields.add("service", 1, f"{_dscp(packet.dscp)}, {_ECN[packet.ecn]}")
    total = int.from_bytes(header[2:4], "big")
    fields.add("total length", 2, f"{total} bytes" if total else "0: left to the hardware")
    fields.add("identification", 2, packet.identification)
    fields.add("flags, offset", 2, f"{', '.join(flags) or 'no flags'}, offset {packet.fragment_offset}")
    fields.add("time to live", 1, packet.time_to_live)
    fields.add("protocol", 1, with_name(packet.protocol, protocol_name(packet.protocol)))
    fields.add("checksum", 2, context.checksum(packet.checksum))
    fields.add("source", 4, packet.source)
    fields.add("target", 4, packet.target)
    for option in packet.options:
        lone = option.kind == 1
        fields.add("option", 1 if lone else 2 + len(option.data), _ipv4_option_words(option))
    _padding(fields, context)


def _ipv4_option_words(option: IPv4Option) -> str:
    route = ", ".join(map(str, option.addresses))
    return f"{option.name}: {route}" if route else option.name


def _padding(fields: Fields, context: Context) -> None:
    """Add what is left of the header."""
    if context.layer.body > fields.at:
        fields.add("padding", context.layer.body - fields.at, "")


def _ipv6(packet: IPv6Packet, fields: Fields, context: Context) -> None:
    header = context.header
    length = int.from_bytes(header[4:6], "big")
    service = f"{_dscp(packet.traffic_class >> 2)}, {_ECN[packet.traffic_class & 3]}"
    fields.add("version, flow", 4, f"6, {service}, flow {packet.flow_label:#07x}")
    fields.add("payload length", 2, f"{length} bytes" if length else "0: in an option, or left to the hardware")
    fields.add("next header", 1, with_name(header[6], protocol_name(header[6])))
    fields.add("hop limit", 1, packet.hop_limit)
    fields.add("source", 16, packet.source)
    fields.add("target", 16, packet.target)


def _extension_head(fields: Fields, context: Context) -> None:
    header = context.header
    fields.add("next header", 1, with_name(header[0], protocol_name(header[0])))
    fields.add("length", 1, f"{header[1]}: {len(header)} bytes")


def _options(extension: HopByHop | DestinationOptions, fields: Fields, context: Context) -> None:
    _extension_head(fields, context)
    # Padding may stand anywhere between them, and is not among the values.
    header, names = context.header, iter(extension.options)
    while fields.at < context.layer.body:
        at = fields.at - context.layer.start
        kind = header[at]
        size = 1 if kind == 0 else 2 + header[at + 1]
        fields.add("padding" if kind <= 1 else "option", size, "" if kind <= 1 else next(names).name)


def _routing(route: Routing, fields: Fields, context: Context) -> None:
    _extension_head(fields, context)
    fields.add("kind", 1, route.kind)
    fields.add("segments left", 1, route.segments_left)
    if route.stations:
        fields.add("more", 4, "")
        for station in route.stations:
            fields.add("station", 16, station)
    _padding(fields, context)


def _fragment(fragment: Fragment, fields: Fields, context: Context) -> None:
    header = context.header
    fields.add("next header", 1, with_name(header[0], protocol_name(header[0])))
    fields.add("reserved", 1, "")
    fields.add("offset, flags", 2, f"offset {fragment.offset}, {'more fragments' if fragment.more else 'the last'}")
    fields.add("identification", 4, fragment.identification)


_TELLERS: Final[dict[str, Teller]] = {
    "ethernet": _ethernet,
    "cooked": _cooked,
    "arp": _arp,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "hop_by_hop": _options,
    "destination": _options,
    "routing": _routing,
    "fragment": _fragment,
    **fields_transport.TELLERS,
    **fields_dns.TELLERS,
}
