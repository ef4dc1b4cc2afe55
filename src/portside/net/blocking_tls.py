"""TLS between a blocking connection and its socket, over the engine that does no I/O itself.

Not an SSLSocket: a blocking one cannot say close_notify without waiting for the peer's, nor be told a farewell by
another thread while a read is pending.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from portside.contracts import READ_BYTES
from portside.errors import ConnectionLost, EndOfStream, TlsFailed
from portside.net.deadline import Deadline
from portside.net.tls_engine import TlsEngine
from portside.net.upgrade import LastWords, engine_for, engine_to_stop

__all__ = ["Sealed", "engine_for", "engine_to_stop"]

if TYPE_CHECKING:
    from portside.net.blocking_stream import BlockingConnection

PIECE_BYTES: Final = 262_144  # plain bytes sealed at a time
ANSWERS_BYTES_MAX: Final = 65_536  # what TLS answers by itself while another thread writes; above it reading waits


class Sealed:
    """The TLS of one connection: takes and gives plain bytes, and moves sealed ones by the connection's own means.

    Sealed records must leave in their order: whoever sends holds the connection's lock for writing, except while the
    handshake goes on. The engine is never held while anything waits, so a writer that waits for room stops no reader.
    """

    __slots__ = ("_connection", "_engine", "_lock", "_spare")

    def __init__(self, connection: BlockingConnection, engine: TlsEngine) -> None:
        self._connection = connection
        self._engine = engine
        self._lock = threading.Lock()  # OpenSSL's connections are not for two threads at once
        self._spare = bytearray()  # plain bytes of records beyond what was asked for

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
        except (TlsFailed, TimeoutError) as error:
            connection._send_nowait(engine.pending_output())  # the alert that tells the peer why
            connection._fail(ConnectionLost(str(error)))
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
            waiting_bytes = self._engine.pending_bytes
        if waiting_bytes:
            self._answer(waiting_bytes)
        return opened

    def _answer(self, waiting_bytes: int) -> None:
        """Send what TLS has to say by itself, a key update. A thread that is writing takes it along the next time."""
        writing = self._connection._writing
        if writing.try_take() or (waiting_bytes > ANSWERS_BYTES_MAX and writing.take()):
            try:
                with self._lock:
                    answer = self._engine.pending_output()
                self._connection._transmit(answer)
            finally:
                writing.give_back()

    def send(self, data: memoryview) -> None:
        """Seal and send at most ``PIECE_BYTES`` bytes, waiting for room as long as it takes."""
        with self._lock:
            sealed = self._engine.send(data)
        self._connection._transmit(sealed)

    def send_end(self) -> None:
        """Say close_notify, and no more; receiving goes on."""
        with self._lock:
            sealed = self._engine.close()
        self._connection._transmit(sealed)

    def stop(self) -> None:
        """Say close_notify, wait for the peer's, and go on plainly. Raises: TlsFailed, EndOfStream."""
        connection = self._connection
        words = LastWords(self._engine)
        try:
            self.send_end()
            while not words.are_over:
                words.take(connection._receive_some(READ_BYTES, None))
        except (TlsFailed, EndOfStream) as error:
            connection._fail(ConnectionLost(str(error)))
            raise
        words.plain(connection, self._spare)

    def say_farewell(self, words: bytes) -> None:
        """Seal and send the words and the end, as far as the kernel takes them at once."""
        if self._engine.done:
            with self._lock, contextlib.suppress(TlsFailed):
                sealed = self._engine.send(words) + self._engine.close()
                self._connection._send_nowait(sealed)
