"""TLS contexts for servers and clients: certificates chosen by name, reloaded as a whole, refused in sentences.

Nothing under TLS 1.2 is spoken. The engine that does TLS over them is ``net.tls_engine``; its names are here too.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from portside.errors import LocalError, NotPermitted, UsageError
from portside.net.certificates import make_self_signed, names_in_pem
from portside.net.tls_engine import PIECE_BYTES, RECORD_BYTES, TlsEngine, state_of, tls_failure

__all__ = [
    "PIECE_BYTES",
    "RECORD_BYTES",
    "ServerTls",
    "TlsEngine",
    "client_context",
    "server_context",
    "state_of",
    "tls_failure",
]

Pair: TypeAlias = tuple[str, str]  # paths of a certificate, its chain behind it, and of its key; PEM


class NamedSSLObject(ssl.SSLObject):
    """An SSLObject of a server that remembers the name its client asked for (SNI): ssl keeps it to itself."""

    asked_name: str | None = None


class NamedSSLSocket(ssl.SSLSocket):
    """An SSLSocket of a server that remembers the name its client asked for (SNI)."""

    asked_name: str | None = None


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

    def new_context(self) -> ssl.SSLContext:
        """Return a context that shows the same certificates, those of a later reload too, and is nobody else's.

        What sessions can be resumed is a matter of the context a handshake begins with, even where the name that the
        client asks for has another one take over; the certificates come from that other one. So this one has none of
        its own, and reads no file: it takes 0.3 ms and 13 KiB (measured with OpenSSL 3.0).
        """
        context = self._empty_context()
        context.sni_callback = self._choose
        return context

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
        context = self._empty_context()
        _load_pair(context, pair)
        if self._client_ca is not None:
            _load_authorities(context, self._client_ca)
        _offer(context, self._alpn)
        _log_keys(context)
        return context

    def _empty_context(self) -> ssl.SSLContext:
        """Return a context that can do everything but show a certificate, and judge a client's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # a peer could have us do handshakes without end
        context.sslobject_class, context.sslsocket_class = NamedSSLObject, NamedSSLSocket
        if self._client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
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
