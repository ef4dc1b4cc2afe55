"""Applications on a real server, asked by other people's clients, on both loops and over TLS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import peers
from support.certificates import Certificates
from support.client import connect, exchange, read_to_end
from support.server import Server

Asgi = Callable[..., Server]
Client = Callable[..., httpx.Client]

BIG = bytes(range(256)) * 20_000


# ── plain applications ───────────────────────────────────────────────────────────────────────────────────────────────


def test_requests_of_every_kind(asgi: Asgi, client: Client, loop: str) -> None:
    server = asgi("plain:app", loop=loop)
    with client(server) as http:
        assert http.get("/a%20b?c=d").text == "/a b"
        assert http.post("/echo", content=b"hello").content == b"hello"
        assert http.post("/echo", content=iter([b"in ", b"", b"chunks"])).content == b"in chunks"
        assert http.post("/echo", content=BIG).content == BIG
        head = http.head("/x")
        assert (head.status_code, head.content) == (200, b"")
        assert http.request("PROPFIND", "/x").text == "/x"
        assert "date" in head.headers
        assert "server" not in head.headers
    records = [record for record in server.records if record.get("event") == "connection"]
    assert len(records) <= 1, "one connection for all of them"


def test_over_tls(asgi: Asgi, client: Client, loop: str, certificates: Certificates) -> None:
    issued = certificates.issue("127.0.0.1")
    options = ("--tls-cert", str(issued.chain), "--tls-key", str(issued.key))
    server = asgi("plain:app", *options, loop=loop, listen="tls://127.0.0.1:0")
    context = ssl.create_default_context(cafile=str(certificates.ca))
    with client(server, verify=context) as http:
        assert http.post("/echo", content=BIG).content == BIG
        scope = http.get("/scope").json()
    assert scope["scheme"] == "https"
    assert "'tls_version': 772" in scope["extensions"]


def test_what_an_application_knows_of_its_client(asgi: Asgi) -> None:
    server = asgi("plain:app", "--root-path", "/shop/")
    with connect(server.at()) as visitor:
        visitor.sendall(b"GET /scope HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        scope = json.loads(read_to_end(visitor).partition(b"\r\n\r\n")[2])
        assert scope["client"] == list(visitor.getsockname())
    assert scope["path"] == "/shop/scope"
    assert scope["server"] == ["127.0.0.1", server.port]
    assert scope["root_path"] == "/shop"
    assert scope["state"] == {"greeting": "hello"}


def test_over_a_unix_socket(asgi: Asgi, tmp_path: Path) -> None:
    server = asgi("plain:app", "--forwarded-from", "unix", listen=f"unix:{tmp_path}/s")
    arguments = ("--silent", "--unix-socket", f"{tmp_path}/s", "--header", "X-Forwarded-For: 192.0.2.7")
    said = peers.run("curl", *arguments, "http://shop.example/scope").stdout
    assert b'"client": ["192.0.2.7", 0]' in said
    assert server.process.poll() is None


PROXIED = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(("networks", "known"), [("10.0.0.0/8,127.0.0.1", ["192.0.2.7", 0]), ("10.0.0.0/8", None)])
def test_proxies_that_are_trusted_are_believed(asgi: Asgi, client: Client, networks: str, known: Any) -> None:
    with client(asgi("plain:app", "--forwarded-from", networks)) as http:
        scope = http.get("/scope", headers=PROXIED).json()
    assert scope["client"][0] == (known[0] if known else "127.0.0.1")
    assert scope["scheme"] == ("https" if known else "http")


def test_a_proxy_in_front_may_speak_the_proxy_protocol(asgi: Asgi) -> None:
    server = asgi("plain:app", "--proxy-from", "127.0.0.1")
    header = b"PROXY TCP4 192.0.2.9 127.0.0.1 4711 80\r\n"
    said = exchange(server.at(), header + b"GET /scope HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b'"client": ["192.0.2.9", 4711]' in said


CURLS: dict[tuple[str, ...], bytes] = {
    ("--http1.0",): b"200",
    ("--http1.1", "--head"): b"200",
    ("--http2",): b"200",  # asks for h2c, and is answered in HTTP/1.1
    ("--data", "a=b"): b"200",
    ("--http2", "--data", "a=b"): b"200",
    ("--data-binary", "@-", "--header", "Expect: 100-continue"): b"200",
    ("--upload-file", "-", "--header", "Transfer-Encoding: chunked"): b"200",
    ("--request", "BREW"): b"501",
    ("--header", "Host:"): b"400",
    ("--header", "Transfer-Encoding: gzip", "--data", "x"): b"400",
    ("--request-target", "http://other.example/echo"): b"200",
    ("--request-target", "/a#b"): b"400",
}


def test_curl_is_understood(asgi: Asgi) -> None:
    server = asgi("plain:app")
    url = f"http://127.0.0.1:{server.port}/echo"
    for arguments, status in CURLS.items():
        done = peers.run("curl", "--silent", "--write-out", " %{http_code}", *arguments, url, input=b"x" * 100_000)
        assert done.stdout.endswith(b" " + status), (arguments, done.stderr)
        assert done.returncode == 0, arguments


def test_wget_and_its_kept_connection(asgi: Asgi, tmp_path: Path) -> None:
    server = asgi("plain:app")
    urls = [f"http://127.0.0.1:{server.port}/{name}" for name in ("one", "two")]
    assert peers.run("wget", "--quiet", *urls, cwd=tmp_path).returncode == 0
    assert [(tmp_path / name).read_text() for name in ("one", "two")] == ["/one", "/two"]
    record = server.wait_for_record(event="connection", ended="done")
    assert record["bytes_out"] > 150, "both came over one connection"


def test_a_failure_is_500_and_one_record_with_its_traceback(asgi: Asgi, client: Client) -> None:
    server = asgi("plain:app", tracebacks=True)
    with client(server) as http:
        assert http.get("/fail").status_code == 500
        assert http.get("/x").status_code == 200, "the others are served"
    record = server.wait_for_record(event="connection", ended="handler")
    assert record["detail"] == "LookupError: no such thing"
    assert server.said.count("Traceback") == 1


def test_a_bad_client_is_a_record_without_a_traceback(asgi: Asgi) -> None:
    server = asgi("plain:app")
    assert exchange(server.at(), b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")
    record = server.wait_for_record(event="connection", ended="peer")
    assert record["detail"] == "400: the request line is malformed"


def test_a_client_too_many_is_told_so(asgi: Asgi) -> None:
    server = asgi("plain:app", "--limit-per-ip", "1")
    with connect(server.at()), connect(server.at()) as another:
        assert read_to_end(another).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


def test_a_client_that_leaves_is_told_of(asgi: Asgi, loop: str) -> None:
    server = asgi("plain:app", loop=loop)
    with connect(server.at()) as visitor:
        visitor.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for_line("waiting")
    server.wait_for_line("the client has left")


def test_an_idle_connection_is_closed_without_a_word_and_one_at_work_is_not(asgi: Asgi) -> None:
    server = asgi("plain:app", "--limit-idle", "1s")
    with connect(server.at()) as idle, connect(server.at()) as waiting:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        waiting.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_to_end(idle).count(b"HTTP/1.1") == 1
        server.wait_for_record(event="connection", ended="idle")
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)
        waiting.setblocking(True)
        waiting.shutdown(socket.SHUT_WR)
        assert read_to_end(waiting) == b""


# ── Starlette ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("application", ["star:app", "star:plain_app"])
def test_starlette_is_served(asgi: Asgi, client: Client, loop: str, application: str) -> None:
    server = asgi(application, loop=loop)
    with client(server) as http:
        home = http.get("/")
        assert home.text == "hello from lifespan"
        assert home.headers.get("x-stamp") == ("stamped" if application == "star:app" else None)
        assert http.post("/form?a=b", content=BIG).json() == {"length": len(BIG), "query": {"a": "b"}}
        assert http.put("/count", content=iter([b"x" * 70_000] * 20)).json() == {"length": 1_400_000}
        assert http.get("/missing").status_code == 404
        assert http.get("/form").status_code == 405
        page = http.get("/static/star.py")
        assert page.text == (Path(__file__).parent / "applications" / "star.py").read_text()
        again = http.get("/static/star.py", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        part = http.get("/static/star.py", headers={"Range": "bytes=1-5", "Accept-Encoding": "identity"})
        assert (part.status_code, part.text) == (206, page.text[1:6])
    assert server.stop() == 0
    assert "lifespan is over" in server.said


def test_a_file_is_sent_by_its_path(asgi: Asgi, client: Client, tmp_path: Path, loop: str) -> None:
    (path := tmp_path / "big").write_bytes(BIG)
    (small := tmp_path / "small").write_bytes(b"small")
    with client(asgi("star:plain_app", loop=loop)) as http:
        for _ in range(2):
            assert http.get("/file", params={"path": str(path)}).content == BIG
            assert http.get("/file", params={"path": str(small)}).content == b"small"


@pytest.mark.parametrize("application", ["star:app", "star:plain_app"])
@pytest.mark.parametrize(
    ("path", "words"), [("/ticks", "the stream has ended"), ("/quiet", "the quiet stream has ended")]
)
def test_a_stream_ends_when_its_client_leaves(asgi: Asgi, loop: str, application: str, path: str, words: str) -> None:
    server = asgi(application, loop=loop)
    with connect(server.at()) as visitor:
        visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert visitor.recv(10)
    server.wait_for_line(words)


def test_a_background_task_holds_nobody_up_and_is_finished(asgi: Asgi, client: Client) -> None:
    server = asgi("star:plain_app")
    with client(server) as http:
        assert http.get("/later").text == "accepted"
        assert http.get("/").text == "hello from lifespan", "on the same connection"
        assert "the work is done" not in server.said
    assert server.stop() == 0
    assert "the work is done" in server.said


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_failure(asgi: Asgi) -> None:
    server = asgi("star:plain_app")
    exchange(server.at(), b"POST /stop HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
    server.wait_for_record(event="connection", ended="done")
