"""What applications are told of a request: all of it, in ASGI's words."""

from __future__ import annotations

from typing import Any

import pytest

from portside.address import InternetAddress, UnixAddress
from portside.contracts import TlsState
from portside.protocols.http.forwarded import Proxies
from portside.protocols.http.limits import HttpLimits
from portside.protocols.http.requests import RequestHead, RequestReader
from portside.protocols.http.scopes import Scopes, tls_extension
from portside.testing.memory import MemoryConnection, pair


def head_of(*lines: bytes) -> RequestHead:
    reader = RequestReader(HttpLimits())
    reader.receive(b"\r\n".join((*lines, b"", b"")))
    head = reader.next_head()
    assert head is not None
    return head


HEAD = head_of(
    b"GET /caf%C3%A9/a%2Fb?q=%20 HTTP/1.1", b"Host: x", b"X-Forwarded-For: 192.0.2.9", b"X-Forwarded-Proto: https"
)
TLS = TlsState("TLSv1.3", "TLS_AES_256_GCM_SHA384", peer_certificate=None)


def connection(*, tls: TlsState | None = None, **addresses: Any) -> MemoryConnection:
    server, _ = pair(**addresses)
    server.tls = tls
    return server


def test_the_scope_of_a_request_is_complete() -> None:
    state = {"pool": object()}
    scope = Scopes(connection(), "", None).http(HEAD, state)
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/café/a/b",
        "raw_path": b"/caf%C3%A9/a%2Fb",
        "query_string": b"q=%20",
        "root_path": "",
        "headers": [(b"host", b"x"), (b"x-forwarded-for", b"192.0.2.9"), (b"x-forwarded-proto", b"https")],
        "client": ("198.51.100.7", 50_000),
        "server": ("192.0.2.1", 9_000),
        "state": state,
        "extensions": {
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
            "http.response.trailers": {},
            "http.response.early_hint": {},
        },
    }


def test_what_an_application_writes_into_its_scope_is_not_seen_by_the_next() -> None:
    scopes, state = Scopes(connection(), "", None), {"a": 1}
    first = scopes.http(HEAD, state)
    first["state"]["b"] = 2
    first["extensions"]["x"] = {}
    first["user"] = "anna"
    second = scopes.http(HEAD, state)
    assert second["state"] == {"a": 1}
    assert "x" not in second["extensions"]
    assert "user" not in second


def test_a_root_path_stands_before_the_path() -> None:
    scope = Scopes(connection(), "/shop", None).http(HEAD, {})
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == (
        "/shop",
        "/shop/café/a/b",
        b"/shop/caf%C3%A9/a%2Fb",
    )


def test_over_a_unix_socket_nobody_has_an_address() -> None:
    scope = Scopes(connection(server=UnixAddress("/run/x"), client=UnixAddress("")), "", None).http(HEAD, {})
    assert (scope["client"], scope["server"]) == (None, ("/run/x", None))


def test_old_clients_are_told_apart() -> None:
    assert Scopes(connection(), "", None).http(head_of(b"GET / HTTP/1.0"), {})["http_version"] == "1.0"


def test_a_path_that_is_not_utf_8_has_marks_in_it() -> None:
    scope = Scopes(connection(), "", None).http(head_of(b"GET /%ff%zz HTTP/1.1", b"Host: a"), {})
    assert scope["path"] == "/\ufffd%zz"
    assert scope["raw_path"] == b"/%ff%zz"


@pytest.mark.parametrize(
    ("networks", "client", "scheme"),
    [
        ("198.51.100.0/24", ("192.0.2.9", 0), "https"),
        ("10.0.0.0/8", ("198.51.100.7", 50_000), "http"),
    ],
)
def test_only_trusted_proxies_are_believed(networks: str, client: tuple[str, int], scheme: str) -> None:
    scopes = Scopes(connection(), "", Proxies([networks]))
    assert (scopes.http(HEAD, {})["client"], scopes.http(HEAD, {})["scheme"]) == (client, scheme)
    assert scopes.websocket(HEAD, {})["scheme"] == {"http": "ws", "https": "wss"}[scheme]


def test_a_trusted_proxy_that_says_nothing_is_the_client() -> None:
    scope = Scopes(connection(), "", Proxies(["*"])).http(head_of(b"GET / HTTP/1.1", b"Host: a"), {})
    assert (scope["client"], scope["scheme"]) == (("198.51.100.7", 50_000), "http")


def test_the_scope_of_a_websocket_connection() -> None:
    head = head_of(b"GET /chat HTTP/1.1", b"Host: x", b"Sec-WebSocket-Protocol: a, b", b"Sec-WebSocket-Protocol: c,")
    scope = Scopes(connection(tls=TLS), "", None).websocket(head, {"a": 1})
    assert (scope["type"], scope["scheme"], scope["subprotocols"]) == ("websocket", "wss", ["a", "b", "c"])
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
    assert set(scope["extensions"]) == {"websocket.http.response", "tls"}
    assert scope["state"] == {"a": 1}
    assert "method" not in scope


def test_tls_is_told_of() -> None:
    scope = Scopes(connection(tls=TLS), "", None).http(HEAD, {})
    assert scope["scheme"] == "https"
    assert scope["extensions"]["tls"]["tls_version"] == 0x0304


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        (
            ((("countryName", "DE"),), (("organizationName", "Ä, Inc."),), (("commonName", "anna"),)),
            r"CN=anna,O=Ä\, Inc.,C=DE",
        ),
        (((("commonName", "a"), ("userId", "7")),), "CN=a+UID=7"),
        (((("commonName", " #a "),),), r"CN=\ #a\ "),
        (((("commonName", "#\\"),),), "CN=\\#\\\\"),
        (((("serialNumber", "1"),), (("commonName", "a"),)), "CN=a"),
        ((), ""),
    ],
)
def test_a_client_s_certificate_has_its_subject_s_name(subject: Any, name: str) -> None:
    told = tls_extension(TlsState("TLSv1.2", "x", peer_certificate={"subject": subject, "notAfter": "x"}))
    assert told["client_cert_name"] == name


def test_addresses_are_of_the_internet() -> None:
    scope = Scopes(connection(client=InternetAddress("2001:db8::1", 7)), "", None).http(HEAD, {})
    assert scope["client"] == ("2001:db8::1", 7)
