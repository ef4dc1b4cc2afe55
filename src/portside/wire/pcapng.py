"""pcapng files, written block by block: whoever stops in between leaves a file that can be read up to there.

Everything is little-endian, times are in nanoseconds: the same packets make the same bytes on every machine.

Source: draft-ietf-opsawg-pcapng; the comments have its section names.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Final

from portside.address import IPAddress
from portside.wire.captured import Direction, Interface, Reception, Section
from portside.wire.malformed import packed

SECTION_HEADER: Final = 0x0A0D_0D0A
INTERFACE_DESCRIPTION: Final = 1
OLD_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
NAME_RESOLUTION: Final = 4
INTERFACE_STATISTICS: Final = 5
ENHANCED_PACKET: Final = 6
DECRYPTION_SECRETS: Final = 10

BYTE_ORDER_MAGIC: Final = 0x1A2B_3C4D
TLS_KEY_LOG: Final = 0x544C_534B  # "TLSK": lines as NSS and SSLKEYLOGFILE have them

# Options: these for all blocks, the others counted for each kind of block.
COMMENT: Final = 1
SECTION_HARDWARE, SECTION_SYSTEM, SECTION_APPLICATION = 2, 3, 4
INTERFACE_NAME, INTERFACE_TEXT, INTERFACE_RESOLUTION, INTERFACE_FILTER, INTERFACE_TIME_OFFSET = 2, 3, 9, 11, 14
PACKET_FLAGS: Final = 2
STATISTICS_RECEIVED, STATISTICS_DROPPED, STATISTICS_SYSTEM_DROPPED = 4, 5, 7
OPTION_BYTES_MAX: Final = 65_535

IPV4_NAMES, IPV6_NAMES = 1, 2

DIRECTIONS: Final[tuple[Direction | None, ...]] = (None, "in", "out", None)
RECEPTIONS: Final[tuple[Reception | None, ...]] = (None, "unicast", "multicast", "broadcast", "promiscuous")

_NANOSECONDS: Final = b"\x09"  # the power of ten
_BLOCK: Final = struct.Struct("<II")
_LENGTH: Final = struct.Struct("<I")
_SECTION: Final = struct.Struct("<IHHq")  # byte order, version 1.0, length: -1 for one that is not known
_INTERFACE: Final = struct.Struct("<HxxI")
_PACKET: Final = struct.Struct("<IIIIIII")  # type, length, interface, time in two halves, bytes kept, bytes there were
_STATISTICS: Final = struct.Struct("<III")
_OPTION: Final = struct.Struct("<HH")
_SECRETS: Final = struct.Struct("<II")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")


class PcapngWriter:
    """Writes one section. ``write`` is called once with each whole block, the section's header first; it may be another
    one from some block on.

    Everything raises ValueError for what does not fit its field.
    """

    def __init__(self, write: Callable[[bytes], object], section: Section | None = None) -> None:
        self.write = write
        self._interfaces = 0
        write(build_section(section or Section()))

    def add_interface(self, interface: Interface) -> int:
        """Write the interface, and return its number within the section, for its packets."""
        self.write(build_interface(interface))
        self._interfaces += 1
        return self._interfaces - 1

    def packet(
        self,
        interface: int,
        time_ns: int,
        data: bytes,
        *,
        length_bytes: int | None = None,
        direction: Direction | None = None,
        reception: Reception | None = None,
        comments: Iterable[str] = (),
    ) -> None:
        """Write a packet of the interface with that number: the arguments are as in ``CapturedPacket``."""
        if not 0 <= interface < self._interfaces:
            raise ValueError(f"pcapng: there are {self._interfaces} interfaces, none has the number {interface}")
        options = _flags(direction, reception) if not comments else _packet_options(direction, reception, comments)
        self.write(build_packet(interface, time_ns, data, length_bytes, options))

    def packets_of(self, interface: int, direction: Direction) -> Callable[[int, bytes], None]:
        """Return what writes whole packets of an interface in one direction, by time and data: for who has many."""
        flags = _flags(direction, None)

        def put(time_ns: int, data: bytes) -> None:
            self.write(build_packet(interface, time_ns, data, None, flags))

        return put

    def names(self, names: Mapping[IPAddress, Iterable[str]]) -> None:
        """Write the names of addresses."""
        self.write(build_names(names))

    def secrets(self, key_log: bytes, kind: int = TLS_KEY_LOG) -> None:
        """Write what decrypts the packets that follow: it must stand before them."""
        data = packed(_SECRETS, "pcapng secrets", kind, len(key_log)) + key_log
        self.write(_block(DECRYPTION_SECRETS, _padded(data)))

    def statistics(
        self, interface: int, time_ns: int, *, received: int | None = None, dropped_by_system: int | None = None
    ) -> None:
        """Write how many packets have come to the interface, and how many of them the system had to drop."""
        counts = ((STATISTICS_RECEIVED, received), (STATISTICS_SYSTEM_DROPPED, dropped_by_system))
        options = [(code, count.to_bytes(8, "little")) for code, count in counts if count is not None]
        head = packed(_STATISTICS, "pcapng statistics", interface, time_ns >> 32, time_ns & 0xFFFF_FFFF)
        self.write(_block(INTERFACE_STATISTICS, head + _options(options)))


def build_section(section: Section) -> bytes:
    """Return a Section Header Block."""
    texts = (
        (SECTION_HARDWARE, section.hardware),
        (SECTION_SYSTEM, section.system),
        (SECTION_APPLICATION, section.application),
    )
    options = [*_comments(section.comments), *((code, text.encode()) for code, text in texts if text)]
    return _block(SECTION_HEADER, _SECTION.pack(BYTE_ORDER_MAGIC, 1, 0, -1) + _options(options))


def build_interface(interface: Interface) -> bytes:
    """Return an Interface Description Block, with times in nanoseconds."""
    texts = ((INTERFACE_NAME, interface.name), (INTERFACE_TEXT, interface.description))
    options = [*_comments(interface.comments), *((code, text.encode()) for code, text in texts if text)]
    options.append((INTERFACE_RESOLUTION, _NANOSECONDS))
    if interface.filter:
        options.append((INTERFACE_FILTER, b"\0" + interface.filter.encode()))  # 0: a filter in words
    head = packed(_INTERFACE, "pcapng interface", interface.link_type, interface.snap_bytes)
    return _block(INTERFACE_DESCRIPTION, head + _options(options))


def build_packet(
    interface: int, time_ns: int, data: bytes, length_bytes: int | None = None, options: bytes = b""
) -> bytes:
    """Return an Enhanced Packet Block; ``length_bytes`` is what the packet had, None if it is whole."""
    size = len(data)
    padding = _PADDING[size & 0b11]
    total = _PACKET.size + size + len(padding) + len(options) + _LENGTH.size
    length = size if length_bytes is None else length_bytes
    high, low = time_ns >> 32, time_ns & 0xFFFF_FFFF
    head = packed(_PACKET, "pcapng packet", ENHANCED_PACKET, total, interface, high, low, size, length)
    return b"".join((head, data, padding, options, head[4:8]))  # the length once more


def build_names(names: Mapping[IPAddress, Iterable[str]]) -> bytes:
    """Return a Name Resolution Block."""
    records = []
    for ip, each in names.items():
        data = ip.packed + b"".join(name.encode() + b"\0" for name in each)
        records.append(_option(IPV4_NAMES if ip.version == 4 else IPV6_NAMES, data))
    return _block(NAME_RESOLUTION, b"".join(records) + bytes(4))


@cache
def _flags(direction: Direction | None, reception: Reception | None) -> bytes:
    return _packet_options(direction, reception, ())


def _packet_options(direction: Direction | None, reception: Reception | None, comments: Iterable[str]) -> bytes:
    options = _comments(comments)
    flags = (DIRECTIONS.index(direction) if direction else 0) | RECEPTIONS.index(reception) << 2
    if flags:
        options.append((PACKET_FLAGS, flags.to_bytes(4, "little")))
    return _options(options)


def _comments(comments: Iterable[str]) -> list[tuple[int, bytes]]:
    return [(COMMENT, comment.encode("utf-8", "backslashreplace")) for comment in comments]


def _options(options: Iterable[tuple[int, bytes]]) -> bytes:
    data = b"".join(_option(code, value) for code, value in options)
    return data + bytes(4) if data else b""  # the end of the options


def _option(code: int, value: bytes) -> bytes:
    if len(value) > OPTION_BYTES_MAX:
        raise ValueError(f"pcapng: an option of {len(value)} bytes has more than {OPTION_BYTES_MAX}")
    return _OPTION.pack(code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + _PADDING[len(data) & 0b11]


def _block(kind: int, body: bytes) -> bytes:
    total = _BLOCK.size + len(body) + _LENGTH.size
    return packed(_BLOCK, "pcapng block", kind, total) + body + _LENGTH.pack(total)
