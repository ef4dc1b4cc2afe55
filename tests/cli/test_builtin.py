"""The services a server has of its own: where they come from, what they are given, and what they leave behind."""

from __future__ import annotations

import json
import os
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from portside.address import parse_endpoint
from portside.cli.builtin import Builtin
from portside.contracts import Battery
from portside.errors import UsageError
from portside.serve.settings import BY_NAME, ServerSettings, ServiceSettings
from support.client import connect
from support.server import Server

pytest.importorskip("httptools")
pytest.importorskip("websockets")

Serve = Callable[..., Server]
LOOPBACK = parse_endpoint("tcp://127.0.0.1:8099")


def settings(**more: object) -> ServerSettings:
    service = ServiceSettings("echo", (parse_endpoint("tcp://127.0.0.1:0"),), lambda: Battery("echo"), "echo")
    return ServerSettings(**{"services": (service,), **more})  # type: ignore[arg-type]


# ── what is typed ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("http://127.0.0.1:8099", "tcp://127.0.0.1:8099"),
        ("http://127.0.0.1:8099/", "tcp://127.0.0.1:8099"),
        ("HTTP://localhost:0", "tcp://localhost:0"),
        ("http://[::1]:8099", "tcp://[::1]:8099"),
        ("8099", "tcp://127.0.0.1:8099"),
        (":8099", "tcp://127.0.0.1:8099"),
        ("0.0.0.0:8099", "tcp://0.0.0.0:8099"),
    ],
)
def test_a_place_for_pages_is_an_address_of_http(text: str, endpoint: str) -> None:
    assert str(BY_NAME["dashboard"].parse(text)) == endpoint


@pytest.mark.parametrize("text", ["https://127.0.0.1:1", "tcp://127.0.0.1:1", "http://", "http://127.0.0.1:99999", ""])
def test_what_is_no_place_for_pages_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        BY_NAME["admin"].parse(text)


@pytest.mark.parametrize("text", ["short", "with a space in it", "", "café-is-not-ascii-really"])
def test_a_token_that_could_be_guessed_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        BY_NAME["dashboard-token"].parse(text)
    assert not text or text not in str(caught.value)


# ── what is made of it ───────────────────────────────────────────────────────────────────────────────────────────────


def test_settings_that_ask_for_nothing_stay_as_they_are() -> None:
    plain = settings()
    assert Builtin().furnish(plain) is plain


def test_a_control_socket_that_nobody_asked_for_is_for_this_user_alone_and_goes() -> None:
    builtin = Builtin()
    control = builtin.furnish(settings(dashboard=LOOPBACK)).control
    assert control is not None
    folder = Path(control).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert builtin.furnish(settings(dashboard=LOOPBACK)).control == control, "a reload finds the same"
    builtin.close()
    assert not folder.exists()


def test_the_control_socket_that_is_there_is_used() -> None:
    assert Builtin().furnish(settings(dashboard=LOOPBACK, control="/run/x.sock")).control == "/run/x.sock"


def test_a_service_of_the_same_name_keeps_it() -> None:
    other = ServiceSettings("dashboard", (LOOPBACK,), lambda: Battery("x"), "x")
    furnished = Builtin().furnish(settings(services=(other,), dashboard=LOOPBACK, control="/run/x.sock"))
    assert [service.name for service in furnished.services] == ["dashboard", "dashboard-2"]


def test_a_token_is_made_and_printed_once_where_others_can_come(capsys: pytest.CaptureFixture[str]) -> None:
    builtin = Builtin()
    asked = settings(dashboard=parse_endpoint("tcp://0.0.0.0:8099"), control="/run/x.sock")
    first, again = builtin.furnish(asked), builtin.furnish(asked)
    printed = capsys.readouterr().err
    assert printed.count("?token=") == 1
    token = printed.rpartition("=")[2].strip()
    assert len(token) >= 32
    assert [one.services[-1].load.token for one in (first, again)] == [token, token]  # type: ignore[attr-defined]


def test_loopback_needs_no_token_and_has_one_when_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    given = "the-token-of-these-tests"
    for asked, token in ((None, None), (given, given)):
        furnished = Builtin().furnish(settings(dashboard=LOOPBACK, dashboard_token=asked, control="/run/x.sock"))
        assert furnished.services[-1].load.token == token  # type: ignore[attr-defined]
    assert capsys.readouterr().err == ""


# ── a real server ────────────────────────────────────────────────────────────────────────────────────────────────────


def get(url: str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_admin_tells_programs_of_a_server_without_a_control_socket(serve: Serve) -> None:
    server = serve("serve", "echo", "--listen", "tcp://127.0.0.1:0", "--admin", "http://127.0.0.1:0", listening=2)
    at = f"http://127.0.0.1:{server.at('admin').port}"
    server.wait_for(lambda: get(f"{at}/ready")[0] == 200, "readiness")
    assert json.loads(get(f"{at}/health")[1]) == {"state": "running"}
    with connect(server.at("echo")) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        metrics = get(f"{at}/metrics")[1].decode()
    assert metrics.endswith("# EOF\n")
    assert 'service="echo"' in metrics
    assert get(f"{at}/")[0] == 404


def test_a_dashboard_that_dies_takes_nobody_with_it(serve: Serve) -> None:
    arguments = ("--listen", "tcp://127.0.0.1:0", "--dashboard", "http://127.0.0.1:0")
    server = serve("serve", "echo", *arguments, listening=2)
    at = f"http://127.0.0.1:{server.at('dashboard').port}"
    with connect(server.at("echo")) as client:
        dashboard = worker_of(at)
        os.kill(dashboard, 9)
        server.wait_for(lambda: f"worker {dashboard} " in server.said, "its end")
        client.sendall(b"still here")
        assert client.recv(100) == b"still here"
        server.wait_for(lambda: worker_of(at) != dashboard, "another one")


def worker_of(at: str) -> int:
    """Return the process that serves the dashboard, as its own events tell."""
    host, _, port = at.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as stream:
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        came = b""
        while (place := came.find(b'"builtin":true')) < 0 or came.find(b"\n\n", place) < 0:
            data = stream.recv(65_536)
            assert data
            came += data
    blocks = [block for block in came.decode().split("data: ") if '"builtin":true' in block]
    text = blocks[-1].partition("\n\n")[0]
    services = json.loads(text)["services"]
    return int(next(service["workers"][-1]["pid"] for service in services if service["builtin"]))
