"""Batteries over real connections, under every model: the protocol does not know the difference."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest

from portside.protocols.small import CHARGEN_PATTERN
from portside.serve.settings import MODELS
from support import peers
from support.client import connect, exchange, read_exactly, read_to_end


@pytest.mark.parametrize("model", MODELS)
def test_whoami_knows_its_visitor(serve: Any, model: str) -> None:
    server = serve("serve", "whoami", "--model", model, "--listen", "tcp://127.0.0.1:0")
    with connect(server.at()) as visitor:
        host, port = visitor.getsockname()
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n")
        head, _, facts = read_to_end(visitor).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert facts.decode().splitlines()[-2:] == [f"address {host}", f"port {port}"]
    record = server.wait_for_record(event="connection", ended="done")
    assert record["local"] == {"host": "127.0.0.1", "port": server.port}
    assert record["peer"] == {"host": host, "port": port}


@pytest.mark.parametrize("model", MODELS)
def test_chargen_is_the_same_pattern_under_every_model(serve: Any, model: str) -> None:
    server = serve("serve", "chargen", "--model", model, "--listen", "tcp://127.0.0.1:0")
    with connect(server.at()) as visitor:
        visitor.sendall(b"thrown away" * 1_000)
        assert read_exactly(visitor, 300_000) == (CHARGEN_PATTERN * 43)[:300_000]
        visitor.shutdown(socket.SHUT_WR)
        assert len(read_exactly(visitor, 500_000)) == 500_000


@pytest.mark.parametrize("name", ["daytime", "time"])
def test_clocks_tell_and_close_whatever_the_visitor_says(serve: Any, name: str) -> None:
    server = serve("serve", name, "--listen", "tcp://127.0.0.1:0")
    answer = exchange(server.at(), b"ignored" * 1_000)
    assert re.fullmatch(rb"\w+day, \w+ \d+, \d{4} \d\d:\d\d:\d\d-UTC\r\n|.{4}", answer, re.DOTALL)


@pytest.mark.parametrize("arguments", [(), ("--http1.0",), ("--head",), ("--data", "a=b"), ("--request", "BREW")])
def test_curl_understands_whoami(serve: Any, arguments: tuple[str, ...]) -> None:
    server = serve("serve", "whoami", "--listen", "tcp://127.0.0.1:0")
    url = f"http://127.0.0.1:{server.port}/any/path"
    done = peers.run("curl", "--silent", "--write-out", " %{http_code}", *arguments, url)
    assert done.returncode == 0
    expected = {"--data": b" 405", "--request": b" 501"}.get(arguments[0] if arguments else "", b" 200")
    assert done.stdout.endswith(expected)
