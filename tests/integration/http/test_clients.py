"""curl, wget, a library and a WebSocket client visit an ASGI application, in the clear and under TLS."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from integration.http.conftest import FILE_BYTES, Served
from support.peers import run
from support.waiting import WITHIN_S

SCHEMES = ("http", "https")
LARGE = os.urandom(3_000_000)


def curl(served: Served, *arguments: str | Path) -> bytes:
    """Return what curl prints; it must end well."""
    done = run("curl", "--silent", "--show-error", "--max-time", "25", "--cacert", str(served.ca), *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done.stdout


def who(served: Served, *arguments: str, **where: str) -> dict[str, Any]:
    """Return what the application was told of curl's request."""
    told: dict[str, Any] = json.loads(curl(served, "--globoff", *arguments, served.url("/who", **where)))
    return told


@pytest.mark.parametrize("scheme", SCHEMES)
def test_curl_asks_often_over_one_connection(served: Served, scheme: str) -> None:
    urls = [served.url("/hello", scheme=scheme)] * 3
    assert curl(served, "--write-out", "%{num_connects} ", *urls) == b"hello1 hello0 hello0 "


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("host", "client"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")])
def test_the_application_knows_who_asks_and_where(served: Served, scheme: str, host: str, client: str) -> None:
    told = who(served, scheme=scheme, host=host)
    assert told["client"][0] == client
    assert told["server"] == [client, served.port(scheme)]
    assert (told["scheme"], told["http_version"]) == (scheme, "1.1")
    assert told["state"]["began_in"] in served.server.children


def test_curl_speaks_the_older_version(served: Served) -> None:
    assert who(served, "--http1.0")["http_version"] == "1.0"
    # What has no length ends with its connection there.
    assert curl(served, "--http1.0", "--data-binary", "said", served.url("/echo")) == b"said"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_curl_waits_to_be_told_to_continue(served: Served, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "up").write_bytes(LARGE)
    upload = ("--upload-file", tmp_path / "up", "--header", "Expect: 100-continue", "--expect100-timeout", "20")
    said = run("curl", "--verbose", "--cacert", str(served.ca), *map(str, upload), served.url("/count", scheme=scheme))
    assert said.stdout == b"3000000"
    assert b"< HTTP/1.1 100 Continue" in said.stderr


def test_curl_sends_nothing_that_is_refused_before(served: Served, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(LARGE)
    upload = ("--upload-file", tmp_path / "up", "--header", "Expect: 100-continue", "--expect100-timeout", "20")
    assert curl(served, *upload, "--write-out", " %{http_code} %{size_upload}", served.url("/refuse")) == b"no 403 0"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bodies_go_both_ways_at_once(served: Served, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "up").write_bytes(LARGE)
    for framing in ((), ("--header", "Transfer-Encoding: chunked")):
        upload = ("--upload-file", tmp_path / "up", *framing)
        assert curl(served, *upload, served.url("/echo", scheme=scheme)) == LARGE


@pytest.mark.parametrize("scheme", SCHEMES)
def test_wget_gets_a_file_that_the_kernel_copies(served: Served, tmp_path: Path, scheme: str) -> None:
    target = tmp_path / "got"
    url = served.url("/file", scheme=scheme)
    done = run("wget", "--quiet", "--tries=1", f"--ca-certificate={served.ca}", "-O", str(target), url)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == FILE_BYTES


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_library_keeps_its_connection_and_streams(served: Served, scheme: str) -> None:
    with httpx.Client(verify=served.context, base_url=served.url("", scheme=scheme), trust_env=False) as client:
        clients = {tuple(client.get("/who").json()["client"]) for _ in range(3)}
        assert len(clients) == 1
        pieces = (LARGE[start : start + 70_000] for start in range(0, len(LARGE), 70_000))
        with client.stream("POST", "/echo", content=pieces) as answer:
            assert answer.headers["transfer-encoding"] == "chunked"
            assert b"".join(answer.iter_bytes()) == LARGE
        assert client.head("/hello").content == b""
        assert client.get("/none").status_code == 404


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("compression", ["deflate", None])
def test_a_websocket_client_talks(served: Served, scheme: str, compression: str | None) -> None:
    context = served.context if scheme == "wss" else None
    url = served.url("/", scheme=scheme)
    with connect(url, ssl=context, compression=compression, open_timeout=WITHIN_S, proxy=None) as socket:
        for said in ("words", "größer", b"\0bytes", "x" * 500_000, b"y" * 500_000):
            socket.send(said)
            assert socket.recv(WITHIN_S) == said
        assert socket.ping().wait(WITHIN_S)
        socket.send("leave")
        with pytest.raises(ConnectionClosed) as ended:
            socket.recv(WITHIN_S)
    assert ended.value.rcvd is not None
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (4000, "as told")


def test_many_at_once(served: Served) -> None:
    done = run(
        "curl", "--silent", "--parallel", "--parallel-immediate", "--parallel-max", "40", "--fail",
        f"{served.url('/hello')}?[1-300]", "--output", os.devnull, "--write-out", "%{http_code}\n",
    )  # fmt: skip
    assert done.stdout.split() == [b"200"] * 300
