"""Packets that would have carried what connections say, in the clear: made of what their taps tell.

Each connection gets its handshake, segments no longer than the path allows, acknowledgements, and its end as it was. So
whatever reads captures can follow it: sequence numbers, checksums and times are right, only the retransmissions are
missing. Nothing here was on any wire: under TLS other bytes were, and segments may have been cut elsewhere.

Source: RFC 9293 section 3.5 (handshake), 3.6 (closing); RFC 7323 for windows beyond 65,535 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, TypeAlias

from portside.address import Address, InternetAddress, IPAddress, UnixAddress
from portside.wire.captured import RAW, CapturedPacket, Interface
from portside.wire.ipv4 import IPv4Packet, build_ipv4
from portside.wire.ipv6 import IPv6Packet, build_ipv6
from portside.wire.numbers import TCP, UDP
from portside.wire.tcp import Flags, Segment, build_tcp
from portside.wire.tcp_options import MaximumSegmentSize, NoOperation, WindowScale
from portside.wire.udp import Datagram, build_udp

Way: TypeAlias = Literal["in", "out"]
OTHER: Final[dict[Way, Way]] = {"in": "out", "out": "in"}

MSS_BYTES: Final = {4: 1_460, 6: 1_440}  # what an Ethernet frame carries of a stream
WINDOW: Final = 65_535
WINDOW_SHIFT: Final = 7  # 8 MiB: what is moved in one go stays within it
NUMBERS: Final = 1 << 32
STRIDE: Final = 2_654_435_761  # from one connection's first sequence number to the next one's: a port may come again

# Unix sockets have no addresses: these are for documentation, RFC 5737. The client's port tells connections apart.
UNIX_SERVER: Final = IPv4Address("192.0.2.1")
UNIX_CLIENT: Final = IPv4Address("192.0.2.2")
UNIX_PORT: Final = 1
UNIX_CLIENT_PORTS: Final = range(1_024, 65_536)

STOOD: Final = "the connection stood before the capture began: this handshake was not there"


@dataclass(frozen=True, slots=True)
class End:
    """An address and a port in packets."""

    ip: IPAddress
    port: int


def ends_of(local: Address, peer: Address, number: int) -> tuple[End, End, tuple[str, ...]]:
    """Return the server's end and the client's, as packets have them, and comments where they are not the true ones."""
    if isinstance(local, UnixAddress) or isinstance(peer, UnixAddress):
        port = UNIX_CLIENT_PORTS[number % len(UNIX_CLIENT_PORTS)]
        names = " to ".join(str(one) for one in (peer, local) if isinstance(one, UnixAddress) and one.path)
        comment = f"a unix socket ({names or 'without a name'}): the addresses are made up"
        return End(UNIX_SERVER, UNIX_PORT), End(UNIX_CLIENT, port), (comment,)
    ours, theirs = _ip_of(local), _ip_of(peer)
    if ours.version != theirs.version:  # told by a proxy
        ours, theirs = _mapped(ours), _mapped(theirs)
    return End(ours, local.port), End(theirs, peer.port), ()


def _ip_of(address: InternetAddress) -> IPAddress:
    return ip_address(address.host.partition("%")[0])


def _mapped(ip: IPAddress) -> IPv6Address:
    return ip if isinstance(ip, IPv6Address) else IPv6Address(f"::ffff:{ip}")


def _packet(source: End, target: End, protocol: int, payload: bytes) -> bytes:
    if isinstance(source.ip, IPv4Address) and isinstance(target.ip, IPv4Address):
        return build_ipv4(IPv4Packet(source.ip, target.ip, protocol, payload, dont_fragment=True))
    return build_ipv6(IPv6Packet(_mapped(source.ip), _mapped(target.ip), protocol, payload))


def interface_of(service: str) -> Interface:
    """Return the interface on which the packets of a service are."""
    return Interface(service, RAW, description=f"what connections of {service} say, TLS taken off")


class CapturedConnection:
    """Makes the packets of one connection, ``in`` being from its peer. Times never go back within it."""

    def __init__(
        self, number: int, interface: Interface, local: Address, peer: Address, *, comments: tuple[str, ...] = ()
    ) -> None:
        """``number`` tells it from all others of the capture."""
        server, client, made_up = ends_of(local, peer, number)
        self._interface = interface
        self._from: dict[Way, End] = {"in": client, "out": server}
        start = number * STRIDE
        self._next: dict[Way, int] = {"in": start % NUMBERS, "out": (start + STRIDE // 2) % NUMBERS}
        self._mss = MSS_BYTES[server.ip.version]
        self._comments = (*comments, *made_up)  # of the next packet
        self._at_ns = 0
        self._unacknowledged: Way | None = None
        self._ended: set[Way] = set()

    @property
    def is_over(self) -> bool:
        return len(self._ended) == 2

    def opened(self, at_ns: int) -> list[CapturedPacket]:
        """Return the handshake: the peer calls."""
        options = (MaximumSegmentSize(self._mss), NoOperation(), WindowScale(WINDOW_SHIFT))
        return [
            self._segment("in", Flags.SYN, at_ns, options=options),
            self._segment("out", Flags.SYN | Flags.ACK, at_ns, options=options),
            self._segment("in", Flags.ACK, at_ns),
        ]

    def moved(self, way: Way, data: bytes, at_ns: int) -> list[CapturedPacket]:
        """Return the segments that carry the bytes; before them, what acknowledges those before that way."""
        if way in self._ended:
            return []
        packets = self._acknowledged(way, at_ns)
        for start in range(0, len(data), self._mss):
            piece = data[start : start + self._mss]
            flags = Flags.ACK | Flags.PSH if start + len(piece) == len(data) else Flags.ACK
            packets.append(self._segment(way, flags, at_ns, piece))
        self._unacknowledged = way
        return packets

    def lost(self, way: Way, lost_bytes: int) -> None:
        """Note that so many bytes are missing: the sequence numbers go on behind them."""
        self._next[way] = (self._next[way] + lost_bytes) % NUMBERS
        self._comments = (*self._comments, f"{lost_bytes} bytes before this were lost: the capture was too slow")

    def ended(self, way: Way, at_ns: int) -> list[CapturedPacket]:
        """Return the end of the stream that way, and its acknowledgement."""
        if way in self._ended:
            return []
        self._ended.add(way)
        self._unacknowledged = None
        return [self._segment(way, Flags.FIN | Flags.ACK, at_ns), self._segment(OTHER[way], Flags.ACK, at_ns)]

    def reset(self, way: Way, at_ns: int) -> list[CapturedPacket]:
        """Return the reset by whoever sends that way."""
        if self.is_over:
            return []
        self._ended = {"in", "out"}
        return [self._segment(way, Flags.RST | Flags.ACK, at_ns)]

    def _acknowledged(self, way: Way, at_ns: int) -> list[CapturedPacket]:
        """Return what the other end says to the bytes that way, where it has said nothing since."""
        if self._unacknowledged != way:
            return []
        return [self._segment(OTHER[way], Flags.ACK, at_ns)]

    def _segment(
        self,
        way: Way,
        flags: int,
        at_ns: int,
        payload: bytes = b"",
        options: tuple[MaximumSegmentSize | NoOperation | WindowScale, ...] = (),
    ) -> CapturedPacket:
        source, target = self._from[way], self._from[OTHER[way]]
        segment = Segment(
            source.port,
            target.port,
            self._next[way],
            self._next[OTHER[way]] if flags & Flags.ACK else 0,
            flags,
            WINDOW,
            payload,
            options,
        )
        self._next[way] = (self._next[way] + segment.sequence_length) % NUMBERS
        data = _packet(source, target, TCP, build_tcp(segment, source=source.ip, target=target.ip))
        self._at_ns = max(self._at_ns, at_ns)
        comments, self._comments = self._comments, ()
        return CapturedPacket(self._interface, self._at_ns, data, len(data), direction=way, comments=comments)


def captured_datagram(
    number: int, interface: Interface, *, local: Address, peer: Address, way: Way, data: bytes, at_ns: int
) -> CapturedPacket:
    """Return the packet of one datagram."""
    server, client, comments = ends_of(local, peer, number)
    source, target = (client, server) if way == "in" else (server, client)
    payload = build_udp(Datagram(source.port, target.port, data), source=source.ip, target=target.ip)
    packet = _packet(source, target, UDP, payload)
    return CapturedPacket(interface, at_ns, packet, len(packet), direction=way, comments=comments)
