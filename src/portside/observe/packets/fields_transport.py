"""The fields of TCP, UDP and ICMP, for ``fields``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from portside.observe.packets.field_lines import Context, Fields, Teller, with_name
from portside.wire import icmp, icmpv6, neighbor
from portside.wire.icmp import Echo
from portside.wire.tcp import Flags, Segment, flag_words
from portside.wire.tcp_options import (
    MaximumSegmentSize,
    NoOperation,
    Sack,
    SackPermitted,
    TcpOption,
    Timestamps,
    UnknownOption,
    WindowScale,
)
from portside.wire.udp import Datagram


def _udp(datagram: Datagram, fields: Fields, context: Context) -> None:
    length = int.from_bytes(context.header[4:6], "big")
    fields.add("source port", 2, datagram.source_port)
    fields.add("target port", 2, datagram.target_port)
    fields.add("length", 2, f"{length} bytes")
    fields.add("checksum", 2, context.checksum(datagram.checksum))


def _tcp(segment: Segment, fields: Fields, context: Context) -> None:
    relative, header_bytes = context.relative, context.layer.header_bytes
    is_ack = bool(segment.flags & Flags.ACK)
    fields.add("source port", 2, segment.source_port)
    fields.add("target port", 2, segment.target_port)
    fields.add("sequence", 4, f"{segment.sequence}" + (f", relative {relative.sequence}" if relative else ""))
    since = f", relative {relative.acknowledgement}" if relative and is_ack else ""
    fields.add("acknowledgement", 4, f"{segment.acknowledgement}{since}" if is_ack else "none")
    length = f"{header_bytes // 4} words = {header_bytes} bytes"
    fields.add("length, flags", 2, f"{length}, {flag_words(segment.flags) or 'no flags'}")
    scaled = f", scaled {relative.window_bytes}" if relative and relative.window_bytes != segment.window else ""
    fields.add("window", 2, f"{segment.window}{scaled}")
    fields.add("checksum", 2, context.checksum(segment.checksum))
    fields.add("urgent pointer", 2, segment.urgent if segment.flags & Flags.URG else "none")
    for option in segment.options:
        fields.add("option", *_tcp_option(option))
    if context.layer.body > fields.at:
        fields.add("padding", context.layer.body - fields.at, "")


def _tcp_option(option: TcpOption) -> tuple[int, str]:
    """Return how many bytes the option has, and what it says."""
    match option:
        case NoOperation():
            return 1, "no operation"
        case MaximumSegmentSize(size):
            return 4, f"MSS {size} bytes"
        case WindowScale(shift):
            return 3, f"window scale {shift}: times {1 << min(shift, 14)}"
        case SackPermitted():
            return 2, "SACK permitted"
        case Sack(blocks):
            pieces = ", ".join(f"{left} to {right}" for left, right in blocks)
            return 2 + 8 * len(blocks), f"SACK {pieces}"
        case Timestamps(value, echo):
            return 10, f"timestamp {value}, echo {echo}"
        case UnknownOption(kind, data):
            return 2 + len(data), f"option {kind}"


# ── ICMP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _head(names: dict[int, str], words: str, fields: Fields, context: Context) -> None:
    kind, code, *_ = context.header
    fields.add("type", 1, with_name(kind, names.get(kind, "")))
    fields.add("code", 1, with_name(code, words))
    checksum = int.from_bytes(context.header[2:4], "big")
    fields.add("checksum", 2, context.checksum(checksum))


def _echo(echo: Echo, fields: Fields) -> None:
    fields.add("identifier", 2, echo.identifier)
    fields.add("sequence", 2, echo.sequence)


def _icmp(message: icmp.Icmp, fields: Fields, context: Context) -> None:
    words = "" if isinstance(message, Echo | icmp.OtherIcmp | icmp.Redirect) else message.words
    _head(icmp.TYPE_NAMES, words, fields, context)
    match message:
        case Echo():
            _echo(message, fields)
        case icmp.Unreachable(mtu_bytes=mtu, quoted_words=words_quoted):
            fields.add("unused", 1, "")
            fields.add("quoted length", 1, _quoted(words_quoted))
            fields.add("next hop's MTU", 2, f"{mtu} bytes" if mtu else "none")
        case icmp.TimeExceeded(quoted_words=words_quoted):
            fields.add("unused", 1, "")
            fields.add("quoted length", 1, _quoted(words_quoted))
            fields.add("unused", 2, "")
        case icmp.ParameterProblem(pointer=pointer, quoted_words=words_quoted):
            fields.add("pointer", 1, pointer)
            fields.add("quoted length", 1, _quoted(words_quoted))
            fields.add("unused", 2, "")
        case icmp.Redirect(gateway=gateway):
            fields.add("gateway", 4, gateway)
        case icmp.OtherIcmp():
            fields.add("more", 4, "")


def _quoted(words: int) -> str:
    return f"{words} words" if words else "all of it"


def _icmpv6(message: icmpv6.Icmpv6, fields: Fields, context: Context) -> None:
    words = message.words if isinstance(message, icmpv6.Icmpv6Error) else ""
    _head(icmpv6.TYPE_NAMES, words, fields, context)
    options: Sequence[neighbor.NeighborOption] = ()
    match message:
        case Echo():
            _echo(message, fields)
        case icmpv6.Icmpv6Error(kind, _, number):
            name = {icmpv6.PACKET_TOO_BIG: "MTU", icmpv6.PARAMETER_PROBLEM: "pointer"}.get(kind, "unused")
            fields.add(name, 4, "" if name == "unused" else number)
        case icmpv6.RouterSolicitation(options):
            fields.add("reserved", 4, "")
        case icmpv6.RouterAdvertisement(options=options):
            _router(message, fields)
        case icmpv6.NeighborSolicitation(target, options):
            fields.add("reserved", 4, "")
            fields.add("target", 16, target)
        case icmpv6.NeighborAdvertisement(target, options=options):
            fields.add("flags", 4, _advertisement_flags(message))
            fields.add("target", 16, target)
        case icmpv6.RedirectV6(target, destination, options):
            fields.add("reserved", 4, "")
            fields.add("target", 16, target)
            fields.add("destination", 16, destination)
    for option in options:
        length = context.dissected.packet.data[fields.at + 1] * neighbor.UNIT_BYTES
        fields.add("option", length, _neighbor_option(option))


def _router(message: icmpv6.RouterAdvertisement, fields: Fields) -> None:
    managed = "addresses by DHCP" if message.is_managed else ""
    other = "more by DHCP" if message.has_other_configuration else ""
    fields.add("hop limit", 1, message.hop_limit or "not said")
    fields.add("flags", 1, ", ".join(filter(None, [managed, other])) or "none")
    fields.add("lifetime", 2, f"{message.lifetime_s} s")
    fields.add("reachable", 4, f"{message.reachable_ms} ms" if message.reachable_ms else "not said")
    fields.add("retransmit", 4, f"{message.retransmit_ms} ms" if message.retransmit_ms else "not said")


def _advertisement_flags(message: icmpv6.NeighborAdvertisement) -> str:
    flags = {"router": message.is_router, "solicited": message.is_solicited, "override": message.is_override}
    return ", ".join(name for name, is_set in flags.items() if is_set) or "none"


def _neighbor_option(option: neighbor.NeighborOption) -> str:
    match option:
        case neighbor.LinkLayerAddress(mac, is_target):
            return f"{'target' if is_target else 'source'} is at {mac}"
        case neighbor.PrefixInformation(prefix, length):
            lives = f"valid {_lifetime(option.valid_s)}, preferred {_lifetime(option.preferred_s)}"
            flags = {"on link": option.is_on_link, "for addresses": option.is_autonomous}
            return ", ".join([f"prefix {prefix}/{length}", lives, *(name for name, is_set in flags.items() if is_set)])
        case neighbor.LinkMtu(mtu):
            return f"MTU {mtu} bytes"
        case neighbor.NameServers(lifetime_s, servers):
            return f"name servers {', '.join(map(str, servers))} for {_lifetime(lifetime_s)}"
        case neighbor.RedirectedPacket(original):
            return f"the packet's first {len(original)} bytes"
        case neighbor.UnknownNeighborOption(kind):
            return f"option {kind}"


def _lifetime(seconds: int) -> str:
    return "for ever" if seconds == neighbor.FOREVER_S else f"{seconds} s"


TELLERS: Final[dict[str, Teller]] = {"udp": _udp, "tcp": _tcp, "icmp": _icmp, "icmpv6": _icmpv6}
