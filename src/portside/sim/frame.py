"""What travels on a simulated link: one flat object for all layers, bytes only when somebody asks for them.

Building and parsing every header at every hop costs ten times what the rest of a hop does. So a frame is its fields,
and ``portside.sim.encoding`` makes the exact bytes of it for a capture, a TAP device, or a link that flips a bit.

A frame belongs to nobody once it is sent: it is shared by all who hear it, and must not be changed. Who forwards makes
a copy (``hop``). Addresses are integers as in ``portside.sim.addresses``; ``size`` is in bytes as a capture counts
them, Ethernet's header included, its padding, preamble and check sequence not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, TypeAlias

from portside.wire.arp import Arp
from portside.wire.icmp import Icmp
from portside.wire.icmpv6 import Icmpv6
from portside.wire.ipv4 import IPv4Option
from portside.wire.ipv6_extensions import Extension
from portside.wire.numbers import ICMP, ICMPV6, TCP, UDP

ETHERNET_BYTES: Final = 14
IPV4_BYTES: Final = 20
IPV6_BYTES: Final = 40
UDP_BYTES: Final = 8
TCP_BYTES: Final = 20
TIMESTAMPS_BYTES: Final = 12  # with the two fillers before it that every stack sends: RFC 7323 appendix A
MAPPED_TOP: Final = 0xFFFF  # the bits above an IPv4 address


def ip_header_bytes(address: int) -> int:
    """Return how long the header of a packet to that address is, without options or extensions."""
    return IPV4_BYTES if address >> 32 == MAPPED_TOP else IPV6_BYTES


class Frame:
    """Ethernet's part, and the root of all kinds. MAC addresses are filled in by whoever puts it onto a wire.

    ``encoded`` are its bytes, once ``encoding.encode`` was asked for them; it is told to forget them by who fills in.
    """

    __slots__ = ("encoded", "size", "source_mac", "target_mac")

    encoded: bytes | None
    size: int
    source_mac: int
    target_mac: int


class RawFrame(Frame):
    """A frame of which there are only bytes: what a link has damaged, what a TAP heard, what nobody here speaks."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = self.encoded = data
        self.size = len(data)
        self.target_mac = int.from_bytes(data[:6])
        self.source_mac = int.from_bytes(data[6:12])


class ArpFrame(Frame):
    """ARP: who has that address?"""

    __slots__ = ("message",)

    def __init__(self, source_mac: int, target_mac: int, message: Arp) -> None:
        self.source_mac = source_mac
        self.target_mac = target_mac
        self.message = message
        self.encoded = None
        self.size = ETHERNET_BYTES + 28  # RFC 826 with addresses of 6 and 4 bytes


class IpFrame(Frame):
    """A packet of IP, either version. ``identification``, ``dont_fragment`` are of IPv4, ``flow_label`` of IPv6.

    ``traffic_class`` is all eight bits, DSCP and ECN. ``options`` are IPv4's options or IPv6's extension headers other
    than Fragment. ``inner`` are the bytes behind the headers of IP, once somebody has asked for them.
    """

    __slots__ = (
        "dont_fragment",
        "flow_label",
        "identification",
        "inner",
        "options",
        "protocol",
        "source",
        "target",
        "traffic_class",
        "ttl",
    )

    options: tuple[IPv4Option, ...] | tuple[Extension, ...]
    inner: bytes | None

    def __init__(self, protocol: int, source: int, target: int, size: int, ttl: int = 64) -> None:
        self.encoded = self.inner = None
        self.source_mac = self.target_mac = 0
        self.size = size
        self.protocol = protocol
        self.source = source
        self.target = target
        self.ttl = ttl
        self.traffic_class = 0
        self.flow_label = 0
        self.identification = 0
        self.dont_fragment = False
        self.options = ()

    def hop(self) -> Self:
        """Return the copy that a router sends on, with one hop less to live. Only its MACs are still to be changed."""
        onward = self.changed(ttl=self.ttl - 1)
        onward.inner = self.inner
        return onward

    def changed(self, **fields: object) -> Self:
        """Return a copy with some fields changed, for who translates or spoils packets; ``size`` is the caller's."""
        made = type(self).__new__(type(self))
        for name in _SLOTS[type(self)]:
            setattr(made, name, getattr(self, name))
        for name, value in fields.items():
            setattr(made, name, value)
        made.encoded = made.inner = None
        return made

    __copy__ = changed


class OpaqueFrame(IpFrame):
    """A packet whose payload is only bytes: a fragment, a protocol nobody here speaks, or what a wire has damaged.

    ``offset`` is in bytes. With ``offset`` 0 and no ``more`` it is whole, and ``encoding.open_packet`` may read it.
    """

    __slots__ = ("more", "offset", "payload")

    def __init__(  # noqa: PLR0917 -- the fields of a header
        self, protocol: int, source: int, target: int, size: int, ttl: int, payload: bytes, offset: int, more: bool
    ) -> None:
        super().__init__(protocol, source, target, size, ttl)
        self.payload = payload
        self.offset = offset
        self.more = more

    @property
    def is_fragment(self) -> bool:
        return self.more or self.offset > 0


class IcmpFrame(IpFrame):
    """ICMP of either version, the message as ``portside.wire`` has it. ``length`` is that of the message in bytes."""

    __slots__ = ("message",)

    message: Icmp | Icmpv6

    def __init__(self, source: int, target: int, message: Icmp | Icmpv6, length: int, ttl: int = 64) -> None:
        protocol = ICMP if source >> 32 == MAPPED_TOP else ICMPV6
        super().__init__(protocol, source, target, ETHERNET_BYTES + ip_header_bytes(target) + length, ttl)
        self.message = message


