"""Whole frames of every kind that can be taken apart, for properties that hold for all of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from portside.wire import numbers
from portside.wire.arp import build_arp
from portside.wire.dns import build_dns
from portside.wire.ethernet import Frame, MacAddress, build_ethernet
from portside.wire.icmp import build_icmp
from portside.wire.icmpv6 import build_icmpv6
from portside.wire.ipv4 import IPv4Packet, build_ipv4
from portside.wire.ipv6 import IPv6Packet, build_ipv6
from portside.wire.tcp import build_tcp
from portside.wire.udp import Datagram, build_udp
from support import packets
from support.dns_messages import messages

_FIRST_FRAGMENTS = st.sampled_from([0, 0, 0, 1_480])


@st.composite
def ipv4_frames(draw: st.DrawFn) -> tuple[int, bytes]:
    source, target = draw(packets.ipv4s), draw(packets.ipv4s)
    protocol, payload = draw(_transports(source, target))
    options = draw(st.lists(packets.ipv4_options, max_size=2).map(tuple))
    packet = IPv4Packet(source, target, protocol, payload, options=options, fragment_offset=draw(_FIRST_FRAGMENTS))
    return numbers.ETHERTYPE_IPV4, build_ipv4(packet)


@st.composite
def ipv6_frames(draw: st.DrawFn) -> tuple[int, bytes]:
    source, target = draw(packets.ipv6s), draw(packets.ipv6s)
    protocol, payload = draw(_transports(source, target))
    packet = IPv6Packet(source, target, protocol, payload, extensions=draw(packets.extension_chains))
    return numbers.ETHERTYPE_IPV6, build_ipv6(packet)


def _transports(
    source: IPv4Address | IPv6Address, target: IPv4Address | IPv6Address
) -> st.SearchStrategy[tuple[int, bytes]]:
    """Return what IP carries between these two, with its number."""

    def dns(message: object) -> bytes:
        return build_udp(Datagram(40_000, 53, build_dns(message)), source=source, target=target)  # type: ignore[arg-type]

    # Other payloads than DNS are not sent from or to the ports that would say so.
    plain = packets.datagrams.filter(lambda each: not {each.source_port, each.target_port} & {53, 5353, 5355})
    udp = st.one_of(
        plain.map(lambda each: build_udp(each, source=source, target=target)),
        messages().map(dns),
    )
    tcp = packets.segments.map(lambda each: build_tcp(each, source=source, target=target))
    if source.version == 4:
        icmp = (numbers.ICMP, packets.icmps.filter(lambda each: not getattr(each, "original", b"")).map(build_icmp))
    else:
        icmp = (
            numbers.ICMPV6,
            packets.icmpv6s.filter(lambda each: not getattr(each, "original", b"")).map(
                lambda each: build_icmpv6(each, source=source, target=target)
            ),
        )
    return st.one_of(
        *(st.tuples(st.just(number), made) for number, made in ((numbers.UDP, udp), (numbers.TCP, tcp), icmp)),
        st.tuples(st.just(253), packets.payloads),
    )


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Return a whole frame, its tags and its padding included."""
    arp = packets.arps.map(lambda arp: (numbers.ETHERTYPE_ARP, build_arp(arp)))
    ethertype, payload = draw(st.one_of(ipv4_frames(), ipv6_frames(), arp))
    tags = tuple(draw(st.lists(packets.tags, max_size=1)))
    return build_ethernet(Frame(MacAddress(bytes(6)), MacAddress(bytes(6)), ethertype, payload, tags), pad=True)
