"""A packet in one line: who speaks to whom, in which protocol, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from portside.address import bracketed
from portside.observe.packets.dissect import Dissected, Layer
from portside.observe.packets.flows import Flows, Relative
from portside.wire import icmp, icmpv6, neighbor
from portside.wire.arp import REQUEST, Arp
from portside.wire.dns import DnsMessage
from portside.wire.dns_words import dns_words
from portside.wire.ethernet import ETHERTYPE_MIN, Frame
from portside.wire.icmp import Echo
from portside.wire.ipv4 import IPv4Packet
from portside.wire.ipv6 import IPv6Packet
from portside.wire.numbers import ethertype_name, protocol_name
from portside.wire.sll import CookedPacket
from portside.wire.tcp import Flags, Segment, flag_words
from portside.wire.tcp_options import MaximumSegmentSize, Sack, SackPermitted, TcpOption, WindowScale
from portside.wire.udp import Datagram

_DNS_NAMES: Final = {53: "DNS", 5353: "mDNS", 5355: "LLMNR"}


@dataclass(frozen=True, slots=True)
class End:
    """Where a packet is from or to: an address of the innermost network that is known, and a port if there is one."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Summary:
    """The line's parts; ``source`` and ``target`` are None where no header names any."""

    source: End | None
    target: End | None
    protocol: str
    words: str


class Summarizer:
    """Makes summaries of packets in their order: the numbers of TCP are counted from its connection's first."""

    def __init__(self) -> None:
        self._flows = Flows()

    def relative(self, dissected: Dissected) -> Relative | None:
        """Return a segment's numbers within its connection, None for other packets. Once for each packet."""
        found = _innermost(dissected.own)
        if found.ip is None or not isinstance(found.transport, Segment):
            return None
        return self._flows.follow(found.ip.source, found.ip.target, found.transport)

    def summarize(self, dissected: Dissected, relative: Relative | None, *, is_short: bool = False) -> Summary:
        """Return the packet in words; ``relative`` is what the method of this name gave for it.

        ``is_short`` leaves out what can be missed where there is little room: windows that are not closed.
        """
        found = _innermost(dissected.own)
        source, target = _ends(found)
        protocol, words = _said(dissected, found, relative, is_short=is_short)
        if dissected.problem:
            words = f"{words}, malformed: {dissected.problem}".removeprefix(", ")
        if not dissected.packet.is_whole:
            words += f", only {len(dissected.packet.data)} of {dissected.packet.length_bytes} bytes captured"
        return Summary(source, target, protocol, words)


@dataclass(slots=True)
class _Innermost:
    """The last of each kind of layer: of a packet in a tunnel, the one that travels in it."""

    link: Frame | CookedPacket | None = None
    ip: IPv4Packet | IPv6Packet | None = None
    transport: Segment | Datagram | None = None


def _innermost(layers: Sequence[Layer]) -> _Innermost:
    found = _Innermost()
    for layer in layers:
        match layer.value:
            case Frame() | CookedPacket() as link:
                found.link = link
            case IPv4Packet() | IPv6Packet() as ip:
                found.ip = ip
            case Segment() | Datagram() as transport:
                found.transport = transport
    return found


def _ends(found: _Innermost) -> tuple[End | None, End | None]:
    if found.ip is not None:
        ports = (found.transport.source_port, found.transport.target_port) if found.transport else (None, None)
        return End(str(found.ip.source), ports[0]), End(str(found.ip.target), ports[1])
    match found.link:
        case Frame(target, source):
            return End(str(source)), End(str(target))
        case CookedPacket(address=address) if address:
            return End(address.hex(":")), None
    return None, None


def _said(dissected: Dissected, found: _Innermost, relative: Relative | None, *, is_short: bool) -> tuple[str, str]:
    """Return the protocol, and what the packet says in it."""
    value = dissected.own[-1].value if dissected.own else None
    match value:
        case DnsMessage():
            port = found.transport and ({found.transport.source_port, found.transport.target_port} & _DNS_NAMES.keys())
            return _DNS_NAMES[min(port)] if port else "DNS", dns_words(value)
        case Segment():
            return "TCP", tcp_words(value, relative, is_short=is_short)
        case Datagram():
            return "UDP", f"len={len(value.payload)}"
        case Arp():
            return "ARP", arp_words(value)
        case Frame(type=kind) | CookedPacket(protocol=kind):
            name = "802.3" if kind < ETHERTYPE_MIN else ethertype_name(kind)
            return name, f"len={len(dissected.data)}"
        case None:
            return "?", f"len={len(dissected.data)}"
    match dissected.own[-1].name:
        case "icmp":
            return "ICMP", icmp_words(cast(icmp.Icmp, value), dissected)
        case "icmpv6":
            return "ICMPv6", icmpv6_words(cast(icmpv6.Icmpv6, value), dissected)
    assert found.ip is not None  # what is left is IP, or one of its extensions
    return protocol_name(found.ip.protocol), _fragment_words(found.ip) or f"len={len(found.ip.payload)}"


