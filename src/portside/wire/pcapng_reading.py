"""pcapng files, read as their bytes come: blocks of either byte order become what they tell.

Source: draft-ietf-opsawg-pcapng. Blocks of other kinds, which it allows anybody to invent, are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from portside.errors import MalformedMessage
from portside.wire import pcapng
from portside.wire.captured import CapturedPacket, Interface, Item, Names, Secrets, Section, Statistics
from portside.wire.malformed import Truncated

BLOCK_BYTES_MIN: Final = 12
BLOCK_BYTES_MAX: Final = 64 << 20  # secrets and names can be long; no packet is
_NS_PER_S: Final = 1_000_000_000
_MICROSECONDS: Final = 6  # the resolution of an interface that does not say another


@dataclass(frozen=True, slots=True)
class _Clock:
    """How an interface counts time: units a second, and seconds to add."""

    per_s: int = 10**_MICROSECONDS
    offset_s: int = 0

    def to_ns(self, count: int) -> int:
        return count * _NS_PER_S // self.per_s + self.offset_s * _NS_PER_S


class PcapngReader:
    """Takes the bytes of a file in pieces, and returns what is whole of it.

    Raises: MalformedMessage for what is no pcapng, also a block beyond ``BLOCK_BYTES_MAX``; nothing more can be read
    then.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._order = ""  # as struct writes it, once a section has begun
        self._interfaces: list[tuple[Interface, _Clock]] = []
        self._parsers: dict[int, Callable[[bytes], Item | None]] = {
            pcapng.INTERFACE_DESCRIPTION: self._parse_interface,
            pcapng.OLD_PACKET: self._parse_old_packet,
            pcapng.SIMPLE_PACKET: self._parse_simple_packet,
            pcapng.NAME_RESOLUTION: self._parse_names,
            pcapng.INTERFACE_STATISTICS: self._parse_statistics,
            pcapng.ENHANCED_PACKET: self._parse_packet,
            pcapng.DECRYPTION_SECRETS: self._parse_secrets,
        }

    def feed(self, data: bytes) -> list[Item]:
        """Return what the blocks tell that are whole now."""
        self._data += data
        items, at = [], 0
        while (size := self._size_of_block(at)) and at + size <= len(self._data):
            block = bytes(self._data[at : at + size])
            at += size
            item = self._parse(block)
            if item is not None:
                items.append(item)
        del self._data[:at]
        return items

    def finish(self) -> None:
        """The file is at its end. Raises: Truncated when that is in the middle of a block."""
        if self._data:
            raise Truncated("pcapng, the last block", len(self._data), self._size_of_block(0) or BLOCK_BYTES_MIN)

    def _size_of_block(self, at: int) -> int:
        """Return how long the block is that begins there, 0 while that is not known."""
        if len(self._data) - at < BLOCK_BYTES_MIN:
            return 0
        kind = int.from_bytes(self._data[at : at + 4], "little")  # a section's is the same in both orders
        if kind == pcapng.SECTION_HEADER:
            self._order = _order_of(bytes(self._data[at + 8 : at + 12]))
        elif not self._order:
            raise MalformedMessage("pcapng: a file begins with a section header, this one does not")
        (size,) = struct.unpack_from(f"{self._order}I", self._data, at + 4)
        if not BLOCK_BYTES_MIN <= size <= BLOCK_BYTES_MAX or size % 4:
            raise MalformedMessage(f"pcapng: a block cannot have {size} bytes")
        return int(size)

    def _unpack(self, layout: str, data: bytes, at: int = 0) -> tuple[int, ...]:
        layout = self._order + layout
        if len(data) < at + struct.calcsize(layout):
            raise Truncated("pcapng, a block", len(data), at + struct.calcsize(layout))
        return struct.unpack_from(layout, data, at)

    def _parse(self, block: bytes) -> Item | None:
        kind, size = self._unpack("II", block)
        if self._unpack("I", block, size - 4) != (size,):
            raise MalformedMessage("pcapng: a block has another length at its end than at its beginning")
        body = block[8:-4]
        if kind == pcapng.SECTION_HEADER:
            return self._begin_section(body)
        parse = self._parsers.get(kind)
        return parse(body) if parse else None

    def _begin_section(self, body: bytes) -> Section:
        _, major, *_ = self._unpack("IHHq", body)
        if major != 1:
            raise MalformedMessage(f"pcapng: version {major} is not known, only 1")
        self._interfaces.clear()
        options = list(self._options(body, 16))
        hardware, system, application = (
            _text(options, code)
            for code in (pcapng.SECTION_HARDWARE, pcapng.SECTION_SYSTEM, pcapng.SECTION_APPLICATION)
        )
        return Section(hardware, system, application, _comments(options))

    def _parse_interface(self, body: bytes) -> Interface:
        link_type, _, snap_bytes = self._unpack("HHI", body)
        options = list(self._options(body, 8))
        filters = [value for code, value in options if code == pcapng.INTERFACE_FILTER and value[:1] == b"\0"]
        interface = Interface(
            _text(options, pcapng.INTERFACE_NAME),
            link_type,
            snap_bytes,
            _text(options, pcapng.INTERFACE_TEXT),
            _decoded(filters[0][1:]) if filters else "",
            _comments(options),
        )
        self._interfaces.append((interface, self._clock(options)))
        return interface

    def _clock(self, options: list[tuple[int, bytes]]) -> _Clock:
        found = dict(options)
        resolution = found.get(pcapng.INTERFACE_RESOLUTION, b"")[:1] or bytes([_MICROSECONDS])
        power = resolution[0] & 0x7F
        offset = int.from_bytes(
            found.get(pcapng.INTERFACE_TIME_OFFSET, b"")[:8], "little" if self._order == "<" else "big", signed=True
        )
        return _Clock(2**power if resolution[0] & 0x80 else 10**power, offset)

    def _interface(self, number: int) -> tuple[Interface, _Clock]:
        if number >= len(self._interfaces):
            raise MalformedMessage(f"pcapng: there is no interface {number} in this section")
        return self._interfaces[number]

    def _parse_packet(self, body: bytes) -> CapturedPacket:
        return self._packet(body, self._unpack("IIIII", body))

    def _parse_old_packet(self, body: bytes) -> CapturedPacket:
        number, _, *rest = self._unpack("HHIIII", body)  # between them, how many were dropped
        return self._packet(body, (number, *rest))

    def _parse_simple_packet(self, body: bytes) -> CapturedPacket:
        (length,) = self._unpack("I", body)
        interface, _ = self._interface(0)
        size = min(length, interface.snap_bytes or length, len(body) - 4)
        return CapturedPacket(interface, None, body[4 : 4 + size], length)

    def _packet(self, body: bytes, head: tuple[int, ...]) -> CapturedPacket:
        number, high, low, size, length = head
        interface, clock = self._interface(number)
        at = 20  # both kinds have as many bytes before the packet's
        if size > len(body) - at:
            raise Truncated("pcapng, a packet", len(body) - at, size)
        options = list(self._options(body, at + size + -size % 4))
        flags = dict(options).get(pcapng.PACKET_FLAGS, b"")
        (bits,) = self._unpack("I", flags) if len(flags) == 4 else (0,)
        reception = bits >> 2 & 0b111
        return CapturedPacket(
            interface,
            clock.to_ns(high << 32 | low),
            body[at : at + size],
            length,
            pcapng.DIRECTIONS[bits & 0b11],
            pcapng.RECEPTIONS[reception] if reception < len(pcapng.RECEPTIONS) else None,
            _comments(options),
        )

    def _parse_names(self, body: bytes) -> Names:
        names = []
        for kind, value in self._options(body, 0):
            size = {pcapng.IPV4_NAMES: 4, pcapng.IPV6_NAMES: 16}.get(kind)
            if size is None:
                continue
            if len(value) < size:
                raise Truncated("pcapng, the names of an address", len(value), size)
            ip = IPv4Address(value[:4]) if size == 4 else IPv6Address(value[:16])
            names.append((ip, tuple(_decoded(name) for name in value[size:].split(b"\0") if name)))
        return Names(tuple(names))

    def _parse_secrets(self, body: bytes) -> Secrets:
        kind, size = self._unpack("II", body)
        if size > len(body) - 8:
            raise Truncated("pcapng, secrets", len(body) - 8, size)
        return Secrets(kind, body[8 : 8 + size])

    def _parse_statistics(self, body: bytes) -> Statistics:
        number, high, low = self._unpack("III", body)
        interface, clock = self._interface(number)
        counts = {code: self._unpack("Q", value)[0] for code, value in self._options(body, 12) if len(value) == 8}
        return Statistics(
            interface,
            clock.to_ns(high << 32 | low),
            counts.get(pcapng.STATISTICS_RECEIVED),
            counts.get(pcapng.STATISTICS_DROPPED),
            counts.get(pcapng.STATISTICS_SYSTEM_DROPPED),
        )

    def _options(self, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield code and value up to the end of the options, or of the block."""
        while at < len(body):
            code, size = self._unpack("HH", body, at)
            at += 4
            if code == 0:
                return
            if size > len(body) - at:
                raise Truncated("pcapng, an option", len(body) - at, size)
            yield code, body[at : at + size]
            at += size + -size % 4


def _order_of(magic: bytes) -> str:
    for order, name in (("<", "little"), (">", "big")):
        if magic == pcapng.BYTE_ORDER_MAGIC.to_bytes(4, name):  # type: ignore[arg-type]
            return order
    raise MalformedMessage(f"pcapng: a section header has {magic.hex()} where 1a2b3c4d tells the byte order")


def _text(options: list[tuple[int, bytes]], wanted: int) -> str:
    return next((_decoded(value) for code, value in options if code == wanted), "")


def _comments(options: list[tuple[int, bytes]]) -> tuple[str, ...]:
    return tuple(_decoded(value) for code, value in options if code == pcapng.COMMENT)


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
