"""Packets as they pass by on an interface: a ring of memory that the kernel fills and we empty, block by block.

Nothing is copied between kernel and program but the bytes that are kept, and no system call is made for each packet:
a tenth of the time that receiving them one by one takes. Interfaces are not switched to promiscuous mode.

Source: packet(7); linux/if_packet.h and Documentation/networking/packet_mmap.rst for version 3 of the ring.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from portside.errors import NotPermitted
from portside.net.sockets import Socket, open_packets, pending_error, translate

BLOCK_BYTES: Final = 1 << 18  # no packet of a usual link is longer; of one that is, this much is kept
BLOCKS: Final = 128  # 32 MiB in all
RETIRE_MS: Final = 40  # a block with anything in it is handed over after this time: what a packet waits at most

_ALL_PROTOCOLS: Final = 0x0003  # ETH_P_ALL
_SOL_SOCKET: Final = 1
_SO_ATTACH_FILTER: Final = 26
_SOL_PACKET: Final = 263
_PACKET_RX_RING: Final = 5
_PACKET_STATISTICS: Final = 6
_PACKET_VERSION: Final = 10
_TPACKET_V3: Final = 2
_FRAME_BYTES: Final = 2_048  # must be named, and means nothing to version 3

_REQUEST: Final = struct.Struct("=IIIIIII")  # struct tpacket_req3
_STATISTICS: Final = struct.Struct("=III")  # struct tpacket_stats_v3: packets, drops, times the ring was full
_STATUS_OFFSET: Final = 8
_BLOCK: Final = struct.Struct("=II")  # how many packets, and where the first is; behind the status
# struct tpacket3_hdr: offset of the next, seconds, nanoseconds, bytes kept, bytes there were, status, offsets of the
# link's and the network's header, VLAN tag and its type. Then struct sockaddr_ll: protocol in network order, interface,
# hardware, packet type, length of the address, address.
_PACKET: Final = struct.Struct("=IIIIIIHH4xIH10x2x2sIHBB8s")
_READY: Final = 1  # TP_STATUS_USER: the block is ours
_VLAN_VALID: Final = 1 << 4
_VLAN_TYPE_VALID: Final = 1 << 6
_VLAN: Final = 0x8100
_NS_PER_S: Final = 1_000_000_000


class PassingPacket(NamedTuple):
    """One packet, from its link's header on; a named tuple, since a frozen dataclass takes five times as long to make.

    ``packet_type`` (0 to us, 1 broadcast, 2 multicast, 3 to others, 4 from us) and ``hardware`` are the kernel's
    numbers of linux/if_packet.h and net/if_arp.h, ``protocol`` an EtherType. ``link_bytes`` is how long the link's
    header is, ``address`` the sender's on the link.
    """

    interface: int
    time_ns: int
    data: bytes
    length_bytes: int
    packet_type: int
    hardware: int
    protocol: int
    link_bytes: int
    address: bytes


class PacketSocket:
    """Takes the packets of one interface, or of all (None), that a BPF program keeps.

    Packets from before the program was in its place are not among them. Not for several threads.
    """

    def __init__(self, interface: str | None, program: bytes, *, blocks: int = BLOCKS) -> None:
        """Raises: NotPermitted, which names the capability; LocalError for an interface that is not there."""
        self._socket = _open(interface is None)
        try:
            _attach(self._socket, program)
            self._ring = _make_ring(self._socket, blocks)
            if interface is not None:
                self._socket.bind((interface, _ALL_PROTOCOLS))
        except OSError as error:
            self._socket.close()
            raise translate(error, f"capturing on {interface or 'all interfaces'}") from error
        self._blocks = blocks
        self._next = 0
        self._received = self._dropped = 0

    def fileno(self) -> int:
        """Return what to poll: it is readable when ``read`` has something."""
        return self._socket.fileno()

    def read(self) -> list[PassingPacket]:
        """Return the packets of the next block that the kernel has handed over; none when there is no such block.

        Raises: NetworkError when the interface went down; LocalError.
        """
        start = self._next * BLOCK_BYTES
        (status,) = struct.unpack_from("=I", self._ring, start + _STATUS_OFFSET)
        if not status & _READY:
            error = pending_error(self._socket)
            if error is not None:
                raise translate(error, "the interface")
            return []
        packets = list(_packets_in(self._ring, start))
        struct.pack_into("=I", self._ring, start + _STATUS_OFFSET, 0)  # the kernel's again
        self._next = (self._next + 1) % self._blocks
        return packets

    def statistics(self) -> tuple[int, int]:
        """Return how many packets have passed the program so far, and how many of them found the ring full."""
        # The kernel counts from zero again after each answer, and counts the dropped among all.
        raw = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        received, dropped, _ = _STATISTICS.unpack(raw)
        self._received += received
        self._dropped += dropped
        return self._received, self._dropped

    def close(self) -> None:
        self._ring.close()
        self._socket.close()


def _open(is_for_all: bool) -> Socket:
    # A socket for all interfaces cannot be bound to them later; what comes before its program is there is thrown away
    # when the ring is made.
    try:
        return open_packets(_ALL_PROTOCOLS if is_for_all else 0)
    except NotPermitted as error:
        raise NotPermitted("capturing packets needs the capability CAP_NET_RAW: run it as root") from error


def _attach(sock: Socket, program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions, and where; the kernel copies them.
    sock.setsockopt(_SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(code)))


def _make_ring(sock: Socket, blocks: int) -> mmap.mmap:
    sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
    frames = BLOCK_BYTES // _FRAME_BYTES * blocks
    sock.setsockopt(
        _SOL_PACKET, _PACKET_RX_RING, _REQUEST.pack(BLOCK_BYTES, blocks, _FRAME_BYTES, frames, RETIRE_MS, 0, 0)
    )
    return mmap.mmap(sock.fileno(), BLOCK_BYTES * blocks)


def _packets_in(ring: mmap.mmap, start: int) -> Iterator[PassingPacket]:
    count, at = _BLOCK.unpack_from(ring, start + _STATUS_OFFSET + 4)
    at += start
    for _ in range(count):
        (
            following,
            seconds,
            nanoseconds,
            kept,
            length,
            status,
            link_offset,
            network_offset,
            tag,
            tag_type,
            protocol,
            interface,
            hardware,
            packet_type,
            address_bytes,
            address,
        ) = _PACKET.unpack_from(ring, at)
        data = ring[at + link_offset : at + link_offset + kept]
        link_bytes = network_offset - link_offset
        if status & _VLAN_VALID:
            data = _with_tag(data, tag, tag_type if status & _VLAN_TYPE_VALID else _VLAN)
            length, link_bytes = length + 4, link_bytes + 4
        yield PassingPacket(
            interface,
            seconds * _NS_PER_S + nanoseconds,
            data,
            length,
            packet_type,
            hardware,
            int.from_bytes(protocol, "big"),
            link_bytes,
            address[:address_bytes],
        )
        at += following


def _with_tag(frame: bytes, tag: int, tag_type: int) -> bytes:
    """Return the Ethernet frame with the tag that the kernel had taken out, where it had been: behind the addresses."""
    return b"".join([frame[:12], tag_type.to_bytes(2, "big"), tag.to_bytes(2, "big"), frame[12:]])
