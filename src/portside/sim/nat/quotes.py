"""Packets that ICMP errors quote, translated as well: RFC 5508 section 4, with checksums mended by RFC 1624."""

from __future__ import annotations

from typing import Final

from portside.sim.addresses import MAPPED
from portside.sim.seams import End
from portside.wire.checksum import WORD_MAX
from portside.wire.numbers import ICMP, TCP, UDP

SOURCE_AT: Final = 12  # in IPv4's header: RFC 791 section 3.1
TARGET_AT: Final = 16
IP_CHECKSUM_AT: Final = 10
PORT_AT: Final = {TCP: (0, 2), UDP: (0, 2), ICMP: (4, 4)}  # of the source's and of the target's port, or the identifier
CHECKSUM_AT: Final = {TCP: 16, UDP: 6, ICMP: 2}


def retold(original: bytes, protocol: int, end: End, *, is_source: bool) -> bytes:
    """Return a quoted packet of IPv4 with another end in its source's place, or its target's."""
    data = bytearray(original)
    address = (end[0] - MAPPED).to_bytes(4)
    address_at = SOURCE_AT if is_source else TARGET_AT
    header = 4 * (data[0] & 0xF)
    port_at = header + PORT_AT[protocol][0 if is_source else 1]
    checksum_at = header + CHECKSUM_AT[protocol]
    before = bytes(data[address_at : address_at + 4]), bytes(data[port_at : port_at + 2])
    data[address_at : address_at + 4] = address
    _mend(data, IP_CHECKSUM_AT, before[0], address)
    if len(data) < port_at + 2:
        return bytes(data)
    port = end[1].to_bytes(2)
    data[port_at : port_at + 2] = port
    if len(data) >= checksum_at + 2 and not (protocol == UDP and not any(data[checksum_at : checksum_at + 2])):
        # The pseudo header, which ICMP has not, holds the address too.
        changed = (before[1], port) if protocol == ICMP else (before[0] + before[1], address + port)
        _mend(data, checksum_at, *changed)
    return bytes(data)


def _mend(data: bytearray, at: int, before: bytes, after: bytes) -> None:
    """Change a checksum by what has changed: HC' = ~(~HC + ~m + m'), RFC 1624 section 3, equation 3."""
    old = int.from_bytes(data[at : at + 2])
    total = (old ^ WORD_MAX) + _sum(after) - _sum(before)
    data[at : at + 2] = ((total % WORD_MAX) ^ WORD_MAX).to_bytes(2)


def _sum(words: bytes) -> int:
    return sum(int.from_bytes(words[at : at + 2]) for at in range(0, len(words), 2))
