"""A packet taken apart: header within header, as far as the bytes make sense, and where each header lies in them.

What cannot be understood is told, and never raised: a capture shows whatever comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from portside.errors import MalformedMessage
from portside.wire import captured, numbers
from portside.wire.arp import PACKET_BYTES, Arp, parse_arp
from portside.wire.captured import CapturedPacket
from portside.wire.dns import DnsMessage, parse_dns
from portside.wire.ethernet import ETHERTYPE_MIN, Frame, parse_ethernet
from portside.wire.icmp import HEADER_BYTES as ICMP_BYTES
from portside.wire.icmp import Echo, Icmp, OtherIcmp, parse_icmp
from portside.wire.icmpv6 import Icmpv6, Icmpv6Error, OtherIcmpv6, parse_icmpv6
from portside.wire.ipv4 import IPv4Packet, ipv4_header_bytes, parse_ipv4
from portside.wire.ipv6 import HEADER_BYTES as IPV6_BYTES
from portside.wire.ipv6 import IPv6Packet, parse_ipv6, parse_ipv6_headers
from portside.wire.ipv6_extensions import Extension
from portside.wire.malformed import Truncated, require
from portside.wire.sll import SLL2_BYTES, SLL_BYTES, CookedPacket, parse_sll, parse_sll2
from portside.wire.tcp import Segment, parse_tcp, tcp_header_bytes
from portside.wire.udp import HEADER_BYTES as UDP_BYTES
from portside.wire.udp import Datagram, parse_udp

LAYERS_MAX: Final = 24  # tunnels in tunnels, and errors about errors, can be nested until the packet is full

DNS_PORTS: Final = frozenset({53, 5353, 5355})  # DNS, multicast DNS (RFC 6762), LLMNR (RFC 4795)
_FAMILY_BYTES: Final = 4  # of the address family before a packet of a BSD's loopback
_LENGTH_BYTES: Final = 2  # before a DNS message over TCP

Value: TypeAlias = (
    Frame | CookedPacket | Arp | IPv4Packet | IPv6Packet | Extension | Datagram | Segment | Icmp | Icmpv6 | DnsMessage
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One header: what it says, and where it lies in the packet.

    The header is ``header_bytes`` from ``start``; what it carries goes on from there to ``end``. ``is_quoted``: it
    belongs to the packet that an ICMP error is about.
    """

    name: str
    value: Value
    start: int
    header_bytes: int
    end: int
    is_quoted: bool = False

    @property
    def body(self) -> int:
        """Where begins what it carries."""
        return self.start + self.header_bytes


@dataclass(frozen=True, slots=True)
class Dissected:
    """A packet and its layers from the outside in.

    From ``rest`` to ``rest_end`` is what no layer explains: data, or what ``problem`` says is wrong.
    """

    packet: CapturedPacket
    layers: tuple[Layer, ...]
    rest: int
    rest_end: int
    problem: str | None = None

    @property
    def own(self) -> list[Layer]:
        """The layers without those of a quoted packet."""
        return [layer for layer in self.layers if not layer.is_quoted]

    @property
    def quoted(self) -> list[Layer]:
        return [layer for layer in self.layers if layer.is_quoted]

    @property
    def data(self) -> bytes:
        """What no layer explains."""
        return self.packet.data[self.rest : self.rest_end]


def dissect(packet: CapturedPacket) -> Dissected:
    """Return the packet's layers, as many as make sense."""
    dissection = _Dissection(packet)
    problem = None
    try:
        dissection.link(packet.interface.link_type)
    except MalformedMessage as error:
        if dissection.is_whole or not isinstance(error, Truncated):
            problem = str(error)
    return Dissected(packet, tuple(dissection.layers), dissection.at, dissection.end, problem)


