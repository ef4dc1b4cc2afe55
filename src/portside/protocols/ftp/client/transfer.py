"""One transfer: the bytes on the data connection, and beside them what the server says on the control connection.

Both at once, because each may end the other: a server whose disk is full says so while we still send, and one that
has vanished says nothing while we wait. Whoever waits for the final reply looks meanwhile whether the bytes move.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import BinaryIO, Final, TypeAlias

from portside.contracts import Connection, Network, Work
from portside.errors import ConnectionClosed, PeerError
from portside.protocols.ftp.client.channel import Channel, stop_quietly
from portside.protocols.ftp.client.control import Control
from portside.protocols.ftp.client.supervision import until_done
from portside.protocols.ftp.replies import Reply

STEP_S: Final = 1.0  # how often a transfer that waits is looked at
PROGRESS_STEP_S: Final = 0.1  # … when somebody wants to see it
FAILED_STEP_S: Final = 5.0  # how long a server may take to say something once the data connection has failed

# What the server has yet to do when the last byte has left us: take it from the wires and from its own buffers, which
# we cannot see, and write it to a disk that may be a slow one.
COMMIT_S_MIN: Final = 60.0
COMMIT_BYTES_PER_S: Final = 10_000_000

Source: TypeAlias = BinaryIO | AsyncIterator[bytes]
"""Where an upload comes from: a file, or pieces as they come."""
Target: TypeAlias = BinaryIO | Callable[[bytes], Awaitable[None]]
"""Where a download goes: a file, from its position on, or a function that takes the pieces as they come."""
Progress: TypeAlias = Callable[[int], None]
"""Is told how many bytes of a transfer have moved so far, now and then, and at its end."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer that is complete: how many bytes moved, behind how many that were there, and what the server said."""

    moved_bytes: int
    offset: int
    duration_s: float
    reply: Reply

    @property
    def size_bytes(self) -> int:
        """The size of the whole file, on the side it went to."""
        return self.offset + self.moved_bytes


