"""The Internet checksum: the ones' complement sum of 16-bit words that IP, ICMP, UDP and TCP carry.

Source: RFC 1071; the pseudo headers of addresses RFC 768, RFC 9293 section 3.1 and RFC 8200 section 8.1.
"""

from __future__ import annotations

from typing import Final

from portside.address import IPAddress
from portside.wire.malformed import BadChecksum, Bytes

WORD_MAX: Final = 0xFFFF


def ones_complement_sum(data: Bytes, start: int = 0) -> int:
    """Return the sum of the 16-bit words in network order, an odd byte as the high half of a last word.

    ``start`` is a sum to go on from. The result is 0 only if every word is: 0xFFFF is the other name of zero.
    """
    # Carrying out of 16 bits and adding the carry back is arithmetic modulo 65,535, and so is the remainder of the
    # whole as one number, since 65,536 leaves 1: one division instead of a loop, 3.7 µs for 1,460 bytes.
    number = int.from_bytes(data, "big")
    if len(data) & 1:
        number <<= 8
    total = number + start
    return total % WORD_MAX or (WORD_MAX if total else 0)


def internet_checksum(data: Bytes, start: int = 0) -> int:
    """Return the checksum of the bytes, whose own checksum field is zero: what to put into that field."""
    return ones_complement_sum(data, start) ^ WORD_MAX


def pseudo_header_sum(source: IPAddress, target: IPAddress, protocol: int, length_bytes: int) -> int:
    """Return the sum of the pseudo header: both addresses, the protocol, the length of what the checksum covers.

    The sum is the same for the layouts of IPv4 and IPv6: they differ in where they have zeros.
    """
    total = int(source) + int(target) + protocol + length_bytes
    return total % WORD_MAX or (WORD_MAX if total else 0)


def expected_checksum(data: Bytes, at: int, start: int = 0) -> int:
    """Return what the checksum at offset ``at``, which must be even, should be; what is in its place does not count."""
    return internet_checksum(b"".join([data[:at], bytes(2), data[at + 2 :]]), start)


def verify_checksum(what: str, data: Bytes, at: int, start: int = 0) -> None:
    """Raise BadChecksum unless the bytes, their checksum at offset ``at`` included, sum up to 0xFFFF."""
    if ones_complement_sum(data, start) != WORD_MAX:
        got = int.from_bytes(data[at : at + 2], "big")
        raise BadChecksum(what, got, expected_checksum(data, at, start))
