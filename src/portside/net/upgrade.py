"""Beginning TLS on a connection that stands, and ending it again: what every kind of connection checks alike."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from portside.contracts import Connection
from portside.errors import EndOfStream, HandlerError, TlsFailed
from portside.net.tls_engine import TlsEngine

if TYPE_CHECKING:
    from portside.net.stream import Stream

CONTENT_TYPES: Final = range(20, 25)  # what a record begins with: RFC 8446 section 5.1, and RFC 6520; no letter is one
UNTIL_STOP_BYTES_MAX: Final = 1 << 20  # of plaintext that a peer may still say before it ends its TLS too


def engine_for(
    stream: Stream,
    context: ssl.SSLContext,
    *,
    server_side: bool,
    server_name: str | None,
    resume: Connection | None,
) -> TlsEngine:
    """Return the engine of an upgrade, if one may begin. Raises: TlsFailed, HandlerError, and the stream's failure."""
    stream._check_open()
    if stream._engine is not None:
        raise HandlerError("the connection is under TLS already")
    if stream._buffer:
        # Commands put in plain text behind the upgrade would be taken for protected ones (CVE-2011-0411).
        raise TlsFailed(f"{len(stream._buffer)} plain bytes stood behind the upgrade to TLS")
    engine = TlsEngine(context, server_side=server_side, server_name=server_name, session=_session_of(resume))
    engine.tap = stream._tap
    return engine


def _session_of(resume: Connection | None) -> ssl.SSLSession | None:
    # Asked for as late as this: under TLS 1.3 what can be resumed comes some time after the handshake.
    engine: TlsEngine | None = getattr(resume, "_engine", None)
    return None if engine is None else engine.session


def engine_to_stop(stream: Stream) -> TlsEngine:
    """Return the engine of a connection that may go back to plain bytes. Raises: HandlerError, the stream's failure."""
    stream._check_open()
    if stream._engine is None:
        raise HandlerError("the connection is not under TLS")
    return stream._engine


class LastWords:
    """What comes of TLS, and behind it, while a connection goes back to plain bytes.

    A peer may also leave TLS without a word of its own, and go on plainly (curl does, where it is told to be passive
    about CCC): the first thing it says then begins like no record. From here on its bytes are anybody's in any case.
    """

    __slots__ = ("_clear", "_engine", "_held", "_is_first")

    def __init__(self, engine: TlsEngine) -> None:
        self._engine = engine
        self._held = bytearray()
        self._is_first = True
        self._clear = b""  # what it said without TLS

    @property
    def are_over(self) -> bool:
        """Whether the peer has ended its TLS too."""
        return bool(self._clear) or (self._engine.ended and not self._engine.truncated)

    def take(self, sealed: bytes) -> None:
        """Take what was received, ``b""`` for the end of the stream. Raises: TlsFailed, EndOfStream."""
        if not sealed or self._engine.truncated:
            raise EndOfStream(b"", "the peer's end of TLS (close_notify)")
        if self._is_first and sealed[0] not in CONTENT_TYPES:
            self._clear = sealed
            return
        self._is_first = False
        self._held += self._engine.receive(sealed)
        if len(self._held) > UNTIL_STOP_BYTES_MAX:
            raise TlsFailed("TLS failed: the peer goes on talking and does not end it")

    def plain(self, stream: Stream, spare: bytes | bytearray) -> None:
        """Let the stream go on plainly with what is left to read: what TLS gave, then what stood behind it."""
        behind = self._engine.behind + self._clear
        self._held += behind
        if behind and stream._tap is not None:
            stream._tap.received(behind)
        stream.bytes_in += len(self._held)
        buffer = bytearray() if stream._buffer is None else stream._buffer
        buffer += spare
        stream.bytes_in += len(spare)
        buffer += self._held
        stream._buffer = buffer or None
        stream._engine = None
        stream.tls = None
        stream.at_end = False
