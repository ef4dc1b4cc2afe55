"""IPv6 packets: the header of forty bytes, and the chain of extension headers behind it.

Source: RFC 8200; RFC 6437 for the flow label, RFC 2675 for payloads beyond 65,535 bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final

from portside.errors import MalformedMessage
from portside.wire.ipv6_extensions import (
    EXTENSIONS,
    Extension,
    FoundExtension,
    Fragment,
    HopByHop,
    build_extension,
    number_of,
    parse_extension,
)
from portside.wire.malformed import Bytes, packed, require
from portside.wire.numbers import HOP_BY_HOP

_LAYOUT: Final = struct.Struct("!IHBB16s16s")  # version, class and flow; payload length, next header, hop limit
HEADER_BYTES: Final = _LAYOUT.size
PAYLOAD_BYTES_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class IPv6Packet:
    """One packet. ``protocol`` is what the last extension says comes next, or the header itself without any.

    ``payload`` is what follows the extensions; of a fragment that is not the first, a piece of what does.
    """

    source: IPv6Address
    target: IPv6Address
    protocol: int
    payload: bytes = field(default=b"", repr=False)
    hop_limit: int = 64
    traffic_class: int = 0
    flow_label: int = 0
    extensions: tuple[Extension, ...] = ()

    @property
    def fragment(self) -> Fragment | None:
        """The fragment header, where there is one."""
        return next((found for found in self.extensions if isinstance(found, Fragment)), None)

    @property
    def is_fragment(self) -> bool:
        found = self.fragment
        return found is not None and (found.more or found.offset > 0)


def parse_ipv6(data: Bytes, *, whole: bool = True) -> IPv6Packet:
    """Return the packet at the start of the bytes; what is behind its length is padding of the frame.

    With ``whole`` False a payload shorter than the length says is taken as it is (see ``parse_ipv4``).

    Raises: Truncated; MalformedMessage for another version, or an extension that does not fit.
    """
    head, found = parse_ipv6_headers(data, whole=whole)
    if not found:
        return head
    end = sum(each.size_bytes for each in found)
    return IPv6Packet(
        head.source,
        head.target,
        found[-1].next_header,
        head.payload[end:],
        head.hop_limit,
        head.traffic_class,
        head.flow_label,
        tuple(each.extension for each in found),
    )


def parse_ipv6_headers(data: Bytes, *, whole: bool = True) -> tuple[IPv6Packet, list[FoundExtension]]:
    """Return the packet as if extensions were payload, and the extensions found there with their sizes.

    Raises: as ``parse_ipv6``.
    """
    require(data, HEADER_BYTES, "IPv6 header")
    word, length, protocol, hop_limit, source, target = _LAYOUT.unpack_from(data)
    if word >> 28 != 6:
        raise MalformedMessage(f"IPv6: the version is {word >> 28}")
    end = HEADER_BYTES + length
    if length == 0 and (protocol == HOP_BY_HOP or not whole):
        end = len(data)  # a jumbogram; or Linux left it to its hardware to cut up
    if whole:
        require(data, end, "IPv6")
    payload = bytes(data[HEADER_BYTES:end])
    traffic_class, flow_label = word >> 20 & 0xFF, word & 0xF_FFFF
    found = _parse_extensions(protocol, payload)
    if length == 0 and protocol == HOP_BY_HOP:
        payload = payload[: _jumbo_bytes(found, payload, whole)]
    head = IPv6Packet(IPv6Address(source), IPv6Address(target), protocol, payload, hop_limit, traffic_class, flow_label)
    return head, found


def _parse_extensions(protocol: int, payload: bytes) -> list[FoundExtension]:
    found: list[FoundExtension] = []
    at, view = 0, memoryview(payload)  # there can be thousands of them, and each slice of bytes would be a copy
    while protocol in EXTENSIONS:
        each = parse_extension(protocol, view[at:])
        found.append(each)
        at += each.size_bytes
        protocol = each.next_header
        if isinstance(each.extension, Fragment) and each.extension.offset:
            break  # what follows is the middle of something
    return found


def _jumbo_bytes(found: list[FoundExtension], payload: bytes, whole: bool) -> int:
    """Return how long the payload of a packet is that says 0. RFC 2675 section 3."""
    first = found[0].extension if found else None
    said = first.jumbo_bytes if isinstance(first, HopByHop) else None
    if said is None or said < sum(each.size_bytes for each in found):
        raise MalformedMessage("IPv6: the payload has 0 bytes, and yet extension headers")
    if whole:
        require(payload, said, "IPv6 jumbogram")
    return said


def build_ipv6(packet: IPv6Packet) -> bytes:
    """Return the bytes of the packet with its extensions. Raises: ValueError for what does not fit its field."""
    parts = [packet.payload]
    protocol = packet.protocol
    for extension in reversed(packet.extensions):
        parts.append(build_extension(extension, protocol))
        protocol = number_of(extension)
    payload = b"".join(reversed(parts))
    if not (0 <= packet.traffic_class < 1 << 8 and 0 <= packet.flow_label < 1 << 20):
        raise ValueError(
            f"IPv6: class {packet.traffic_class} or flow {packet.flow_label} does not fit in 8 and 20 bits"
        )
    word = 6 << 28 | packet.traffic_class << 20 | packet.flow_label
    first = packet.extensions[0] if packet.extensions else None
    is_jumbo = isinstance(first, HopByHop) and first.jumbo_bytes == len(payload) > PAYLOAD_BYTES_MAX
    length = 0 if is_jumbo else len(payload)
    addresses = (packet.source.packed, packet.target.packed)
    return packed(_LAYOUT, "IPv6", word, length, protocol, packet.hop_limit, *addresses) + payload
