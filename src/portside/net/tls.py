"""TLS: contexts for servers and clients, what a handshake agreed on, and an engine that does TLS without any I/O.

Nothing under TLS 1.2 is spoken. A failure is told in a sentence a person understands (``tls_failure``), because
``[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:1006)`` says neither who refused whom nor what to do.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NoReturn, TypeAlias

from portside.contracts import TlsState
from portside.errors import LocalError, NotPermitted, TlsFailed, UsageError
from portside.net.certificates import make_self_signed, names_in_pem

RECORD_BYTES: Final = 16_384  # the longest plaintext of one record: RFC 8446 section 5.1
PIECE_BYTES: Final = (
    262_144  # a good piece for bulk: sixteen records a call, and the ciphertext still fits a send buffer
)


# What is in OpenSSL's hands at a time: its buffers grow with it and never shrink, so a connection that once carried
# 256 KiB in one go would keep 400 KiB for its life.
SLICE_BYTES: Final = 4 * RECORD_BYTES


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


class NamedSSLObject(ssl.SSLObject):
    """An SSLObject of a server that remembers the name its client asked for (SNI): ssl keeps it to itself."""

    asked_name: str | None = None


class NamedSSLSocket(ssl.SSLSocket):
    """An SSLSocket of a server that remembers the name its client asked for (SNI)."""

    asked_name: str | None = None


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
    )


# ── contexts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

Pair: TypeAlias = tuple[str, str]  # paths of a certificate, its chain behind it, and of its key; PEM


class ServerTls:
    """What a service needs to speak TLS: a context that always answers with the certificates loaded last.

    With several certificates the client's wish (SNI) chooses: an exact name first, then a wildcard of one label, and
    the first certificate when nothing matches or nothing was asked. Handshakes begun on a context from before a
    ``reload`` get the new certificates too; connections that stand are not touched.
    """

    def __init__(
        self, certificates: Sequence[Pair], client_ca: str | None, alpn: Sequence[str], self_signed_pem: bytes | None
    ) -> None:
        self._pairs, self._client_ca, self._alpn = tuple(certificates), client_ca, tuple(alpn)
        self._self_signed_pem = self_signed_pem
        self._load()

    @property
    def context(self) -> ssl.SSLContext:
        """The context for the next handshake; ask again for each, a reload replaces it."""
        return self._default

    def reload(self) -> None:
        """Load the files again, for handshakes from now on.

        Raises: UsageError or NotPermitted when anything about the new files is wrong; the old stay in force then.
        """
        self._load()

    def changed(self) -> bool:
        """Return whether a file is another than at the last load, successful or not: reload once, not for ever."""
        return self._watch() != self._seen

    def _load(self) -> None:
        self._seen = self._watch()  # before reading: a change in between is noticed the next time
        if self._self_signed_pem is not None:
            contexts = [self._new_context_of_memory(self._self_signed_pem)]
        else:
            contexts = [self._new_context(pair) for pair in self._pairs]
        by_name: dict[str, ssl.SSLContext] = {}
        if len(contexts) > 1:
            for pair, context in zip(self._pairs, contexts, strict=True):
                for name in _names_of(pair):
                    by_name.setdefault(name, context)
        contexts[0].sni_callback = self._choose
        self._default, self._by_name = contexts[0], by_name

    def _choose(self, tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, asked_of: ssl.SSLContext) -> None:
        if isinstance(tls, (NamedSSLObject, NamedSSLSocket)):
            tls.asked_name = name
        asked = (name or "").lower()
        wildcard = "*" + asked[asked.find(".") :] if "." in asked else ""
        context = self._by_name.get(asked) or self._by_name.get(wildcard) or self._default
        if context is not asked_of:
            tls.context = context

    def _new_context(self, pair: Pair) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # a peer could have us do handshakes without end
        context.sslobject_class, context.sslsocket_class = NamedSSLObject, NamedSSLSocket
        _load_pair(context, pair)
        if self._client_ca is not None:
            _load_authorities(context, self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        _offer(context, self._alpn)
        _log_keys(context)
        return context

    def _new_context_of_memory(self, pem: bytes) -> ssl.SSLContext:
        import tempfile

        # OpenSSL's file functions are the only way in that the ssl module has. Mode 0600, and gone at once.
        with tempfile.NamedTemporaryFile(prefix="portside-", suffix=".pem") as file:
            file.write(pem)
            file.flush()
            return self._new_context((file.name, file.name))

    def _watch(self) -> tuple[object, ...]:
        paths = [path for pair in self._pairs for path in pair]
        return tuple(_identity(path) for path in [*paths, *filter(None, [self._client_ca])])


def server_context(
    certificates: Sequence[Pair] = (),
    *,
    client_ca: str | None = None,
    alpn: Sequence[str] = (),
    self_signed: bool = False,
) -> ServerTls:
    """Return the TLS of a service.

    ``certificates`` are pairs of paths, the first one for clients that match none. With ``client_ca`` every client
    must show a certificate that this file vouches for. ``self_signed`` makes a certificate for development, which
    stays in memory. ``SSLKEYLOGFILE`` is honoured.
    Raises: UsageError naming the file, and for a key of another certificate both; NotPermitted; MissingExtra.
    """
    if self_signed and certificates:
        raise UsageError("a self-signed certificate and certificate files exclude each other")
    if not self_signed and not certificates:
        raise UsageError("TLS needs a certificate and its key, or a self-signed one for development")
    return ServerTls(certificates, client_ca, alpn, make_self_signed() if self_signed else None)


def client_context(
    ca_file: str | None = None, insecure: bool = False, alpn: Sequence[str] = (), certificate: Pair | None = None
) -> ssl.SSLContext:
    """Return a context that verifies servers and their names.

    ``ca_file`` replaces the system's store (and ``SSL_CERT_FILE``). ``insecure`` verifies nothing. ``certificate`` is
    the client's own, for servers that ask for one.
    Raises: UsageError, NotPermitted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if ca_file is not None:
        _load_authorities(context, ca_file)
    elif not insecure:
        context.load_default_certs()
    if certificate is not None:
        _load_pair(context, certificate)
    _offer(context, alpn)
    _log_keys(context)
    return context


