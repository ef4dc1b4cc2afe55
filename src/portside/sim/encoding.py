"""Frames to bytes and back, by the formats of ``portside.wire``: exactly what a cable would carry.

Reading is in two steps, as a host does it: ``decode`` reads Ethernet and IP, which is all that a router looks at;
``open_packet`` reads what is within, once the packet has arrived and is whole. Both verify checksums, so a bit that a
link has flipped is noticed where a real host would notice it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from portside.errors import MalformedMessage
from portside.sim.addresses import from_ip, is_v4, to_ip
from portside.sim.frame import (
    ETHERNET_BYTES,
    AnyFrame,
    AnyIpFrame,
    ArpFrame,
    IcmpFrame,
    IpFrame,
    Offer,
    OpaqueFrame,
    RawFrame,
    TcpFrame,
    UdpFrame,
)
from portside.sim.packing import pack
from portside.wire import ethernet
from portside.wire.arp import build_arp, parse_arp
from portside.wire.ethernet import MacAddress
from portside.wire.icmp import build_icmp, parse_icmp
from portside.wire.icmpv6 import build_icmpv6, parse_icmpv6
from portside.wire.ipv4 import IPv4Packet, build_ipv4, parse_ipv4
from portside.wire.ipv6 import IPv6Packet, build_ipv6, parse_ipv6
from portside.wire.ipv6_extensions import Fragment
from portside.wire.numbers import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ICMP, ICMPV6, TCP, UDP
from portside.wire.tcp import Segment, build_tcp, parse_tcp
from portside.wire.tcp_options import (
    MaximumSegmentSize,
    NoOperation,
    Sack,
    SackPermitted,
    TcpOption,
    Timestamps,
    WindowScale,
)
from portside.wire.udp import Datagram, build_udp, parse_udp

_PACKABLE: Final = (TcpFrame, UdpFrame)
_FILLER: Final = NoOperation()
_FILLERS: Final = (_FILLER, _FILLER)
_SACK_PERMITTED: Final = SackPermitted()


@lru_cache(maxsize=4_096)
def _mac(address: int) -> MacAddress:
    return MacAddress(address.to_bytes(6))


# ── to bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def encode(frame: AnyFrame) -> bytes:
    """Return the bytes of the frame, from the target's MAC to the end of its payload, not padded."""
    data = frame.encoded
    if data is None:
        packed = pack(frame) if isinstance(frame, _PACKABLE) else None
        data = frame.encoded = packed or encode_by_layers(frame)
    return data


def encode_by_layers(frame: AnyFrame) -> bytes:
    """Return the same, whatever the frame is, each layer built by itself."""
    if isinstance(frame, RawFrame):
        return frame.data
    if isinstance(frame, ArpFrame):
        return _ethernet(frame, ETHERTYPE_ARP, build_arp(frame.message))
    return _ethernet(frame, ETHERTYPE_IPV4 if is_v4(frame.target) else ETHERTYPE_IPV6, encode_packet(frame))


def _ethernet(frame: AnyFrame, kind: int, payload: bytes) -> bytes:
    return ethernet.build_ethernet(ethernet.Frame(_mac(frame.target_mac), _mac(frame.source_mac), kind, payload))


def encode_packet(frame: AnyIpFrame) -> bytes:
    """Return the bytes of the packet of IP, as an ICMP error quotes it."""
    payload = encode_payload(frame)
    offset, more = (frame.offset, frame.more) if isinstance(frame, OpaqueFrame) else (0, False)
    source: Any = to_ip(frame.source)
    target: Any = to_ip(frame.target)
    options: Any = frame.options
    if is_v4(frame.target):
        return build_ipv4(
            IPv4Packet(
                source,
                target,
                frame.protocol,
                payload,
                frame.ttl,
                frame.identification,
                frame.dont_fragment,
                more,
                offset,
                frame.traffic_class >> 2,
                frame.traffic_class & 3,
                options,
            )
        )
    if more or offset:
        options = (*options, Fragment(frame.identification, offset, more))
    return build_ipv6(
        IPv6Packet(source, target, frame.protocol, payload, frame.ttl, frame.traffic_class, frame.flow_label, options)
    )


