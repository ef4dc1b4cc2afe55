"""TLS between a blocking connection and its socket, over the engine that does no I/O itself.

Not an SSLSocket: a blocking one cannot say close_notify without waiting for the peer's, nor be told a farewell by
another thread while a read is pending.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from portside.contracts import READ_BYTES, TlsState
from portside.errors import TlsFailed
from portside.net.stream import Deadline
from portside.net.tls_engine import TlsEngine

if TYPE_CHECKING:
    import ssl

    from portside.net.blocking_stream import BlockingConnection

PIECE_BYTES: Final = 262_144  # plain bytes sealed at a time


class Sealed:
    """The TLS of one connection: takes and gives plain bytes, and moves sealed ones by the connection's own means."""

    __slots__ = ("_connection", "_engine", "_lock", "_spare")

    def __init__(
        self, connection: BlockingConnection, context: ssl.SSLContext, *, server_side: bool, server_name: str | None
    ) -> None:
        self._connection = connection
        self._engine = TlsEngine(context, server_side=server_side, server_name=server_name)
        # OpenSSL's connections are not for two threads at once, and sealed records must leave in their order.
        self._lock = threading.Lock()
        self._spare = bytearray()  # plain bytes of records beyond what was asked for

    @property
    def state(self) -> TlsState:
        return self._engine.state

    def shake_hands(self, deadline: Deadline) -> None:
        """Raises: TlsFailed, TimeoutError, and what the connection says."""
        engine, connection = self._engine, self._connection
        try:
            done = engine.handshake()
            while not done:
                connection._transmit(engine.pending_output())
                sealed = connection._receive_some(READ_BYTES, deadline.left_s())
                if sealed:
                    self._spare += engine.receive(sealed)
                else:
                    engine.feed_eof()
                done = engine.done
        except TlsFailed:
            connection._send_nowait(engine.pending_output())  # the alert that tells the peer why
            raise
        connection._transmit(engine.pending_output())

    def receive(self, limit: int, timeout_s: float | None) -> bytes:
        """Return the next plain bytes, ``b""`` at the end; what a record holds beyond the limit is kept."""
        spare = self._spare
        deadline = Deadline(self._connection.network, timeout_s)
        while not spare and not self._engine.ended:
            sealed = self._connection._receive_some(READ_BYTES, deadline.left_s())
            if not sealed:
                self._engine.feed_eof()
                break
            opened = self._open(sealed)
            if 0 < len(opened) <= limit:
                return opened
            spare += opened
        data = bytes(spare[:limit])
        del spare[:limit]
        return data

    def _open(self, sealed: bytes) -> bytes:
        with self._lock:
            try:
                opened = self._engine.receive(sealed)
            except TlsFailed:
                self._connection._send_nowait(self._engine.pending_output())
                raise
            if answer := self._engine.pending_output():  # a key update
                self._connection._transmit(answer)
        return opened

    def send(self, data: memoryview) -> None:
        """Seal and send at most ``PIECE_BYTES`` bytes, waiting for room as long as it takes."""
        with self._lock:
            self._connection._transmit(self._engine.send(data))

    def send_end(self) -> None:
        """Say close_notify, and no more; receiving goes on."""
        with self._lock:
            self._connection._transmit(self._engine.close())

    def say_farewell(self, words: bytes) -> None:
        """From any thread: seal and send the words and the end, unless that would mix with what is being sent."""
        if self._engine.done and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(TlsFailed):
                    self._connection._send_nowait(self._engine.send(words) + self._engine.close())
            finally:
                self._lock.release()
