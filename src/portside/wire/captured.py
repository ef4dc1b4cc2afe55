"""What capture files tell, whichever their format: interfaces, packets with their moments, names, secrets, counts.

Times are nanoseconds since 1970. Link types are those of the tcpdump group's list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from portside.address import IPAddress

NULL: Final = 0  # four bytes of address family before the packet, in the order of the machine that captured
ETHERNET: Final = 1
RAW_12, RAW_14, RAW = 12, 14, 101  # IPv4 or IPv6 as the first four bits say; three numbers, by system
LOOP: Final = 108  # as NULL, in network order
LINUX_SLL: Final = 113
IPV4: Final = 228
IPV6: Final = 229
LINUX_SLL2: Final = 276

_LINK_NAMES: Final = {
    NULL: "BSD loopback",
    ETHERNET: "Ethernet",
    RAW_12: "raw IP",
    RAW_14: "raw IP",
    RAW: "raw IP",
    105: "Wi-Fi",
    LOOP: "OpenBSD loopback",
    LINUX_SLL: "Linux cooked",
    127: "Wi-Fi with radiotap",
    IPV4: "raw IPv4",
    IPV6: "raw IPv6",
    LINUX_SLL2: "Linux cooked 2",
}


def link_name(number: int) -> str:
    """Return the word for a link type, ``link type 147`` for one without."""
    return _LINK_NAMES.get(number, f"link type {number}")


Direction: TypeAlias = Literal["in", "out"]
Reception: TypeAlias = Literal["unicast", "multicast", "broadcast", "promiscuous"]


@dataclass(frozen=True, slots=True)
class Section:
    """Who captured: the part of a file that everything up to the next one belongs to."""

    hardware: str = ""
    system: str = ""
    application: str = ""
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were captured. ``snap_bytes``: no more was kept of each, 0 for no limit."""

    name: str = ""
    link_type: int = ETHERNET
    snap_bytes: int = 0
    description: str = ""
    filter: str = ""
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """One packet: the bytes that were kept, and how many it had. ``time_ns`` is None where the file does not tell."""

    interface: Interface
    time_ns: int | None
    data: bytes = field(repr=False)
    length_bytes: int
    direction: Direction | None = None
    reception: Reception | None = None
    comments: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return len(self.data) >= self.length_bytes


@dataclass(frozen=True, slots=True)
class Names:
    """Names of addresses, as they were resolved when the file was written."""

    names: tuple[tuple[IPAddress, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What decrypts packets of the file; ``kind`` says how to read it."""

    kind: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What an interface counted up to a moment; None for what is not told."""

    interface: Interface
    time_ns: int
    received: int | None = None
    dropped: int | None = None
    dropped_by_system: int | None = None


Item: TypeAlias = Section | Interface | CapturedPacket | Names | Secrets | Statistics