def encode_payload(frame: AnyIpFrame) -> bytes:
    """Return the bytes within the packet of IP, its checksum computed: what a fragmenting host cuts up."""
    return _PAYLOADS[type(frame)](frame)


def _tcp(frame: TcpFrame) -> bytes:
    segment = Segment(
        frame.source_port,
        frame.target_port,
        frame.sequence,
        frame.ack,
        frame.flags,
        frame.window,
        frame.payload,
        _options(frame),
        frame.urgent,
    )
    return build_tcp(segment, source=to_ip(frame.source), target=to_ip(frame.target))


def _options(frame: TcpFrame) -> tuple[TcpOption, ...]:
    """Return the options in the order and with the fillers that Linux sends: RFC 7323 appendix A."""
    options: list[TcpOption] = []
    offer = frame.offer
    if offer is not None and offer.mss is not None:
        options.append(MaximumSegmentSize(offer.mss))
    permits = offer is not None and offer.sack
    if permits or frame.timestamp is not None:
        options += (_SACK_PERMITTED,) if permits and frame.timestamp is not None else _FILLERS
        options.append(_SACK_PERMITTED if frame.timestamp is None else Timestamps(frame.timestamp, frame.echo))
    if offer is not None and offer.shift is not None:
        options += (_FILLER, WindowScale(offer.shift))
    if frame.sack:
        options += (*_FILLERS, Sack(frame.sack))
    return tuple(options)


def _udp(frame: UdpFrame) -> bytes:
    datagram = Datagram(frame.source_port, frame.target_port, frame.payload)
    return build_udp(datagram, source=to_ip(frame.source), target=to_ip(frame.target))


def _icmp(frame: IcmpFrame) -> bytes:
    message: Any = frame.message
    if frame.protocol == ICMP:
        return build_icmp(message)
    return build_icmpv6(message, source=to_ip(frame.source), target=to_ip(frame.target))


def _opaque(frame: OpaqueFrame) -> bytes:
    return frame.payload


_PAYLOADS: Final[dict[type, Callable[[Any], bytes]]] = {
    TcpFrame: _tcp,
    UdpFrame: _udp,
    IcmpFrame: _icmp,
    OpaqueFrame: _opaque,
}


# ── from bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def decode(data: bytes) -> ArpFrame | OpaqueFrame | RawFrame:
    """Return what a router understands of the bytes: ARP, or IP with its payload as it is; else the bytes themselves.

    Raises: MalformedMessage for what says it is ARP or IP and is not, a wrong checksum of IPv4's header included.
    """
    outer = ethernet.parse_ethernet(data)
    target_mac, source_mac = int.from_bytes(outer.target.packed), int.from_bytes(outer.source.packed)
    frame: ArpFrame | OpaqueFrame
    if outer.tags or outer.type not in _DECODERS:
        return RawFrame(data)
    if outer.type == ETHERTYPE_ARP:
        return ArpFrame(source_mac, target_mac, parse_arp(outer.payload))
    frame = _DECODERS[outer.type](outer.payload)
    frame.source_mac, frame.target_mac = source_mac, target_mac
    return frame


def _decode_ipv4(data: bytes) -> OpaqueFrame:
    packet = parse_ipv4(data, verify=True)
    frame = OpaqueFrame(
        packet.protocol,
        from_ip(packet.source),
        from_ip(packet.target),
        ETHERNET_BYTES + int.from_bytes(data[2:4]),
        packet.time_to_live,
        packet.payload,
        packet.fragment_offset,
        packet.more_fragments,
    )
    frame.traffic_class = packet.dscp << 2 | packet.ecn
    frame.identification = packet.identification
    frame.dont_fragment = packet.dont_fragment
    frame.options = packet.options
    return frame


