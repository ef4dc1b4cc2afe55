"""A frame in a line of text, as tcpdump writes one: for journals, reports and whoever looks at a run."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from portside.errors import MalformedMessage
from portside.sim.addresses import BROADCAST_MAC, is_v4, mac_text, to_text
from portside.sim.frame import AnyFrame, ArpFrame, IcmpFrame, OpaqueFrame, RawFrame, TcpFrame, UdpFrame
from portside.wire.dns import parse_dns
from portside.wire.dns_words import dns_words
from portside.wire.icmp import Echo
from portside.wire.tcp import flag_words

DNS: Final = 53


def words(frame: AnyFrame) -> str:
    """Return who says what to whom, without times."""
    match frame:
        case RawFrame():
            return f"{_macs(frame)}: {frame.size} bytes, damaged or unknown"
        case ArpFrame():
            return _arp(frame)
        case TcpFrame():
            return f"{_ends(frame)}: {segment_words(frame)}"
        case UdpFrame():
            return f"{_ends(frame)}: {_datagram(frame)}"
        case IcmpFrame():
            return f"{to_text(frame.source)} > {to_text(frame.target)}: {_icmp(frame)}"
        case OpaqueFrame():
            where = f", offset {frame.offset}{' and more' if frame.more else ''}" if frame.is_fragment else ""
            return (
                f"{to_text(frame.source)} > {to_text(frame.target)}: "
                f"protocol {frame.protocol}, {len(frame.payload)} bytes{where}"
            )
    raise TypeError(f"not a frame: {frame!r}")


def _macs(frame: AnyFrame) -> str:
    target = "everybody" if frame.target_mac == BROADCAST_MAC else mac_text(frame.target_mac)
    return f"{mac_text(frame.source_mac)} > {target}"


def _arp(frame: ArpFrame) -> str:
    arp = frame.message
    if arp.operation == 1:
        return f"ARP: who has {arp.target_ip}? tell {arp.sender_ip}"
    return f"ARP: {arp.sender_ip} is at {arp.sender_mac}"


def _ends(frame: TcpFrame | UdpFrame) -> str:
    return f"{_end(frame.source, frame.source_port)} > {_end(frame.target, frame.target_port)}"


def _end(address: int, port: int) -> str:
    return f"{to_text(address)}:{port}" if is_v4(address) else f"[{to_text(address)}]:{port}"


def _datagram(frame: UdpFrame) -> str:
    if DNS in {frame.source_port, frame.target_port}:
        with suppress(MalformedMessage):
            return f"DNS {dns_words(parse_dns(frame.payload))}"
    return f"UDP, {len(frame.payload)} bytes"


def segment_words(frame: TcpFrame, ours: int = 0, theirs: int = 0) -> str:
    """Return a segment without its ends, with numbers counted from both initial ones if these are given."""
    sequence = (frame.sequence - ours) % 2**32
    parts = [flag_words(frame.flags) or "no flags", f"seq {sequence}"]
    if frame.payload:
        parts[-1] += f":{(sequence + len(frame.payload)) % 2**32}"
    if frame.flags & 0x10:
        parts.append(f"ack {(frame.ack - theirs) % 2**32}")
    parts.append(f"win {frame.window}")
    parts += [f"sack {(left - theirs) % 2**32}-{(right - theirs) % 2**32}" for left, right in frame.sack]
    return ", ".join(parts)


def _icmp(frame: IcmpFrame) -> str:
    message = frame.message
    if isinstance(message, Echo):
        kind = "reply" if message.is_reply else "request"
        return f"echo {kind} {message.sequence}, {len(message.payload)} bytes"
    said = getattr(message, "words", None)
    return said() if said is not None else type(message).__name__
