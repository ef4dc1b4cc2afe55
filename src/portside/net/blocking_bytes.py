"""What blocking connections need for their bytes: turns to write, chunks that leave together, the last of a socket."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Iterator
from typing import Final, TypeAlias

from portside.net.sockets import MSG_DONTWAIT, Socket
from portside.net.stream import PIECE_BYTES

Chunk: TypeAlias = bytes | bytearray | memoryview

GATHER_BYTES: Final = 16_384  # up to here joining chunks is cheaper than handing the kernel a list of them
GATHER_CHUNKS_MAX: Final = 1_024  # IOV_MAX: sendmsg(2) takes no more at once


class WriteTurn:
    """Whose turn it is to write, of several threads: a lock that costs next to nothing as long as nobody waits for it.

    A lock's two system-wide instructions showed in every echo. Here a turn is taken by popping a list's only element,
    which one thread can do. Whoever finds it empty waits for a lock of its own, which is in the list of waiters before
    the list is looked at again, as whoever gives the turn back does so before looking for waiters.
    """

    __slots__ = ("free", "waiters")

    def __init__(self) -> None:
        self.free: list[None] = [None]
        self.waiters: list[threading.Lock] = []

    def try_take(self) -> bool:
        try:
            self.free.pop()
        except IndexError:
            return False
        return True

    def take(self) -> bool:
        """Wait until the turn is ours. Returns True."""
        if self.try_take():
            return True
        woken = threading.Lock()
        woken.acquire()
        self.waiters.append(woken)
        try:
            while not self.try_take():
                woken.acquire()
        except BaseException:
            self.waiters.remove(woken)
            if self.free and self.waiters:  # it may have been us who were woken for it
                self.wake()
            raise
        self.waiters.remove(woken)
        return True

    def give_back(self) -> None:
        self.free.append(None)
        if self.waiters:
            self.wake()

    def wake(self) -> None:
        """Have whoever waits longest look again."""
        with contextlib.suppress(IndexError, RuntimeError):  # it has just gone, or was woken already
            self.waiters[0].release()

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self.give_back()


def after(sent: int, chunks: tuple[Chunk, ...]) -> Iterator[memoryview]:
    """Yield what is left of the chunks behind the first ``sent`` bytes."""
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        if sent < len(view):
            yield view[sent:]
        sent = max(0, sent - len(view))


def gathered(chunks: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    """Return the chunks as sendmsg(2) shall get them: as one where that is cheaper, or there are too many."""
    if len(chunks) > GATHER_CHUNKS_MAX or sum(map(len, chunks)) <= GATHER_BYTES:
        return (b"".join(chunks),)
    return chunks


def wait_readable(sock: Socket, timeout_s: float) -> None:
    """Return when the socket has something to read. Raises: TimeoutError."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(timeout_s * 1_000):
        raise TimeoutError(f"nothing came within {timeout_s:g} s")


def drain(sock: Socket, linger_s: float) -> None:
    """Throw away what still comes, until the peer's end of stream or for ``linger_s`` seconds. Raises: OSError."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    deadline_s = time.monotonic() + linger_s
    while (left_s := deadline_s - time.monotonic()) > 0 and poll.poll(left_s * 1_000):
        if not sock.recv(PIECE_BYTES, MSG_DONTWAIT):
            return
