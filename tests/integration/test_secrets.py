"""What nobody may see who watches: passwords and tokens never arrive in conversations, failures, metrics or the log."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portside.observe.metrics import build_openmetrics
from portside.protocols import catalogue
from support.client import connect, read_to_end
from support.operators import Asking
from support.server import Ready, Server
from support.waiting import wait_until

SECRET = "hunter2-and-more"
BASIC = base64.b64encode(f"anna:{SECRET}".encode()).decode()

APPLICATION = """
async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    elif scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"2"), (b"set-cookie", b"session=SECRET")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
""".replace("SECRET", SECRET)


def talk(ready: Ready, *pieces: str) -> None:
    """Say the pieces, and listen until the server has said all."""
    for piece in pieces:
        with connect(ready) as client:
            client.sendall(piece.encode())
            client.shutdown(socket.SHUT_WR)
            read_to_end(client)


def ftp(ready: Ready) -> None:
    """Every way to say a password: in time, too early, wrong, in other letters, and with an account."""
    talk(
        ready,
        f"USER anna\r\nPASS {SECRET}\r\nPWD\r\nACCT {SECRET}\r\nQUIT\r\n",
        f"PASS {SECRET}\r\nUSER anna\r\npAsS {SECRET} wrong\r\npass  {SECRET}\r\nQUIT\r\n",
        f"USER anna\r\nPASS {SECRET}\0\r\nPASS {SECRET}",
    )


def http(ready: Ready) -> None:
    """Headers that log in, queries, URLs with passwords, and bodies."""
    head = f"Host: x\r\nCookie: session={SECRET}\r\nProxy-Authorization: Basic {BASIC}\r\nX-Token: {SECRET}\r\n"
    talk(
        ready,
        f"GET /?token={SECRET} HTTP/1.1\r\n{head}Authorization: Basic {BASIC}\r\n\r\n"
        f"PUT /x HTTP/1.1\r\n{head}Authorization: Bearer {SECRET}\r\nContent-Length: {len(SECRET)}\r\n\r\n{SECRET}",
        f"GET http://anna:{SECRET}@x/y?{SECRET} HTTP/1.1\r\n{head}\r\n",
        f"GET / HTTP/1.1\r\n{head}{SECRET}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{head}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x01",
    )


def lines(ready: Ready) -> None:
    talk(ready, "http\r\n")


SCENES: dict[str, tuple[Callable[[Ready], None], tuple[str, ...]]] = {
    "ftp": (ftp, ("ROOT", "--login", f"anna:{SECRET}")),
    "http": (http, ("ROOT", "--login", f"anna:{SECRET}", "--allow-upload")),
    "asgi": (http, ("app:application",)),
    "whoami": (http, ("--no-names",)),
    "directory": (lines, ()),
    "daytime": (lines, ()),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "app.py").write_text(APPLICATION)
    return tmp_path


def spoken_of(server: Server) -> list[dict[str, Any]]:
    return [record for record in server.records if record["event"] == "spoke"]


def test_every_battery_that_speaks_has_a_scene() -> None:
    assert {name for name in catalogue.names() if name not in SCENES} == {"echo", "discard", "chargen", "time"}
    assert not any(catalogue.load(name).speaks for name in ("echo", "discard", "chargen", "time"))


@pytest.mark.parametrize("name", SCENES)
def test_no_secret_is_told(serve: Callable[..., Server], place: Path, name: str) -> None:
    operator = Asking(place / "control")
    scene, arguments = SCENES[name]
    arguments = tuple(str(place / "root") if word == "ROOT" else word for word in arguments)
    server = serve(
        *("serve", name, *arguments, "--listen", "tcp://127.0.0.1:0", *operator.option),
        *("--log-level", "debug", "--log-format", "json"),
        cwd=place,
    )
    scene(server.at())
    wait_until(lambda: operator.ask("stats")["services"][0]["open"] == 0, "the end of all connections")

    def told_as_logged() -> list[dict[str, Any]] | None:
        """Return the conversations once the log has come as far as they have: its lines are read as they arrive."""
        spoken = spoken_of(server)
        told = [operator.ask("conversation", connection=one) for one in {record["connection"] for record in spoken}]
        return told if sum(len(one["messages"]) for one in told) == len(spoken) else None

    told = wait_until(told_as_logged, "the log to tell what the conversations do")
    assert {record["direction"] for record in spoken_of(server)} >= {"out"}
    everything = json.dumps(told) + json.dumps(operator.ask("errors"))
    everything += build_openmetrics(operator.ask("stats")) + server.said
    for secret in (SECRET, BASIC, BASIC[:12]):
        assert secret not in everything
