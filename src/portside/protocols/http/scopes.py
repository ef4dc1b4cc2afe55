"""What an application is told of a request: the scope. Source: the ASGI specification, 3.0.

Of HTTP it is version 2.3, whose applications listen for the client's leaving. With 2.4 they would rely on ``send`` to
fail, and a stream that waits for something to say would not hear of it.
"""

from __future__ import annotations

from typing import Any, Final

from portside.address import InternetAddress
from portside.contracts import Connection, TlsState
from portside.protocols.http.forwarded import Proxies, forwarded_for, forwarded_scheme
from portside.protocols.http.requests import RequestHead
from portside.protocols.http.targets import decode_path

HTTP_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
WEBSOCKET_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
LIFESPAN_ASGI: Final = {"version": "3.0", "spec_version": "2.0"}

_HTTP_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
    "http.response.trailers": {},
    "http.response.early_hint": {},
}
_WEBSOCKET_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {"websocket.http.response": {}}
_TLS_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
_ATTRIBUTES: Final = {  # RFC 4514 section 3; others are left out
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}


class Scopes:
    """Makes the scopes of one connection's requests; what they share is found out once."""

    __slots__ = ("_extensions", "_http", "_proxies", "_root", "_root_path")

    def __init__(self, connection: Connection, root_path: str, proxies: Proxies | None) -> None:
        peer, local, tls = connection.peer, connection.local, connection.tls
        self._root_path = root_path
        self._root = root_path.encode()
        self._proxies = proxies if proxies is not None and proxies.trusts(peer) else None
        self._http: dict[str, Any] = {
            "type": "http",
            "asgi": HTTP_ASGI,
            "http_version": "1.1",
            "scheme": "http" if tls is None else "https",
            "root_path": root_path,
            "client": (peer.host, peer.port) if isinstance(peer, InternetAddress) else None,
            "server": (local.host, local.port) if isinstance(local, InternetAddress) else (local.path, None),
        }
        self._extensions = _HTTP_EXTENSIONS if tls is None else {**_HTTP_EXTENSIONS, "tls": tls_extension(tls)}

    def http(self, head: RequestHead, state: dict[str, Any]) -> dict[str, Any]:
        """Return the scope of a request; the application may change it as it likes."""
        path = decode_path(head.path)
        scope = {
            **self._http,
            "method": head.method,
            "path": self._root_path + path if self._root_path else path,
            "raw_path": self._root + head.path,
            "query_string": head.query,
            "headers": head.headers,
            "extensions": self._extensions.copy(),
            "state": state.copy(),
        }
        if head.version != "1.1":
            scope["http_version"] = head.version
        if self._proxies is not None:
            self._believe(scope, head, self._proxies)
        return scope

    def websocket(self, head: RequestHead, state: dict[str, Any]) -> dict[str, Any]:
        """Return the scope of a request to speak WebSocket."""
        scope = self.http(head, state)
        del scope["method"]
        scope |= {
            "type": "websocket",
            "asgi": WEBSOCKET_ASGI,
            "scheme": "wss" if scope["scheme"] == "https" else "ws",
            "subprotocols": _subprotocols(head),
            "extensions": {name: about for name, about in self._extensions.items() if name not in _HTTP_EXTENSIONS}
            | _WEBSOCKET_EXTENSIONS,
        }
        return scope

    @staticmethod
    def _believe(scope: dict[str, Any], head: RequestHead, proxies: Proxies) -> None:
        chain = forwarded_for(head.headers)
        if chain and (client := proxies.client_of(chain)) is not None:
            scope["client"] = client
        scheme = forwarded_scheme(head.headers)
        if scheme is not None:
            scope["scheme"] = scheme


def _subprotocols(head: RequestHead) -> list[str]:
    values = [value.decode("latin-1") for name, value in head.headers if name == b"sec-websocket-protocol"]
    return [word for value in values for part in value.split(",") if (word := part.strip())]


def tls_extension(tls: TlsState) -> dict[str, Any]:
    """Return the connection's TLS as ASGI's TLS extension (0.2) has it; what is not known is None or empty."""
    return {
        "server_cert": None,
        "client_cert_chain": (),
        "client_cert_name": _name_of(tls.peer_certificate) if tls.peer_certificate else None,
        "client_cert_error": None,
        "tls_version": _TLS_VERSIONS.get(tls.version),
        "cipher_suite": None,
    }


def _name_of(certificate: dict[str, Any]) -> str:
    """Return the certificate's subject, the most special part first. Source: RFC 4514 section 2."""
    names = [
        "+".join(f"{_ATTRIBUTES[kind]}={_escaped(value)}" for kind, value in parts if kind in _ATTRIBUTES)
        for parts in reversed(certificate.get("subject", ()))
    ]
    return ",".join(filter(None, names))


def _escaped(value: str) -> str:
    """Return the value with what would be taken for more than itself behind a backslash. RFC 4514 section 2.4."""
    escaped = "".join(f"\\{character}" if character in '"+,;<>\\' else character for character in value)
    if escaped[:1] in ("#", " "):
        escaped = f"\\{escaped}"
    if escaped[-1:] == " " and len(escaped) > 1:
        escaped = f"{escaped[:-1]}\\ "
    return escaped.replace("\0", "\\00")
