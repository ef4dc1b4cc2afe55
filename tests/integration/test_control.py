"""The control socket, and the commands behind which it stands."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from support.client import connect, exchange, is_over
from support.server import Server, environment, portside
from support.waiting import WITHIN_S, wait_until

Run = Callable[..., Server]


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "control"


def services(control: Path) -> list[dict[str, Any]]:
    """Return what ``portside ps --json`` lists."""
    done = portside("ps", "--control", str(control), "--json")
    assert done.returncode == 0, done.stderr
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


def connections(control: Path) -> list[dict[str, Any]]:
    return [one for service in services(control) for one in service["connections"]]


def test_only_its_owner_may_ask(run: Run, control: Path) -> None:
    run("shout", "--control", str(control))
    assert control.stat().st_mode & 0o777 == 0o600


def test_ps_lists_services_and_who_is_connected(run: Run, control: Path, model: str) -> None:
    server = run("shout", "--control", str(control), model=model)
    with connect(server.at()) as visitor:
        visitor.sendall(b"hello\n")
        assert visitor.recv(100) == b"HELLO\n"
        # Under fork a child tells its worker once a second.
        wait_until(lambda: [one["bytes_out"] for one in connections(control)] == [6], "the connection in the listing")
        (service,) = services(control)
        assert service["service"] == "shout"
        assert service["model"] == model.partition(" ")[0]
        assert service["open"] == 1
        (one,) = service["connections"]
        host, port = visitor.getsockname()
        assert one["peer"] == {"host": host, "port": port}
        assert one["local"] == {"host": "127.0.0.1", "port": server.port}
        assert one["bytes_in"] == 6
        assert one["state"] == "reading"
        assert datetime.fromisoformat(one["started_at"]).tzinfo is not None
        text = portside("ps", "--control", str(control)).stdout
        assert one["id"] in text
        assert f"{host}:{port}" in text
    wait_until(lambda: connections(control) == [], "the end of the connection in the listing")
    assert services(control)[0]["opened"] == 1


def test_one_connection_can_be_ended(run: Run, control: Path, model: str) -> None:
    if model == "iterative":
        pytest.skip("one connection at a time: nobody is left to compare with")
    server = run("shout", "--control", str(control), model=model)
    with connect(server.at()) as leaving, connect(server.at()) as staying:
        for visitor in (leaving, staying):
            visitor.sendall(b"hi\n")
            assert visitor.recv(100) == b"HI\n"
        port = leaving.getsockname()[1]
        wait_until(lambda: len(connections(control)) == 2, "two connections in the listing")
        name = next(one["id"] for one in connections(control) if one["peer"]["port"] == port)
        assert portside("stop", "--control", str(control), "--connection", name).returncode == 0
        wait_until(lambda: is_over(leaving), "the end of the connection")
        staying.sendall(b"still\n")
        assert staying.recv(100) == b"STILL\n"
    server.wait_for_record(event="connection", connection=name, ended="stopped")


def test_an_unknown_connection_cannot_be_ended(run: Run, control: Path) -> None:
    run("shout", "--control", str(control))
    done = portside("stop", "--control", str(control), "--connection", "nobody")
    assert done.returncode == 1
    assert "nobody" in done.stderr


def test_reload_returns_when_it_is_done(run: Run, control: Path) -> None:
    server = run("shout", "--control", str(control))
    (before,) = server.children
    assert portside("reload", "--control", str(control)).returncode == 0
    (worker,) = [one["pid"] for one in services(control)[0]["workers"] if one["state"] == "ready"]
    assert worker != before
    assert exchange(server.at(), b"new\n") == b"NEW\n"


def test_a_service_that_a_reload_took_away_is_listed_while_somebody_is_with_it(
    serve: Run, control: Path, tmp_path: Path
) -> None:
    file = tmp_path / "portside.toml"
    kept = f'control = "{control}"\n[service.kept]\nserve = "echo"\nlisten = ["tcp://127.0.0.1:0"]\n'
    file.write_text(kept + kept.partition("\n")[2].replace("kept", "gone"))
    server = serve("up", str(file))
    server.wait_until_ready(2)
    gone = next(one for one in services(control) if one["service"] == "gone")
    port = int(gone["listen"][0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), WITHIN_S) as visitor:
        visitor.sendall(b"hi")
        assert visitor.recv(2) == b"hi"
        file.write_text(kept)
        assert portside("reload", "--control", str(control)).returncode == 0
        listed = {one["service"]: one for one in services(control)}
        assert list(listed) == ["kept", "gone"]
        assert (listed["gone"]["state"], listed["gone"]["listen"]) == ("retiring", [])
        (one,) = listed["gone"]["connections"]
        assert portside("stop", "--control", str(control), "--connection", one["id"]).returncode == 0
        assert is_over(visitor)
    wait_until(lambda: [one["service"] for one in services(control)] == ["kept"], "the end of its worker")
    assert server.stop() == 0


def test_a_reload_that_cannot_be_says_why(serve: Run, control: Path, tmp_path: Path) -> None:
    module = tmp_path / "hello.py"
    module.write_text("async def hello(visitor): await visitor.write(b'hello')\n")
    server = serve("run", "hello:hello", "--listen", "tcp://127.0.0.1:0", "--control", str(control), cwd=tmp_path,
                   tracebacks=True)  # fmt: skip
    module.write_text("async def helo(visitor): pass\n")
    done = portside("reload", "--control", str(control))
    assert done.returncode == 1
    assert "hello" in done.stderr
    assert exchange(server.at(), b"") == b"hello"


def test_stop_returns_when_the_server_is_gone(run: Run, control: Path) -> None:
    server = run("shout", "--control", str(control))
    assert portside("stop", "--control", str(control)).returncode == 0
    assert server.wait() == 0
    assert not control.exists()


def test_top_prints_once_where_there_is_no_terminal(run: Run, control: Path) -> None:
    run("shout", "--control", str(control))
    done = portside("top", "--control", str(control))
    assert done.returncode == 0
    assert "shout" in done.stdout
    assert "  1 service, 0 connections\n" in done.stdout


def test_top_streams_an_object_a_line(run: Run, control: Path) -> None:
    run("shout", "--control", str(control))
    command = [sys.executable, "-m", "portside", "top", "--json", "--control", str(control)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        told = json.loads(watching.stdout.readline())
        watching.send_signal(signal.SIGINT)
        assert watching.wait(WITHIN_S) == 0
    assert set(told) == {"time", "services"}
    assert [one["service"] for one in told["services"]] == [one["service"] for one in services(control)]


@pytest.mark.parametrize("command", ["ps", "top", "reload", "stop"])
def test_nobody_there(command: str, control: Path) -> None:
    done = portside(command, "--control", str(control))
    assert done.returncode == 1
    assert str(control) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("said", [b"", b"\0", b"nonsense\n", b"{}\n", b'{"do": "dance"}\n', b"x" * 100_000])
def test_nonsense_on_the_control_socket_harms_nobody(run: Run, control: Path, said: bytes) -> None:
    server = run("shout", "--control", str(control))
    with socket.socket(socket.AF_UNIX) as visitor, contextlib.suppress(OSError):
        visitor.settimeout(WITHIN_S)
        visitor.connect(str(control))
        visitor.sendall(said)
        visitor.shutdown(socket.SHUT_WR)
        while visitor.recv(1_000):
            pass
    assert len(services(control)) == 1
    assert exchange(server.at(), b"hi\n") == b"HI\n"


def test_one_who_asks_and_never_listens_holds_up_nobody(run: Run, control: Path) -> None:
    server = run("shout", "--control", str(control))
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(str(control))
        assert len(services(control)) == 1
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
