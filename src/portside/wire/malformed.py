"""How bytes can fail to be what their format says: fewer than they promise, or changed on the way.

Every ``parse_`` of packets raises ``Truncated``, ``BadChecksum`` or their common parent ``MalformedMessage``, and
nothing else, whatever the bytes are. Every ``build_`` raises ``ValueError`` for a number that does not fit its field.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

from portside.errors import MalformedMessage

Bytes: TypeAlias = bytes | memoryview


class Truncated(MalformedMessage):
    """Fewer bytes came than the format's header has, or than a length in it says."""

    def __init__(self, what: str, got_bytes: int, expected_bytes: int) -> None:
        super().__init__(f"{what}: {got_bytes} bytes came of {expected_bytes}")
        self.got_bytes = got_bytes
        self.expected_bytes = expected_bytes


class BadChecksum(MalformedMessage):
    """The checksum does not fit the bytes: one of them was changed, or the sender left the sum to its hardware."""

    def __init__(self, what: str, got: int, expected: int) -> None:
        super().__init__(f"{what}: the checksum is {got:#06x}, the bytes make {expected:#06x}")
        self.got = got
        self.expected = expected


def require(data: Bytes, expected_bytes: int, what: str) -> None:
    """Raise Truncated if there are fewer bytes than that."""
    if len(data) < expected_bytes:
        raise Truncated(what, len(data), expected_bytes)


def packed(layout: struct.Struct, what: str, *numbers: int | bytes) -> bytes:
    """Return the numbers in their fields. Raises: ValueError if one does not fit."""
    try:
        return layout.pack(*numbers)
    except struct.error as error:
        raise ValueError(f"{what}: {numbers} do not fit their fields: {error}") from error