def _load_pair(context: ssl.SSLContext, pair: Pair) -> None:
    certificate_path, key_path = pair
    certificate, key = _read(certificate_path), _read(key_path)

    def refuse() -> NoReturn:
        raise UsageError(
            f"the key {key_path} is encrypted, and a server has nobody to ask for its passphrase; "
            f"decrypt it first: openssl pkey -in {key_path} -out PLAIN.pem"
        )

    try:
        context.load_cert_chain(certificate_path, key_path, password=refuse)
    except ssl.SSLError as error:
        raise UsageError(_why_not_a_pair(error, pair, certificate, key)) from error


def _why_not_a_pair(error: ssl.SSLError, pair: Pair, certificate: bytes, key: bytes) -> str:
    certificate_path, key_path = pair
    reason = getattr(error, "reason", None) or ""
    if reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}:  # the last: RSA against EC
        return f"the key {key_path} does not belong to the certificate {certificate_path}"
    if b"-----BEGIN CERTIFICATE-----" not in certificate and b"-----BEGIN TRUSTED CERTIFICATE-----" not in certificate:
        return f"{certificate_path} holds no certificate in PEM form"
    if b"PRIVATE KEY-----" not in key:
        return f"{key_path} holds no private key in PEM form"
    words = reason.lower().replace("_", " ") or "one of them is damaged"
    return f"the certificate {certificate_path} and the key {key_path} cannot be used: {words}"


def _names_of(pair: Pair) -> tuple[str, ...]:
    try:
        return names_in_pem(_read(pair[0]).decode("latin-1"))
    except ValueError as error:
        raise UsageError(f"the names in the certificate {pair[0]} cannot be read: {error}") from error


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    _read(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise UsageError(f"{path} holds no certificates of authorities in PEM form") from error


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except PermissionError as error:
        raise NotPermitted(f"{path} may not be read by this user") from error
    except (OSError, ValueError) as error:
        said = "there is no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", error)
        raise UsageError(f"{path} cannot be read: {said}") from error


def _offer(context: ssl.SSLContext, alpn: Sequence[str]) -> None:
    if alpn:
        try:
            context.set_alpn_protocols(list(alpn))
        except (ssl.SSLError, ValueError) as error:
            names = ", ".join(alpn)
            raise UsageError(f"{names!r} is no list of ALPN names: each has 1 to 255 ASCII characters") from error


def _log_keys(context: ssl.SSLContext) -> None:
    path = os.environ.get("SSLKEYLOGFILE")
    if path:
        try:
            context.keylog_filename = path
        except OSError as error:
            raise LocalError(f"SSLKEYLOGFILE {path} cannot be written: {error.strerror}") from error


def _identity(path: str) -> tuple[int, ...] | None:
    """Return what changes when a file is written or replaced, links followed; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


# ── TLS without I/O ──────────────────────────────────────────────────────────────────────────────────────────────────


class TlsEngine:
    """One end of a TLS connection that owns no socket: ciphertext goes in and comes out as bytes.

    A client begins with ``handshake()``. Then, whatever came from the network goes into ``receive``, and whatever
    ``pending_output`` returns after any call, *also after one that raised*, goes to the network: handshake messages,
    alerts, key updates. Memory stays in proportion to what one call was given: hand in pieces of ``PIECE_BYTES``.
    """

    __slots__ = ("_failure", "_incoming", "_object", "_outgoing", "_server_name", "done", "ended", "truncated")

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, server_name: str | None = None) -> None:
        """Make the end of a server, or of a client that wants ``server_name``. Raises: UsageError for a bad name."""
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
        self._server_name = server_name
        self._failure: str | None = None
        self.done = False  # the handshake is over: plaintext may be sent
        self.ended = False  # no more plaintext will come
        self.truncated = False  # the stream ended without the peer's close_notify: its end may be an attacker's

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
        if self.ended:  # nothing that comes behind a close_notify is looked at, or kept
            return b""
        if len(ciphertext) <= SLICE_BYTES:
            return self._receive_slice(ciphertext)
        whole = memoryview(ciphertext)
        pieces: list[bytes] = []
        for at in range(0, len(whole), SLICE_BYTES):
            try:
                pieces.append(self._receive_slice(whole[at : at + SLICE_BYTES]))
            except TlsFailed:
                if not any(pieces):
                    raise
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
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

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
