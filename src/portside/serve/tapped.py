"""What a worker tells of connections that somebody captures: one record after the other over a stream of their own.

Shape:  kind (1), flow (4), time (8), size (4), all in network order, then as many bytes as the size says. A flow is one
        connection, or one question with its answers, by a number of the worker's. Before all records stands the token
        by which whoever asked for them knows that they are the workers'.
Units:  times are nanoseconds since 1970.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import msgspec

from portside.errors import MalformedMessage

TOKEN_BYTES: Final = 32  # as hexadecimal digits
SIZE_BYTES_MAX: Final = 1 << 24

_HEAD: Final = struct.Struct("!BIqI")
_LOST: Final = struct.Struct("!Q")


class Kind(IntEnum):
    """What a record tells."""

    OPENED = 0  # a flow begins: a ``Flow`` as JSON
    IN = 1  # bytes, or a datagram, that came …
    OUT = 2  # … and that were sent
    IN_ENDED = 3
    OUT_ENDED = 4
    IN_RESET = 5
    OUT_RESET = 6
    IN_LOST = 7  # how many bytes are missing here, because whoever listens was too slow: a number of eight bytes
    OUT_LOST = 8
    READY = 9  # from here on nothing is missed, of no flow; a process that forks others for its flows says no more


class Flow(msgspec.Struct, frozen=True):
    """Between whom a flow is. ``has_stood``: it was there before anybody listened. ``of`` is whose companion it is."""

    id: str
    service: str
    local: dict[str, str | int]
    peer: dict[str, str | int]
    has_stood: bool = False
    is_datagram: bool = False
    tls: str | None = None
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One record; ``flow`` is the worker's number."""

    kind: Kind
    flow: int
    at_ns: int
    data: bytes = field(default=b"", repr=False)

    @property
    def lost_bytes(self) -> int:
        """How many bytes an IN_LOST or OUT_LOST tells of. Raises: MalformedMessage."""
        if len(self.data) != _LOST.size:
            raise MalformedMessage("capture: a record of lost bytes without their number")
        return int(_LOST.unpack(self.data)[0])

    @property
    def opened(self) -> Flow:
        """What an OPENED tells. Raises: MalformedMessage."""
        try:
            return msgspec.json.decode(self.data, type=Flow)
        except msgspec.MsgspecError as error:
            raise MalformedMessage(f"capture: a flow between nobody: {error}") from error


def build_record(kind: Kind, flow: int, at_ns: int, data: bytes = b"") -> bytes:
    """Return the bytes of a record."""
    return _HEAD.pack(kind, flow, at_ns, len(data)) + data


def build_opened(number: int, at_ns: int, flow: Flow) -> bytes:
    """Return the record that a flow begins with."""
    return build_record(Kind.OPENED, number, at_ns, msgspec.json.encode(flow))


def build_lost(kind: Kind, flow: int, at_ns: int, lost_bytes: int) -> bytes:
    """Return a record of lost bytes."""
    return build_record(kind, flow, at_ns, _LOST.pack(lost_bytes))


class RecordReader:
    """Takes the stream as it comes, the token's bytes not included."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Record]:
        """Yield the records that are whole by now. Raises: MalformedMessage."""
        self._held += data
        at, held = 0, self._held
        try:
            while len(held) - at >= _HEAD.size:
                kind, flow, at_ns, size = _HEAD.unpack_from(held, at)
                if kind > max(Kind) or size > SIZE_BYTES_MAX:
                    raise MalformedMessage(f"capture: no record of kind {kind} with {size} bytes")
                end = at + _HEAD.size + size
                if len(held) < end:
                    break
                yield Record(Kind(kind), flow, at_ns, bytes(held[at + _HEAD.size : end]))
                at = end
        finally:
            del held[:at]
