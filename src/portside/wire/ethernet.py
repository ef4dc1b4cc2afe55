"""Ethernet frames, as network cards hand them over: without preamble and check sequence, with tags of virtual LANs.

Source: IEEE 802.3 and 802.1Q; RFC 894 for IP within.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Final

from portside.errors import MalformedAddress
from portside.wire.malformed import Bytes, Truncated, packed, require
from portside.wire.numbers import ETHERTYPE_SERVICE_VLAN, ETHERTYPE_VLAN

HEADER_BYTES: Final = 14
TAG_BYTES: Final = 4
FRAME_BYTES_MIN: Final = 60  # shorter ones are padded on the way out: 64 with the check sequence
ETHERTYPE_MIN: Final = 0x0600  # below it the number is a length, and LLC (IEEE 802.2) follows
_TYPE: Final = struct.Struct("!H")
_TAG: Final = struct.Struct("!HH")
TAGS: Final = frozenset({ETHERTYPE_VLAN, ETHERTYPE_SERVICE_VLAN})


@dataclass(frozen=True, slots=True, order=True)
class MacAddress:
    """The six bytes that name an interface on its link, or a group of them."""

    packed: bytes

    def __post_init__(self) -> None:
        if len(self.packed) != 6:
            raise ValueError(f"an Ethernet address has 6 bytes, not {len(self.packed)}")

    @property
    def is_group(self) -> bool:
        """Whether several listen to it: multicast, and broadcast."""
        return bool(self.packed[0] & 0x01)

    @property
    def is_local(self) -> bool:
        """Whether somebody made it up: it is not one that a maker burnt in."""
        return bool(self.packed[0] & 0x02)

    def __str__(self) -> str:
        return self.packed.hex(":")


BROADCAST: Final = MacAddress(b"\xff" * 6)
NO_MAC: Final = MacAddress(bytes(6))


def parse_mac(text: str) -> MacAddress:
    """Return the address that six pairs of hexadecimal digits write, joined by colons or dashes.

    Raises: MalformedAddress.
    """
    if not re.fullmatch(r"[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(\1[0-9A-Fa-f]{2}){4}", text):
        raise MalformedAddress(text, "it is six pairs of hexadecimal digits, as 02:00:5e:10:00:01", wanted="a MAC")
    return MacAddress(bytes.fromhex(re.sub("[:-]", "", text)))


@dataclass(frozen=True, slots=True)
class VlanTag:
    """One tag: which virtual LAN the frame belongs to (12 bits), its priority (3 bits), whether it may be dropped."""

    vlan: int
    priority: int = 0
    may_drop: bool = False
    type: int = ETHERTYPE_VLAN


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``type`` says what the payload is: an EtherType, or below 0x0600 the payload's length (IEEE 802.2).

    The payload of a received frame may have padding behind it, up to ``FRAME_BYTES_MIN``: what is in it knows its
    own length.
    """

    target: MacAddress
    source: MacAddress
    type: int
    payload: bytes = field(default=b"", repr=False)
    tags: tuple[VlanTag, ...] = ()

    @property
    def header_bytes(self) -> int:
        return HEADER_BYTES + TAG_BYTES * len(self.tags)


def parse_ethernet(data: Bytes) -> Frame:
    """Return the frame.

    Shape:  target (6), source (6), any number of tags (4 each: type, then priority 3 bits, drop 1, VLAN 12), type (2),
            payload.
    Raises: Truncated within the header.
    """
    require(data, HEADER_BYTES, "Ethernet")
    at, tags = 12, []
    while (kind := int.from_bytes(data[at : at + 2], "big")) in TAGS:
        if len(data) < at + TAG_BYTES + 2:
            raise Truncated("Ethernet, VLAN tag", len(data), at + TAG_BYTES + 2)
        word = int.from_bytes(data[at + 2 : at + 4], "big")
        tags.append(VlanTag(word & 0x0FFF, word >> 13, bool(word & 0x1000), kind))
        at += TAG_BYTES
    target, source = MacAddress(bytes(data[:6])), MacAddress(bytes(data[6:12]))
    return Frame(target, source, kind, bytes(data[at + 2 :]), tuple(tags))


def build_ethernet(frame: Frame, *, pad: bool = False) -> bytes:
    """Return the bytes of the frame, with ``pad`` filled up to the 60 that a cable carries at least.

    Raises: ValueError for a number that does not fit, and for a type that would be read as one tag more.
    """
    if frame.type in TAGS:
        raise ValueError(f"Ethernet: the type {frame.type:#06x} begins a VLAN tag")
    head = [frame.target.packed, frame.source.packed, *map(_build_tag, frame.tags)]
    data = b"".join([*head, packed(_TYPE, "Ethernet type", frame.type), frame.payload])
    return data.ljust(FRAME_BYTES_MIN, b"\0") if pad else data


def _build_tag(tag: VlanTag) -> bytes:
    if not (0 <= tag.vlan < 1 << 12 and 0 <= tag.priority < 1 << 3 and tag.type in TAGS):
        raise ValueError(f"no VLAN tag has VLAN {tag.vlan}, priority {tag.priority} and type {tag.type:#06x}")
    return _TAG.pack(tag.type, tag.priority << 13 | tag.may_drop << 12 | tag.vlan)
