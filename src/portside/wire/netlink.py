"""Netlink messages: how a program asks the Linux kernel for a listing, and how the answer comes in parts.

Shape:  messages begin with 16 bytes: length with the header (4), type (2), flags (2), sequence number (4), port id (4);
        attributes with 4: length with the header (2), type (2). Both are padded to a multiple of four bytes, and all
        numbers are in host order: nothing here leaves the machine.
Source: netlink(7), linux/netlink.h, RFC 3549 section 2.3.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from portside.errors import LocalError, MalformedMessage

HEADER: Final = struct.Struct("=IHHII")
ATTRIBUTE: Final = struct.Struct("=HH")
_ERROR: Final = struct.Struct("=i")

NLMSG_NOOP: Final = 1
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLMSG_OVERRUN: Final = 4

NLM_F_REQUEST: Final = 0x01
NLM_F_MULTI: Final = 0x02
NLM_F_DUMP_INTR: Final = 0x10  # what is listed changed meanwhile: the parts may not fit together
NLM_F_DUMP: Final = 0x300  # NLM_F_ROOT | NLM_F_MATCH: all entries, not one

NLA_TYPE_MASK: Final = 0x3FFF  # the two high bits are flags: nested, network byte order


class DumpRefused(LocalError):
    """The kernel answers a dump with an error; ``code`` is its errno."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the kernel does not list this: {os.strerror(code)}")
        self.code = code


@dataclass(frozen=True, slots=True)
class NetlinkMessage:
    """One message without its header and padding."""

    type: int
    flags: int
    sequence: int
    port_id: int
    payload: memoryview


def build_message(message_type: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """Return the bytes of one message from us to the kernel, padded."""
    length = HEADER.size + len(payload)
    return HEADER.pack(length, message_type, flags, sequence, 0) + payload + bytes(-length % 4)


def parse_messages(data: bytes | memoryview) -> Iterator[NetlinkMessage]:
    """Yield the messages in what one read gave; the kernel never splits one over two reads.

    Raises: MalformedMessage when a length is less than the header's or reaches past the end.
    """
    view, at = memoryview(data), 0
    while at < len(view):
        if len(view) - at < HEADER.size:
            raise MalformedMessage(f"netlink: {len(view) - at} bytes at the end are no header of {HEADER.size}")
        length, message_type, flags, sequence, port_id = HEADER.unpack_from(view, at)
        if not HEADER.size <= length <= len(view) - at:
            raise MalformedMessage(f"netlink: a message says {length} bytes, {len(view) - at} are there")
        yield NetlinkMessage(message_type, flags, sequence, port_id, view[at + HEADER.size : at + length])
        at += length + -length % 4


def parse_attributes(data: memoryview) -> dict[int, memoryview]:
    """Return the attributes by type, the last of each. Raises: MalformedMessage as ``parse_messages`` does."""
    attributes: dict[int, memoryview] = {}
    at = 0
    while at < len(data):
        if len(data) - at < ATTRIBUTE.size:
            raise MalformedMessage(f"netlink: {len(data) - at} bytes at the end are no attribute")
        length, attribute_type = ATTRIBUTE.unpack_from(data, at)
        if not ATTRIBUTE.size <= length <= len(data) - at:
            raise MalformedMessage(f"netlink: an attribute says {length} bytes, {len(data) - at} are there")
        attributes[attribute_type & NLA_TYPE_MASK] = data[at + ATTRIBUTE.size : at + length]
        at += length + -length % 4
    return attributes


class DumpReader:
    """Gather the answer to a dump request: many messages in many reads, until the kernel says that it is done.

    ``was_interrupted``: the listing changed while it was made, and it is worth asking again (NLM_F_DUMP_INTR).
    """

    def __init__(self, message_type: int, sequence: int) -> None:
        self.payloads: list[memoryview] = []
        self.is_done = False
        self.was_interrupted = False
        self._type = message_type
        self._sequence = sequence

    def feed(self, data: bytes) -> None:
        """Take what one read gave. Raises: MalformedMessage; DumpRefused."""
        for message in parse_messages(data):
            if message.sequence != self._sequence or self.is_done:
                continue  # the end of an answer that an earlier question gave up on
            self.was_interrupted |= bool(message.flags & NLM_F_DUMP_INTR)
            if message.type == self._type:
                self.payloads.append(message.payload)
            elif message.type == NLMSG_DONE:
                self._check(message.payload)
                self.is_done = True
            elif message.type == NLMSG_ERROR:
                self._check(message.payload, required=True)
                self.is_done = True  # an error of 0 is an acknowledgement
            elif message.type == NLMSG_OVERRUN:
                raise DumpRefused(errno.ENOBUFS)
            # Left are NLMSG_NOOP, and whatever is yet to be invented.

    @staticmethod
    def _check(payload: memoryview, *, required: bool = False) -> None:
        if len(payload) >= _ERROR.size:
            (code,) = _ERROR.unpack_from(payload)
            if code < 0:
                raise DumpRefused(-code)
        elif required:
            raise MalformedMessage(f"netlink: an error message has {len(payload)} bytes, its number four")
