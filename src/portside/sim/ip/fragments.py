"""Packets that are too long for a link: cut into fragments, and put together again where they are for.

RFC 791 section 3.2 and RFC 1122 section 3.3.2 for IPv4; RFC 8200 section 4.5 and RFC 5722 for IPv6. Fragments that
overlap end their packet, in both versions: nobody sends them by mistake (as Linux since 4.20).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from portside.sim.addresses import is_v4
from portside.sim.clock import Scheduler
from portside.sim.encoding import encode_payload
from portside.sim.frame import ETHERNET_BYTES, AnyIpFrame, OpaqueFrame, ip_header_bytes

UNIT_BYTES: Final = 8
FRAGMENT_HEADER_BYTES: Final = 8  # of IPv6: RFC 8200 section 4.5
PAYLOAD_BYTES_MAX: Final = 65_535
HELD_BYTES_MAX: Final = 4 * 1024 * 1024  # net.ipv4.ipfrag_high_thresh
HELD_MAX: Final = 1_024

_Key: TypeAlias = tuple[int, int, int, int]  # source, target, protocol, identification


def cut(frame: AnyIpFrame, mtu: int, identification: int) -> Iterator[OpaqueFrame]:
    """Yield the fragments of a packet, each no longer than ``mtu`` bytes with its header."""
    payload = encode_payload(frame)
    first, more_behind = (frame.offset, frame.more) if isinstance(frame, OpaqueFrame) else (0, False)
    header = frame.size - ETHERNET_BYTES - len(payload)
    if not is_v4(frame.target) and not first and not more_behind:
        header += FRAGMENT_HEADER_BYTES
    room = (mtu - header) // UNIT_BYTES * UNIT_BYTES
    for at in range(0, len(payload), room):
        piece = payload[at : at + room]
        more = more_behind or at + room < len(payload)
        size = ETHERNET_BYTES + header + len(piece)
        made = OpaqueFrame(frame.protocol, frame.source, frame.target, size, frame.ttl, piece, first + at, more)
        made.identification = identification
        made.traffic_class, made.flow_label, made.options = frame.traffic_class, frame.flow_label, frame.options
        yield made


class _Packet:
    """What has come of one packet."""

    __slots__ = ("first", "held_bytes", "length", "pieces")

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        self.first: OpaqueFrame | None = None  # the one of offset 0: the others' headers do not count
        self.length: int | None = None
        self.held_bytes = 0

    def fits(self, start: int, data: bytes) -> bool:
        """Return whether the piece overlaps none that is there, unless it is the same one again."""
        end = start + len(data)
        if self.length is not None and end > self.length:
            return False
        return all(end <= at or start >= at + len(piece) for at, piece in self.pieces.items())

    def whole(self) -> bytes | None:
        """Return the payload if nothing is missing any more."""
        if self.length is None or self.first is None or sum(map(len, self.pieces.values())) != self.length:
            return None
        return b"".join(self.pieces[at] for at in sorted(self.pieces))


class Reassembly:
    """All packets of a host that have not come whole. ``expired`` is told the first fragment of one that never will."""

    def __init__(self, scheduler: Scheduler, timeout_ns: int, expired: Callable[[OpaqueFrame], object]) -> None:
        self._scheduler = scheduler
        self._timeout_ns = timeout_ns
        self._expired = expired
        self._packets: dict[_Key, _Packet] = {}
        self.held_bytes = 0

    def add(self, frame: OpaqueFrame) -> OpaqueFrame | None:
        """Take a fragment; return the whole packet if it was the last that was missing."""
        key = (frame.source, frame.target, frame.protocol, frame.identification)
        data, start = frame.payload, frame.offset
        if (frame.more and (len(data) % UNIT_BYTES or not data)) or start + len(data) > PAYLOAD_BYTES_MAX:
            return None  # RFC 8200 section 4.5: not a multiple of 8, or beyond the end of any packet
        packet = self._packets.get(key)
        if packet is None:
            packet = self._begin(key)
        if packet.pieces.get(start) == data:
            return None
        if not packet.fits(start, data) or (not frame.more and not self._ends(packet, start + len(data))):
            self._forget(key)
            return None
        packet.pieces[start] = data
        packet.held_bytes += len(data)
        self.held_bytes += len(data)
        if start == 0:
            packet.first = frame
        payload = packet.whole()
        if payload is None:
            self._bound(key)
            return None
        self._forget(key)
        assert packet.first is not None
        return _joined(packet.first, payload)

    @staticmethod
    def _ends(packet: _Packet, length: int) -> bool:
        """Take note of where the packet ends; return whether that can be."""
        if packet.length not in {None, length} or any(at + len(one) > length for at, one in packet.pieces.items()):
            return False
        packet.length = length
        return True

    def _begin(self, key: _Key) -> _Packet:
        packet = self._packets[key] = _Packet()

        def expire(_: object) -> None:
            if self._packets.get(key) is packet:
                self._forget(key)
                if packet.first is not None:  # RFC 1122 section 3.3.2: without the first one there is nothing to quote
                    self._expired(packet.first)

        self._scheduler.after(self._timeout_ns, expire)
        return packet

    def _forget(self, key: _Key) -> None:
        packet = self._packets.pop(key, None)
        if packet is not None:
            self.held_bytes -= packet.held_bytes

    def _bound(self, newest: _Key) -> None:
        """Forget the oldest packets while there is too much of them."""
        while self.held_bytes > HELD_BYTES_MAX or len(self._packets) > HELD_MAX:
            oldest = next(iter(self._packets))
            self._forget(oldest)
            if oldest == newest:
                return


def _joined(first: OpaqueFrame, payload: bytes) -> OpaqueFrame:
    size = ETHERNET_BYTES + ip_header_bytes(first.target) + len(payload)
    whole = OpaqueFrame(first.protocol, first.source, first.target, size, first.ttl, payload, 0, False)
    whole.source_mac, whole.target_mac = first.source_mac, first.target_mac
    whole.identification = first.identification
    whole.traffic_class, whole.flow_label, whole.options = first.traffic_class, first.flow_label, first.options
    return whole