class UdpFrame(IpFrame):
    """A datagram of UDP."""

    __slots__ = ("payload", "source_port", "target_port")

    def __init__(  # noqa: PLR0917 -- the fields of a header
        self, source: int, source_port: int, target: int, target_port: int, payload: bytes, ttl: int = 64
    ) -> None:
        size = ETHERNET_BYTES + ip_header_bytes(target) + UDP_BYTES + len(payload)
        super().__init__(UDP, source, target, size, ttl)
        self.source_port = source_port
        self.target_port = target_port
        self.payload = payload

    def hop(self) -> UdpFrame:
        """Return the copy that a router sends on: written out, as TCP's is."""
        onward = UdpFrame.__new__(UdpFrame)
        onward.encoded = None
        onward.inner = self.inner
        onward.source_mac = onward.target_mac = 0
        onward.protocol = UDP
        onward.source = self.source
        onward.target = self.target
        onward.ttl = self.ttl - 1
        onward.traffic_class = self.traffic_class
        onward.flow_label = self.flow_label
        onward.identification = self.identification
        onward.dont_fragment = self.dont_fragment
        onward.options = self.options
        onward.source_port = self.source_port
        onward.target_port = self.target_port
        onward.payload = self.payload
        onward.size = self.size
        return onward


@dataclass(frozen=True, slots=True)
class Offer:
    """What a SYN offers beside the timestamps: RFC 9293 section 3.7.1, RFC 7323 section 2.2, RFC 2018 section 2."""

    mss: int | None = None
    shift: int | None = None
    sack: bool = False

    @property
    def size(self) -> int:
        """Bytes in the header, each option filled up to words; SackPermitted shares the fillers of the timestamps."""
        return 4 * (self.mss is not None) + 4 * (self.shift is not None) + 4 * self.sack


NO_BLOCKS: Final[tuple[tuple[int, int], ...]] = ()


class TcpFrame(IpFrame):
    """A segment of TCP (RFC 9293 section 3.1). Sequence numbers are as on the wire, modulo 2**32; ``window`` unscaled.

    ``timestamp`` is None where there are no timestamps; ``sack`` holds blocks, left edge and right edge.
    """

    __slots__ = (
        "ack",
        "echo",
        "flags",
        "offer",
        "payload",
        "sack",
        "sequence",
        "source_port",
        "target_port",
        "timestamp",
        "urgent",
        "window",
    )

    def __init__(  # noqa: PLR0917 -- the fields of a header, in its order
        self,
        source: int,
        source_port: int,
        target: int,
        target_port: int,
        sequence: int,
        ack: int,
        flags: int,
        window: int,
        payload: bytes = b"",
        timestamp: int | None = None,
        echo: int = 0,
        sack: tuple[tuple[int, int], ...] = NO_BLOCKS,
        offer: Offer | None = None,
    ) -> None:
        # Written out, without a call of the base class: bulk transfers make a hundred thousand of these a second.
        self.encoded = self.inner = None
        self.source_mac = self.target_mac = 0
        self.protocol = TCP
        self.source = source
        self.target = target
        self.ttl = 64
        self.traffic_class = self.flow_label = self.identification = 0
        self.dont_fragment = True
        self.options = ()
        self.source_port = source_port
        self.target_port = target_port
        self.sequence = sequence
        self.ack = ack
        self.flags = flags
        self.window = window
        self.payload = payload
        self.timestamp = timestamp
        self.echo = echo
        self.sack = sack
        self.offer = offer
        self.urgent = 0
        self.size = (54 if target >> 32 == MAPPED_TOP else 74) + len(payload)
        if sack or offer is not None:
            self.size += options_bytes(self)
        elif timestamp is not None:
            self.size += TIMESTAMPS_BYTES

    def hop(self) -> TcpFrame:
        """Return the copy that a router sends on: written out, for what is copied half a million times a second."""
        onward = TcpFrame.__new__(TcpFrame)
        onward.encoded = None
        onward.inner = self.inner
        onward.source_mac = onward.target_mac = 0
        onward.protocol = TCP
        onward.source = self.source
        onward.target = self.target
        onward.ttl = self.ttl - 1
        onward.traffic_class = self.traffic_class
        onward.flow_label = self.flow_label
        onward.identification = self.identification
        onward.dont_fragment = self.dont_fragment
        onward.options = self.options
        onward.source_port = self.source_port
        onward.target_port = self.target_port
        onward.sequence = self.sequence
        onward.ack = self.ack
        onward.flags = self.flags
        onward.window = self.window
        onward.payload = self.payload
        onward.timestamp = self.timestamp
        onward.echo = self.echo
        onward.sack = self.sack
        onward.offer = self.offer
        onward.urgent = self.urgent
        onward.size = self.size
        return onward


def options_bytes(segment: TcpFrame) -> int:
    """Return how long the options of a segment are, fillers included: as ``encoding`` lays them out."""
    length = 0
    offer = segment.offer
    if offer is not None:
        length += offer.size
        if offer.sack and segment.timestamp is not None:
            length -= 4  # SackPermitted takes the place of the two fillers before the timestamps
    if segment.timestamp is not None:
        length += TIMESTAMPS_BYTES
    if segment.sack:
        length += 4 + 8 * len(segment.sack)  # two fillers, kind and length: RFC 2018 section 3
    return length


_SLOTS: Final[dict[type, tuple[str, ...]]] = {
    kind: tuple(name for base in kind.__mro__[:-1] for name in base.__dict__.get("__slots__", ()))
    for kind in (OpaqueFrame, IcmpFrame, UdpFrame, TcpFrame)
}

AnyIpFrame: TypeAlias = OpaqueFrame | IcmpFrame | UdpFrame | TcpFrame
AnyFrame: TypeAlias = RawFrame | ArpFrame | AnyIpFrame