def _fragment_words(ip: IPv4Packet | IPv6Packet) -> str:
    if isinstance(ip, IPv4Packet):
        number, offset, more = ip.identification, ip.fragment_offset, ip.more_fragments
    elif ip.fragment is not None:
        number, offset, more = ip.fragment.identification, ip.fragment.offset, ip.fragment.more
    else:
        return ""
    if not offset and not more:
        return ""
    return (
        f"fragment of {number}: bytes {offset} to {offset + len(ip.payload)}{', more follow' if more else ', the last'}"
    )


# ── TCP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def tcp_words(segment: Segment, relative: Relative | None, *, is_short: bool = False) -> str:
    """Return flags, numbers, window and length, and what its options agree on or acknowledge."""
    numbers = relative or Relative(segment.sequence, segment.acknowledgement, segment.window, is_again=False)
    parts = [flag_words(segment.flags) or "no flags", f"seq={numbers.sequence}"]
    if segment.flags & Flags.ACK:
        parts.append(f"ack={numbers.acknowledgement}")
    if not is_short or not segment.window:
        parts.append(f"win={numbers.window_bytes}")
    parts.append(f"len={len(segment.payload)}")
    shift = (segment.acknowledgement - numbers.acknowledgement) % (1 << 32)
    parts += [words for option in segment.options if (words := _tcp_option_words(option, shift))]
    if segment.flags & Flags.URG:
        parts.append(f"urgent={segment.urgent}")
    if numbers.is_again:
        parts.append("again")
    return " ".join(parts)


def _tcp_option_words(option: TcpOption, first: int) -> str:
    """Return the option in a word, empty for those that say little; ``first`` is where the peer's numbers begin."""
    match option:
        case MaximumSegmentSize(size):
            return f"mss={size}"
        case WindowScale(shift):
            return f"scale={shift}"
        case SackPermitted():
            return "sack"
        case Sack(blocks):
            pieces = [f"{(left - first) % (1 << 32)}-{(right - first) % (1 << 32)}" for left, right in blocks]
            return f"sack={','.join(pieces)}"
    return ""


# ── ARP and ICMP ─────────────────────────────────────────────────────────────────────────────────────────────────────


def arp_words(arp: Arp) -> str:
    """Return the question or the answer."""
    if arp.is_probe:
        return f"is {arp.target_ip} free? asks {arp.sender_mac}"
    if arp.is_announcement:
        return f"{arp.sender_ip} is at {arp.sender_mac}, an announcement"
    if arp.operation == REQUEST:
        return f"who has {arp.target_ip}? asks {arp.sender_ip}"
    return f"{arp.sender_ip} is at {arp.sender_mac}" if arp.operation == 2 else f"operation {arp.operation}"


def _echo_words(echo: Echo) -> str:
    kind = "echo reply" if echo.is_reply else "echo request"
    return f"{kind} id={echo.identifier} seq={echo.sequence} len={len(echo.payload)}"


def icmp_words(message: icmp.Icmp, dissected: Dissected) -> str:
    """Return what the message says, an error with the packet it is about."""
    match message:
        case Echo():
            return _echo_words(message)
        case icmp.OtherIcmp(kind, code):
            return icmp.TYPE_NAMES.get(kind, f"type {kind}, code {code}")
        case icmp.Unreachable(mtu_bytes=mtu) if message.code == icmp.FRAGMENTATION_NEEDED:
            return f"{message.words}, at most {mtu} bytes{_about(dissected)}"
        case icmp.Unreachable() | icmp.TimeExceeded() | icmp.ParameterProblem() | icmp.Redirect():
            return message.words + _about(dissected)
    return ""


def icmpv6_words(message: icmpv6.Icmpv6, dissected: Dissected) -> str:
    """Return what the message says, an error with the packet it is about."""
    match message:
        case Echo():
            return _echo_words(message)
        case icmpv6.Icmpv6Error():
            return message.words + _about(dissected)
        case icmpv6.NeighborSolicitation(target, options):
            return f"who has {target}?{_asked_by(options)}"
        case icmpv6.NeighborAdvertisement(target, options=options):
            macs = [str(option.mac) for option in options if isinstance(option, neighbor.LinkLayerAddress)]
            return f"{target} is at {macs[0]}" if macs else f"{target} is here"
        case icmpv6.RouterSolicitation(options):
            return f"which routers are there?{_asked_by(options)}"
        case icmpv6.RouterAdvertisement(options=options):
            prefixes = [each for each in options if isinstance(each, neighbor.PrefixInformation)]
            told = "".join(f", prefix {each.prefix}/{each.prefix_length}" for each in prefixes)
            return f"a router for {message.lifetime_s} s{told}"
        case icmpv6.RedirectV6(target, destination):
            return f"redirect for {destination} to {target}"
        case icmpv6.OtherIcmpv6(kind, code):
            return icmpv6.TYPE_NAMES.get(kind, f"type {kind}, code {code}")
    return ""


def _asked_by(options: Sequence[neighbor.NeighborOption]) -> str:
    macs = [str(option.mac) for option in options if isinstance(option, neighbor.LinkLayerAddress)]
    return f" asks {macs[0]}" if macs else ""


def _about(dissected: Dissected) -> str:
    """Return which packet an error is about, with its ports if they are quoted."""
    found = _innermost(dissected.quoted)
    source, target = _ends(found)
    if found.ip is None or source is None:
        return ""
    return f", for {protocol_name(found.ip.protocol)} {source} → {target}"
