"""TLS without any I/O: an engine that takes and gives bytes, what a handshake agreed on, and failures in words.

A failure is told in a sentence a person understands (``tls_failure``), because ``[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1
alert unknown ca (_ssl.c:1006)`` says neither who refused whom nor what to do.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Final

from portside.contracts import TlsState
from portside.errors import HandlerError, TlsFailed, UsageError
from portside.net.tap import Tap

RECORD_BYTES: Final = 16_384  # the longest plaintext of one record: RFC 8446 section 5.1
PIECE_BYTES: Final = 262_144  # enough at a time for bulk: larger pieces win nothing more

# What is in OpenSSL's hands at a time: its buffers grow with it and never shrink, so a connection that once carried
# 256 KiB in one go would keep 400 KiB for its life.
SLICE_BYTES: Final = 4 * RECORD_BYTES
BULK_BYTES: Final = 8 * RECORD_BYTES  # of files: each time that no whole record is left costs an exception


# ── what went wrong ──────────────────────────────────────────────────────────────────────────────────────────────────

_NOT_TLS: Final = "the peer does not speak TLS here"
_NO_SHARED_VERSION: Final = "no TLS version in common (this side speaks TLS 1.2 and 1.3)"
_CERTIFICATE_REFUSED: Final = "the peer refused our certificate"
_CERTIFICATE_WANTED: Final = "the peer asks for a client certificate and got none it accepts"
_DAMAGED: Final = "a record was damaged or forged on the way"
_LEFT: Final = "the peer left in the middle of the handshake"

# By the reason that OpenSSL gives. An ALERT in a reason is what the peer told us; the others we found out ourselves.
_SENTENCES: Final = {
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "HTTP_REQUEST": "the peer speaks plain HTTP, this port speaks TLS",
    "HTTPS_PROXY_REQUEST": "the peer speaks plain HTTP, this port speaks TLS",
    "RECORD_LAYER_FAILURE": _NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
    "UNSUPPORTED_PROTOCOL": _NO_SHARED_VERSION,
    "NO_PROTOCOLS_AVAILABLE": _NO_SHARED_VERSION,
    "VERSION_TOO_LOW": _NO_SHARED_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_SHARED_VERSION,
    "NO_SHARED_CIPHER": "no cipher in common",
    "NO_SHARED_GROUP": "no key exchange group in common",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer found nothing in common, or misses a client certificate",
    "SSL/TLS_ALERT_HANDSHAKE_FAILURE": "the peer found nothing in common, or misses a client certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client showed no certificate, and this service asks for one",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _CERTIFICATE_WANTED,
    "TLSV1_ALERT_UNKNOWN_CA": f"{_CERTIFICATE_REFUSED}: it does not know who signed it",
    "SSLV3_ALERT_BAD_CERTIFICATE": f"{_CERTIFICATE_REFUSED}: it calls it bad",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": f"{_CERTIFICATE_REFUSED}: it does not trust it",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{_CERTIFICATE_REFUSED}: it has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": f"{_CERTIFICATE_REFUSED}: it has been revoked",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": f"{_CERTIFICATE_REFUSED}: it is not of a kind the peer accepts",
    "TLSV1_ALERT_ACCESS_DENIED": "the peer denies us access",
    "TLSV1_UNRECOGNIZED_NAME": "the peer serves no such name",
    "TLSV1_ALERT_DECRYPT_ERROR": "the peer could not verify a signature of ours",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "no application protocol (ALPN) in common",
    "TLSV1_ALERT_INTERNAL_ERROR": "the peer failed inside",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": _DAMAGED,
    "SSLV3_ALERT_BAD_RECORD_MAC": _DAMAGED,
    "UNEXPECTED_EOF_WHILE_READING": _LEFT,
    "PROTOCOL_IS_SHUTDOWN": "TLS was already closed on this side",
}


def tls_failure(error: ssl.SSLError, server_name: str | None = None) -> TlsFailed:
    """Return what an error of the ssl module means, for people; the error itself becomes its cause."""
    failure = TlsFailed(f"TLS failed: {_sentence(error, server_name)}")
    failure.__cause__ = error
    return failure


def _sentence(error: ssl.SSLError, server_name: str | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        whose = f"the certificate of {server_name}" if server_name else "the peer's certificate"
        return f"{whose} cannot be verified: {error.verify_message.rstrip('.')}"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return _LEFT
    reason: str | None = getattr(error, "reason", None)  # set by the module's own code only
    if not reason:
        return error.strerror or str(error) or "no reason given"
    # Since 3.2 OpenSSL writes SSL/TLS_ALERT_… where it wrote SSLV3_ALERT_….
    reason = reason.upper().replace(" ", "_")
    known = _SENTENCES.get(reason) or _SENTENCES.get(reason.replace("SSL/TLS_ALERT", "SSLV3_ALERT"))
    return known or reason.lower().replace("_", " ")


# ── what a handshake agreed on ───────────────────────────────────────────────────────────────────────────────────────


def state_of(tls: ssl.SSLObject | ssl.SSLSocket) -> TlsState:
    """Return what the finished handshake agreed on.

    ``server_name`` is the name the client asked for, on either side; on the server's only where the context came from
    ``server_context``. ``peer_certificate`` is None where none came, or none was verified.
    """
    cipher = tls.cipher()
    return TlsState(
        version=tls.version() or "",
        cipher=cipher[0] if cipher else "",
        alpn=tls.selected_alpn_protocol(),
        server_name=getattr(tls, "asked_name", None) or tls.server_hostname,
        peer_certificate=tls.getpeercert() or None,
        resumed=bool(tls.session_reused),
    )


# ── TLS without I/O ──────────────────────────────────────────────────────────────────────────────────────────────────


class TlsEngine:
    """One end of a TLS connection that owns no socket: ciphertext goes in and comes out as bytes.

    A client begins with ``handshake()``. Then, whatever came from the network goes into ``receive``, and whatever
    ``pending_output`` returns after any call, *also after one that raised*, goes to the network: handshake messages,
    alerts, key updates. Memory stays in proportion to what one call was given: hand in pieces of ``PIECE_BYTES``.
    """

    __slots__ = (
        "_failure",
        "_incoming",
        "_object",
        "_outgoing",
        "_server_name",
        "behind",
        "done",
        "ended",
        "tap",
        "truncated",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """Make the end of a server, or of a client that wants ``server_name`` and may ask to resume a session.

        Raises: UsageError for a bad name; HandlerError for a session that cannot be resumed here.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._object = context.wrap_bio(
                self._incoming,
                self._outgoing,
                server_side=server_side,
                server_hostname=None if server_side else server_name,
            )
        except (
            ValueError
        ) as error:  # an empty name, a dot in front, a label that IDNA refuses, none where one is needed
            raise UsageError(f"{server_name!r} cannot be asked for by TLS: {error}") from error
        if session is not None:
            self._ask_to_resume(session)
        self._server_name = server_name
        self._failure: str | None = None
        self.behind = b""  # what came with the peer's close_notify, and behind it
        self.done = False  # the handshake is over: plaintext may be sent
        self.ended = False  # no more plaintext will come
        self.tap: Tap | None = None  # told every plain byte, when somebody listens
        self.truncated = False  # the stream ended without the peer's close_notify: its end may be an attacker's

    def _ask_to_resume(self, session: ssl.SSLSession) -> None:
        try:
            self._object.session = session
        except ValueError as error:  # made under another context, or this end is a server's
            raise HandlerError(f"the TLS session cannot be resumed here: {error}") from error

    @property
    def session(self) -> ssl.SSLSession | None:
        """What another connection of this client may resume. Under TLS 1.3 it comes some time after the handshake."""
        return self._object.session

    @property
    def state(self) -> TlsState:
        """What the handshake agreed on; ask once it is done."""
        return state_of(self._object)

    def handshake(self) -> bool:
        """Go on with the handshake as far as the bytes allow. Returns whether it is done. Raises: TlsFailed."""
        self._check()
        if not self.done:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                return False
            except ssl.SSLError as error:
                raise self._failed(error) from error
            self.done = True
        return True

    def receive(self, ciphertext: bytes | bytearray | memoryview) -> bytes:
        """Return the plaintext that became readable, perhaps none; ``ended`` is set once the peer said close_notify.

        Raises: TlsFailed, after the plaintext in front of the fault was returned, and for good.
        """
        self._check()
        if self.ended:  # nothing that comes after a close_notify is looked at, or kept
            return b""
        if len(ciphertext) <= SLICE_BYTES:
            plaintext = self._receive_slice(ciphertext)
            if self.ended:
                self.behind = self._incoming.read()
            return plaintext
        whole = memoryview(ciphertext)
        pieces: list[bytes] = []
        for at in range(0, len(whole), SLICE_BYTES):
            try:
                pieces.append(self._receive_slice(whole[at : at + SLICE_BYTES]))
            except TlsFailed:
                if not any(pieces):
                    raise
            if self.ended:
                self.behind = self._incoming.read() + bytes(whole[at + SLICE_BYTES :])
            if self._failure is not None or self.ended:
                break
        return b"".join(pieces)

    def _receive_slice(self, ciphertext: bytes | bytearray | memoryview) -> bytes:
        self._incoming.write(ciphertext)
        if not self.done and not self.handshake():
            return b""
        pieces: list[bytes] = []
        tls, incoming = self._object, self._incoming
        try:
            # A read returns one record; a record that is not whole yet ends the loop by SSLWantReadError.
            while incoming.pending or tls.pending():
                piece = tls.read(RECORD_BYTES)
                if not piece:
                    self.ended = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # the same close_notify, when we have said ours already
            self.ended = True
        except ssl.SSLError as error:
            failure = self._failed(error)
            if not pieces:
                raise failure from error
        plaintext = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.tap is not None and plaintext:
            self.tap.received(plaintext)
        return plaintext

    def receive_into(self, ciphertext: bytes | memoryview, view: memoryview) -> int:
        """Do what ``receive`` does, into the view. Returns how many bytes.

        The view has room for all that the ciphertext and one record before it may hold: their own length will do.
        """
        self._check()
        whole, total = memoryview(ciphertext), 0
        for at in range(0, len(whole), BULK_BYTES):
            self._incoming.write(whole[at : at + BULK_BYTES])
            try:
                total += self._open_into(view[total:])
            except TlsFailed:
                if not total:
                    raise
                break
            if self.ended:
                self.behind = self._incoming.read() + bytes(whole[at + BULK_BYTES :])
                break
        if self.tap is not None and total:
            self.tap.received(bytes(view[:total]))
        return total

    def _open_into(self, view: memoryview) -> int:
        tls, incoming, total = self._object, self._incoming, 0
        try:
            while incoming.pending or tls.pending():
                count: int = tls.read(RECORD_BYTES, view[total:])  # type: ignore[assignment]
                if not count:
                    self.ended = True
                    break
                total += count
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            failure = self._failed(error)
            if not total:
                raise failure from error
        return total

    def feed_eof(self) -> None:
        """Note that the network's stream is at its end; nothing more will be received.

        Without a close_notify before it the stream is ``truncated``: whoever needs to know that all of it came must
        treat it as a broken connection (RFC 8446 section 6.1).
        Raises: TlsFailed when the handshake was not done.
        """
        self._check()
        if not self.done:
            raise self._failed(ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF"))
        if not self.ended:
            self.ended = self.truncated = True

    def send(self, *chunks: bytes | bytearray | memoryview) -> bytes:
        """Return the ciphertext that carries the chunks in order, gathered into records as large as may be.

        Raises: TlsFailed, also when the handshake is not done or ``close`` was called.
        """
        if not self.done:
            raise TlsFailed("TLS failed: nothing can be sent before the handshake is done")
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if not data:
            return self._outgoing.read()  # an empty write would cost a record
        if self.tap is not None:
            self.tap.sent(bytes(data))
        try:
            if len(data) <= SLICE_BYTES:
                self._object.write(data)
                return self._outgoing.read()
            whole = memoryview(data)
            sealed: list[bytes] = []
            for at in range(0, len(whole), SLICE_BYTES):
                self._object.write(whole[at : at + SLICE_BYTES])
                sealed.append(self._outgoing.read())
            return b"".join(sealed)
        except ssl.SSLError as error:
            raise self._failed(error) from error

    def close(self) -> bytes:
        """Return the ciphertext that ends our direction, close_notify included. Receiving may go on (half-close)."""
        # Want read: the peer has not said its own yet. Else the handshake is not done or has failed: no farewell.
        with suppress(ssl.SSLError):
            self._object.unwrap()
        return self._outgoing.read()

    @property
    def pending_bytes(self) -> int:
        """How many bytes ``pending_output`` would return."""
        return self._outgoing.pending

    def pending_output(self) -> bytes:
        """Return the ciphertext that waits to be sent, ``b""`` where none does."""
        return self._outgoing.read()

    def _failed(self, error: ssl.SSLError) -> TlsFailed:
        failure = tls_failure(error, self._server_name)
        self._failure = str(failure)
        return failure

    def _check(self) -> None:
        if self._failure is not None:
            raise TlsFailed(self._failure)