class _Dissection:
    """How far one packet is understood: layers so far, and the bytes from ``at`` to ``end`` that are left.

    ``is_whole``: what is missing is missing. It is not where only the beginning was captured, or is quoted.
    """

    def __init__(self, packet: CapturedPacket) -> None:
        self.layers: list[Layer] = []
        self.at = 0
        self.end = len(packet.data)
        self._view = memoryview(packet.data)
        self.is_whole = packet.is_whole
        self._is_quoted = False

    @property
    def _left(self) -> memoryview:
        return self._view[self.at : self.end]

    def _add(self, name: str, value: Value, header_bytes: int, end: int | None = None) -> None:
        """Take one more layer, and go on behind its header."""
        end = self.end if end is None else min(end, self.end)
        self.layers.append(Layer(name, value, self.at, header_bytes, end, self._is_quoted))
        self.at += header_bytes
        self.end = end
        if len(self.layers) >= LAYERS_MAX:
            raise MalformedMessage(f"there are more than {LAYERS_MAX} headers within each other")

    # ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def link(self, link_type: int) -> None:
        match link_type:
            case captured.ETHERNET:
                frame = parse_ethernet(self._left)
                self._add("ethernet", frame, frame.header_bytes)
                if frame.type >= ETHERTYPE_MIN:
                    self._network(frame.type)
            case captured.LINUX_SLL | captured.LINUX_SLL2:
                is_second = link_type == captured.LINUX_SLL2
                cooked = parse_sll2(self._left) if is_second else parse_sll(self._left)
                self._add("cooked", cooked, SLL2_BYTES if is_second else SLL_BYTES)
                self._network(cooked.protocol)
            case captured.NULL | captured.LOOP:
                # The family's number is each system's own: the packet itself says what it is.
                require(self._left, _FAMILY_BYTES, "the loopback header")
                self.at += _FAMILY_BYTES
                self._raw()
            case captured.IPV4 | captured.IPV6 | captured.RAW | captured.RAW_12 | captured.RAW_14:
                self._raw()
            case _:
                raise MalformedMessage(f"packets of {captured.link_name(link_type)} are not known here")

    def _raw(self) -> None:
        require(self._left, 1, "raw IP")
        if self._left[0] >> 4 == 6:
            self._ipv6()
        else:
            self._ipv4()

    # ── networks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _network(self, ethertype: int) -> None:
        match ethertype:
            case numbers.ETHERTYPE_IPV4:
                self._ipv4()
            case numbers.ETHERTYPE_IPV6:
                self._ipv6()
            case numbers.ETHERTYPE_ARP:
                self._add("arp", parse_arp(self._left), PACKET_BYTES, self.at + PACKET_BYTES)

    def _ipv4(self) -> None:
        header_bytes = ipv4_header_bytes(self._left)
        # A length of 0 is what Linux hands to hardware that cuts long packets up.
        packet = parse_ipv4(self._left, whole=self.is_whole and any(self._left[2:4]))
        self._add("ipv4", packet, header_bytes, self.at + header_bytes + len(packet.payload))
        if packet.fragment_offset == 0:
            self._transport(packet.protocol, is_whole=self.is_whole and not packet.is_fragment)

    def _ipv6(self) -> None:
        is_whole = self.is_whole and any(self._left[4:6])
        head, extensions = parse_ipv6_headers(self._left, whole=is_whole)
        packet = parse_ipv6(self._left, whole=is_whole)
        self._add("ipv6", packet, IPV6_BYTES, self.at + IPV6_BYTES + len(head.payload))
        for found in extensions:
            self._add(_EXTENSION_NAMES[type(found.extension).__name__], found.extension, found.size_bytes)
        if packet.fragment is None or packet.fragment.offset == 0:
            self._transport(packet.protocol, is_whole=self.is_whole and not packet.is_fragment)

    # ── transports ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _transport(self, protocol: int, *, is_whole: bool) -> None:
        match protocol:
            case numbers.TCP:
                self._tcp()
            case numbers.UDP:
                self._udp(is_whole=is_whole)
            case numbers.ICMP:
                self._icmp(parse_icmp(self._left), self._ipv4)
            case numbers.ICMPV6:
                self._icmp(parse_icmpv6(self._left), self._ipv6)
            case numbers.IPV4:
                self._ipv4()
            case numbers.IPV6:
                self._ipv6()

    def _tcp(self) -> None:
        header_bytes = tcp_header_bytes(self._left)
        segment = parse_tcp(self._left)
        self._add("tcp", segment, header_bytes)
        message = segment.payload[_LENGTH_BYTES:]
        is_one_message = int.from_bytes(segment.payload[:_LENGTH_BYTES], "big") == len(message) > 0
        if 53 in {segment.source_port, segment.target_port} and is_one_message:
            self.at += _LENGTH_BYTES
            self._dns()

    def _udp(self, *, is_whole: bool) -> None:
        datagram = parse_udp(self._left, whole=is_whole)
        self._add("udp", datagram, UDP_BYTES, self.at + UDP_BYTES + len(datagram.payload))
        if DNS_PORTS & {datagram.source_port, datagram.target_port} and datagram.payload and is_whole:
            self._dns()

    def _dns(self) -> None:
        message = parse_dns(self._left)
        self._add("dns", message, self.end - self.at)

    def _icmp(self, message: Icmp | Icmpv6, network: Callable[[], None]) -> None:
        name = "icmp" if network == self._ipv4 else "icmpv6"
        is_error = isinstance(message, Icmpv6Error) or (name == "icmp" and hasattr(message, "original"))
        if is_error or isinstance(message, Echo | OtherIcmp):
            self._add(name, message, ICMP_BYTES)
        else:
            self._add(name, message, 4 if isinstance(message, OtherIcmpv6) else self.end - self.at)
        if is_error and self.at < self.end:
            self._is_quoted, self.is_whole = True, False
            network()


_EXTENSION_NAMES: Final = {
    "HopByHop": "hop_by_hop",
    "DestinationOptions": "destination",
    "Routing": "routing",
    "Fragment": "fragment",
}
