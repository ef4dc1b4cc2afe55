"""Classic pcap files, read as their bytes come, of either byte order, with microseconds or nanoseconds.

Also which of the two formats a file has. Source: draft-ietf-opsawg-pcap.
"""

from __future__ import annotations

import struct
from typing import Final

from portside.errors import MalformedMessage
from portside.wire.captured import CapturedPacket, Interface, Item
from portside.wire.malformed import Truncated
from portside.wire.pcapng import SECTION_HEADER
from portside.wire.pcapng_reading import PcapngReader

HEADER_BYTES: Final = 24
RECORD_BYTES: Final = 16
PACKET_BYTES_MAX: Final = 16 << 20  # far above what any of the programs writes: 262,144
MAGIC_BYTES: Final = 4

_MICROSECONDS: Final = 0xA1B2_C3D4
_NANOSECONDS: Final = 0xA1B2_3C4D
_NS_PER_S: Final = 1_000_000_000


class PcapReader:
    """Takes the bytes of a file in pieces, and returns what is whole of it: one interface, and packets.

    Raises: MalformedMessage for what is no pcap; nothing more can be read then.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._record: struct.Struct | None = None
        self._unit_ns = 0
        self._interface = Interface()

    def feed(self, data: bytes) -> list[Item]:
        """Return what is whole now: the interface once, and packets."""
        self._data += data
        items: list[Item] = []
        at = 0
        if self._record is None:
            if len(self._data) < HEADER_BYTES:
                return []
            self._record = self._begin(bytes(self._data[:HEADER_BYTES]))
            items.append(self._interface)
            at = HEADER_BYTES
        while len(self._data) - at >= RECORD_BYTES:
            seconds, units, size, length = self._record.unpack_from(self._data, at)
            if size > PACKET_BYTES_MAX:
                raise MalformedMessage(f"pcap: a packet cannot have {size} bytes")
            end = at + RECORD_BYTES + size
            if end > len(self._data):
                break
            time_ns = seconds * _NS_PER_S + units * self._unit_ns
            packet = bytes(self._data[at + RECORD_BYTES : end])
            items.append(CapturedPacket(self._interface, time_ns, packet, length))
            at = end
        del self._data[:at]
        return items

    def finish(self) -> None:
        """The file is at its end. Raises: Truncated when that is in the middle of a packet."""
        if self._record is None:
            raise Truncated("pcap, the header", len(self._data), HEADER_BYTES)
        if self._data:
            size = self._record.unpack_from(self._data)[2] if len(self._data) >= RECORD_BYTES else 0
            raise Truncated("pcap, the last packet", len(self._data), RECORD_BYTES + size)

    def _begin(self, header: bytes) -> struct.Struct:
        order, self._unit_ns = _order_and_unit(header[:MAGIC_BYTES])
        snap_bytes, link_type = struct.unpack_from(f"{order}II", header, 16)
        self._interface = Interface(link_type=link_type & 0xFFFF, snap_bytes=snap_bytes)  # above: about check sequences
        return struct.Struct(f"{order}IIII")


def _order_and_unit(magic: bytes) -> tuple[str, int]:
    for order in "<>":
        for number, unit_ns in ((_MICROSECONDS, 1_000), (_NANOSECONDS, 1)):
            if magic == struct.pack(f"{order}I", number):
                return order, unit_ns
    raise MalformedMessage(f"pcap: a file cannot begin with {magic.hex()}")


def reader_for(magic: bytes) -> PcapReader | PcapngReader:
    """Return a reader for a file that begins with these four bytes. Raises: MalformedMessage when it is no capture."""
    if magic == SECTION_HEADER.to_bytes(4, "big"):
        return PcapngReader()
    try:
        _order_and_unit(magic)
    except MalformedMessage:
        raise MalformedMessage("this is neither pcapng nor pcap") from None
    return PcapReader()