def _decode_ipv6(data: bytes) -> OpaqueFrame:
    packet = parse_ipv6(data)
    if packet.source.ipv4_mapped is not None or packet.target.ipv4_mapped is not None:
        raise MalformedMessage("IPv6: an IPv4-mapped address on a wire")  # RFC 4942 section 2.2
    fragment = packet.fragment
    frame = OpaqueFrame(
        packet.protocol,
        from_ip(packet.source),
        from_ip(packet.target),
        ETHERNET_BYTES + 40 + int.from_bytes(data[4:6]),
        packet.hop_limit,
        packet.payload,
        fragment.offset if fragment else 0,
        fragment.more if fragment else False,
    )
    frame.traffic_class = packet.traffic_class
    frame.flow_label = packet.flow_label
    frame.identification = fragment.identification if fragment else 0
    frame.options = tuple(found for found in packet.extensions if not isinstance(found, Fragment))
    return frame


_DECODERS: Final[dict[int, Callable[[bytes], Any]]] = {
    ETHERTYPE_ARP: parse_arp,
    ETHERTYPE_IPV4: _decode_ipv4,
    ETHERTYPE_IPV6: _decode_ipv6,
}


def open_packet(frame: OpaqueFrame) -> AnyIpFrame:
    """Return the frame with what is within it read: TCP, UDP or ICMP; any other protocol stays as it is.

    The frame must not be a fragment. Raises: MalformedMessage, a wrong checksum included.
    """
    opener = _OPENERS.get((is_v4(frame.target), frame.protocol))
    if opener is None:
        return frame
    opened: AnyIpFrame = opener(frame)
    for name in IpFrame.__slots__:
        setattr(opened, name, getattr(frame, name))
    opened.source_mac, opened.target_mac, opened.size = frame.source_mac, frame.target_mac, frame.size
    return opened


def _open_tcp(frame: OpaqueFrame) -> TcpFrame:
    segment = parse_tcp(frame.payload, source=to_ip(frame.source), target=to_ip(frame.target))
    opened = TcpFrame(
        frame.source,
        segment.source_port,
        frame.target,
        segment.target_port,
        segment.sequence,
        segment.acknowledgement,
        segment.flags,
        segment.window,
        segment.payload,
    )
    opened.urgent = segment.urgent
    offer = Offer()
    for option in segment.options:
        match option:
            case MaximumSegmentSize(size):
                offer = replace(offer, mss=size)
            case WindowScale(shift):
                offer = replace(offer, shift=shift)
            case SackPermitted():
                offer = replace(offer, sack=True)
            case Timestamps(value, echo):
                opened.timestamp, opened.echo = value, echo
            case Sack(blocks):
                opened.sack = blocks
    if offer != Offer():
        opened.offer = offer
    return opened


def _open_udp(frame: OpaqueFrame) -> UdpFrame:
    datagram = parse_udp(frame.payload, source=to_ip(frame.source), target=to_ip(frame.target))
    return UdpFrame(frame.source, datagram.source_port, frame.target, datagram.target_port, datagram.payload)


def _open_icmp(frame: OpaqueFrame) -> IcmpFrame:
    if frame.protocol == ICMP:
        return IcmpFrame(frame.source, frame.target, parse_icmp(frame.payload, verify=True), len(frame.payload))
    message = parse_icmpv6(frame.payload, source=to_ip(frame.source), target=to_ip(frame.target))
    return IcmpFrame(frame.source, frame.target, message, len(frame.payload))


_OPENERS: Final[dict[tuple[bool, int], Callable[[OpaqueFrame], Any]]] = {
    (True, TCP): _open_tcp,
    (True, UDP): _open_udp,
    (True, ICMP): _open_icmp,
    (False, TCP): _open_tcp,
    (False, UDP): _open_udp,
    (False, ICMPV6): _open_icmp,
}