# ── the bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Mover(ABC):
    """Moves the bytes, as work beside whoever hears the server out. What went wrong is kept, not raised."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.moved_bytes = 0
        self.is_truncated = False  # see Connection.is_truncated
        self.waits_for_us = False  # for a source that has nothing yet, or a target that takes nothing yet
        self.failure: Exception | None = None

    async def run(self) -> None:
        try:
            connection = await self._channel.connected()
            await self._move(connection)
            self.is_truncated = connection.is_truncated
            await connection.close()  # the end of the stream is the end of the file: RFC 959 section 3.4.1
        except Exception as error:
            self.failure = error
            await stop_quietly(self._channel)  # then the server notices, and says something

    @property
    @abstractmethod
    def may_have_more(self) -> bool:
        """Whether bytes may still come when the server has said that the transfer went wrong."""

    @property
    @abstractmethod
    def settling_s(self) -> float:
        """How long the server may need for its last reply once all bytes have moved."""

    @abstractmethod
    async def _move(self, connection: Connection) -> None: ...

    @property
    def local_failure(self) -> Exception | None:
        """What failed on our side, such as a disk that is full; None when it was the connection, or nothing."""
        if isinstance(self.failure, PeerError | ConnectionClosed | TimeoutError):
            return None
        return self.failure


class Receiver(Mover):
    """Takes everything that comes."""

    def __init__(self, channel: Channel, target: Target) -> None:
        super().__init__(channel)
        self._target = target

    @property
    def may_have_more(self) -> bool:
        return self._channel.connection is not None

    @property
    def settling_s(self) -> float:
        return 0.0

    async def _move(self, connection: Connection) -> None:
        target = self._target
        if not callable(target):
            self.moved_bytes = await connection.receive_file(target)
            return
        async for piece in connection:
            self.waits_for_us = True
            await target(piece)
            self.waits_for_us = False
            self.moved_bytes += len(piece)


class Sender(Mover):
    """Sends the source from ``offset`` to its end; pieces have no offset."""

    def __init__(self, channel: Channel, source: Source, offset: int) -> None:
        super().__init__(channel)
        self._source = source
        self._offset = offset

    @property
    def may_have_more(self) -> bool:
        return False

    @property
    def settling_s(self) -> float:
        return commit_s(self.moved_bytes)

    async def _move(self, connection: Connection) -> None:
        source = self._source
        if not isinstance(source, AsyncIterator):
            self.moved_bytes = await connection.send_file(source, self._offset)
            return
        self.waits_for_us = True
        async for piece in source:
            self.waits_for_us = False
            await connection.write(piece)
            self.moved_bytes += len(piece)
            self.waits_for_us = True
        self.waits_for_us = False


# ── watching them ────────────────────────────────────────────────────────────────────────────────────────────────────


class Watch:
    """Looks whether a channel's bytes move."""

    def __init__(
        self, mover: Mover, channel: Channel, network: Network, timeout_s: float, progress: Progress | None
    ) -> None:
        self._mover = mover
        self._channel = channel
        self._network = network
        self._timeout_s = timeout_s
        self._progress = progress
        self._moved_bytes = -1
        self._since_s = network.now_s()

    @property
    def step_s(self) -> float:
        """How long to wait between two looks."""
        return min(STEP_S if self._progress is None else PROGRESS_STEP_S, self._timeout_s / 2)

    def extend(self, timeout_s: float) -> None:
        """Be patient for longer, from now on."""
        self._timeout_s = max(self._timeout_s, timeout_s)
        self._since_s = self._network.now_s()

    def look(self) -> None:
        """Raises: TimeoutError when no byte has moved for too long, and it was not us who held them up."""
        now_s, moved_bytes = self._network.now_s(), self._channel.moved_bytes
        if moved_bytes != self._moved_bytes or self._mover.waits_for_us:
            self._moved_bytes, self._since_s = moved_bytes, now_s
            if self._progress is not None:
                self._progress(moved_bytes)
        elif now_s - self._since_s >= self._timeout_s:
            raise TimeoutError(f"nothing moved for {self._timeout_s:g} s")


async def carry(
    control: Control, mover: Mover, channel: Channel, progress: Progress | None, *, heard: Reply | None = None
) -> Reply:
    """Carry a transfer that the server has announced to its end, and return the server's final reply, good or bad.

    ``heard`` is that reply where it has come already. When ``carry`` is left, nothing moves any more; when it returns,
    the mover says what came of it.
    Raises: TimeoutError when nothing moved; MalformedMessage, ConnectionLost of the control connection; the mover's
    failure, if the server has nothing to say about that. The final reply is then still to come.
    """
    watch = Watch(mover, channel, control.network, control.timeout_s, progress)
    work = control.network.start(mover.run())
    try:
        reply = await _hear_out(control, mover, work, watch) if heard is None else heard
        if reply.is_negative and not mover.may_have_more:
            await stop_quietly(channel)  # the server takes no more
        try:
            await until_done(work, control.network, watch.look)
        except TimeoutError:
            await stop_quietly(channel)
            if not reply.is_negative:
                raise
    except BaseException:
        await stop_quietly(channel)
        raise
    finally:
        await work.wait()
    if progress is not None:
        progress(mover.moved_bytes)
    return reply


async def _hear_out(control: Control, mover: Mover, work: Work, watch: Watch) -> Reply:
    """Return the final reply, looking meanwhile whether the bytes move."""
    is_over = False
    while True:
        try:
            return await control.hear(FAILED_STEP_S if mover.failure is not None else watch.step_s)
        except TimeoutError:
            if mover.failure is not None and is_over:
                raise mover.failure from None
            if work.done and not is_over:
                is_over = True
                watch.extend(mover.settling_s)
            watch.look()


def commit_s(size_bytes: int) -> float:
    """Return how many seconds a server may need to have so many bytes where they belong, or to read them all."""
    return COMMIT_S_MIN + size_bytes / COMMIT_BYTES_PER_S
