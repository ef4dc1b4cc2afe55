"""Capture files: read piece by piece, and written a whole block at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Final

from portside.errors import LocalError, MalformedMessage, UsageError
from portside.wire.captured import CapturedPacket, Interface, Item, Names, Secrets, Section
from portside.wire.pcap import MAGIC_BYTES, reader_for
from portside.wire.pcapng import PcapngWriter

READ_BYTES: Final = 1 << 20
GATHERED_BYTES_MAX: Final = 1 << 16
STANDARD: Final = "-"  # standard input or output, as elsewhere


def read_items(path: str) -> Iterator[Item]:
    """Yield what a pcapng or pcap file tells.

    Raises: UsageError for a file that cannot be opened, or is no capture; MalformedMessage where it ends in the middle
    of something, or goes on with what is no capture, after all that came before.
    """
    with _opened(path) as file:
        head = file.read(MAGIC_BYTES)
        try:
            reader = reader_for(head)
        except MalformedMessage as error:
            raise UsageError(f"{path}: {error}") from error
        data = head
        try:
            while data:
                yield from reader.feed(data)
                data = file.read1(READ_BYTES)  # of a pipe, what is there
            reader.finish()
        except MalformedMessage as error:
            raise MalformedMessage(f"{path}: {error}") from error


@contextmanager
def _opened(path: str) -> Iterator[BufferedReader]:
    try:
        descriptor = os.dup(0) if path == STANDARD else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    with open(descriptor, "rb") as file:
        yield file


class CaptureFile:
    """A pcapng file in the making. After ``flush`` all that was written is in the file, in whole blocks."""

    def __init__(self, path: str, version: str) -> None:
        """Raises: UsageError when it cannot be written to."""
        self._path = path
        self._gathered = bytearray()
        try:
            self._descriptor = (
                os.dup(1)
                if path == STANDARD
                else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            )
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        section = Section(os.uname().machine, f"{os.uname().sysname} {os.uname().release}", f"portside {version}")
        self._writer = PcapngWriter(self._gather, section)
        self._numbers: dict[Interface, int] = {}

    @property
    def name(self) -> str:
        return "standard output" if self._path == STANDARD else self._path

    def write(self, item: Item) -> None:
        """Write a packet with its interface, names or secrets; sections and interfaces alone say nothing."""
        match item:
            case CapturedPacket():
                self._writer.packet(
                    self._number(item.interface),
                    item.time_ns or 0,
                    item.data,
                    length_bytes=item.length_bytes,
                    direction=item.direction,
                    reception=item.reception,
                    comments=item.comments,
                )
            case Names():
                self._writer.names(dict(item.names))
            case Secrets():
                self._writer.secrets(item.data, item.kind)
        if len(self._gathered) >= GATHERED_BYTES_MAX:
            self.flush()

    def statistics(self, time_ns: int, *, received: int, dropped: int) -> None:
        """Write the kernel's counts, if they are those of one interface."""
        if len(self._numbers) == 1:
            (number,) = self._numbers.values()
            self._writer.statistics(number, time_ns, received=received, dropped_by_system=dropped)

    def flush(self) -> None:
        """Raises: LocalError when the disk does not take it; BrokenPipeError when nobody reads on."""
        view = memoryview(bytes(self._gathered))
        self._gathered.clear()
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise LocalError(f"{self.name}: {error.strerror}") from error

    def close(self) -> None:
        try:
            self.flush()
        finally:
            os.close(self._descriptor)

    def _gather(self, block: bytes) -> None:
        self._gathered += block

    def _number(self, interface: Interface) -> int:
        number = self._numbers.get(interface)
        if number is None:
            number = self._numbers[interface] = self._writer.add_interface(interface)
        return number
