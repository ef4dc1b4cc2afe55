"""ps, top, reload and stop: the commands against a real server's control socket."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.client import connect, read_exactly, read_to_end
from support.server import Server, portside
from support.waiting import WITHIN_S, wait_until

Run = Callable[..., Server]
GREETING = b"220 hello\r\n"


class Operator:
    """Somebody who holds the control socket."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def option(self) -> tuple[str, str]:
        return "--control", str(self.path)

    def ps(self) -> list[dict[str, Any]]:
        done = portside("ps", "--json", *self.option)
        assert done.returncode == 0, done.stderr
        listing: list[dict[str, Any]] = json.loads(done.stdout)
        return listing

    def connections(self) -> list[dict[str, Any]]:
        return [one for service in self.ps() for one in service["connections"]]


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path / "control")


def test_a_connection_is_listed_with_what_it_did_and_can_be_ended(run: Run, operator: Operator, model: str) -> None:
    server = run("battery", *operator.option, model=model)
    with connect(server.at()) as visitor:
        assert read_exactly(visitor, len(GREETING)) == GREETING
        visitor.sendall(b"hi\r\n")
        assert read_exactly(visitor, 8) == b"250 hi\r\n"
        (one,) = wait_until(
            lambda: [one for one in operator.connections() if one["bytes_out"] == len(GREETING) + 8], "its bytes"
        )
        host, port = visitor.getsockname()
        assert one["peer"] == {"host": host, "port": port}
        assert one["local"] == {"host": host, "port": server.port}
        assert (one["bytes_in"], one["state"], one["tls"]) == (4, "reading", None)
        assert one["age_s"] > 0
        assert one["worker"] in server.children

        done = portside("stop", "--connection", one["id"], *operator.option)
        assert (done.returncode, done.stderr) == (0, "")
        assert read_to_end(visitor) == b"421 closed by the operator\r\n"
    wait_until(lambda: not operator.connections(), "the end of it")
    again = portside("stop", "--connection", one["id"], *operator.option)
    assert again.returncode == 1
    assert one["id"] in again.stderr
    (service,) = operator.ps()
    assert (service["service"], service["model"], service["state"]) == ("battery", model, "ready")
    assert service["listen"] == [f"tcp://127.0.0.1:{server.port}"]
    assert (service["opened"], service["open"]) == (1, 0)
    assert (service["bytes_in"], service["limit"]) == (4, 10_000)


def test_ids_are_unique_across_workers_and_pages_are_whole(run: Run, operator: Operator) -> None:
    server = run("battery", "--workers", "2", "--limit-per-ip", "1000", "--limit-accept-rate", "5000", *operator.option)
    visitors = [connect(server.at()) for _ in range(600)]
    for visitor in visitors:
        assert read_exactly(visitor, len(GREETING)) == GREETING
    listed = operator.connections()
    assert len({one["id"] for one in listed}) == len(listed) == 600
    assert {one["peer"]["port"] for one in listed} == {visitor.getsockname()[1] for visitor in visitors}
    assert {one["worker"] for one in listed} == set(server.children)
    for visitor in visitors:
        visitor.close()


def test_what_was_refused_is_counted_by_limit(run: Run, operator: Operator) -> None:
    server = run("battery", "--limit-connections", "1", *operator.option)
    with connect(server.at()) as first:
        assert read_exactly(first, len(GREETING)) == GREETING
        with connect(server.at()) as second:
            assert read_to_end(second) == b"421 too many connections\r\n"
    (service,) = operator.ps()
    assert service["limits_hit"]["connections"] == 1
    assert sum(service["limits_hit"].values()) == 1


def test_people_get_a_table(run: Run, operator: Operator) -> None:
    server = run("battery", *operator.option)
    with connect(server.at()) as visitor:
        assert read_exactly(visitor, len(GREETING)) == GREETING
        for command in ("ps", "top"):
            shown = portside(command, *operator.option).stdout
            assert f"tcp://127.0.0.1:{server.port}" in shown
            assert f"127.0.0.1:{visitor.getsockname()[1]}" in shown
            assert "reading" in shown


def test_nobody_else_may_use_it_and_it_goes_with_the_server(run: Run, operator: Operator) -> None:
    server = run("battery", *operator.option)
    assert stat.S_IMODE(os.stat(operator.path).st_mode) == 0o600
    assert server.stop() == 0
    assert not operator.path.exists()


def test_a_live_control_socket_is_in_use(run: Run, operator: Operator) -> None:
    server = run("battery", *operator.option)
    other = run("battery", *operator.option, listening=0)
    assert other.wait() == 3
    assert str(operator.path) in other.said
    assert operator.ps()[0]["workers"][0]["pid"] in server.children


def test_stop_returns_when_the_server_is_gone(run: Run, operator: Operator) -> None:
    server = run("battery", *operator.option)
    assert portside("stop", env={"PORTSIDE_CONTROL": str(operator.path)}).returncode == 0
    assert server.wait(5) == 0


def test_reload_says_how_it_went(run: Run, operator: Operator, tmp_path: Path) -> None:
    module = tmp_path / "courteous.py"
    module.write_text("async def one(visitor): await visitor.write(b'one')\n")
    server = run("one", *operator.option, cwd=tmp_path, tracebacks=True)
    (old,) = server.children
    assert portside("reload", *operator.option).returncode == 0
    wait_until(lambda: old not in server.children, "the end of the old worker")
    (new,) = server.children
    module.write_text("async def two(visitor): pass\n")
    done = portside("reload", *operator.option)
    assert done.returncode == 1
    assert "one" in done.stderr
    assert server.children == [new]


def test_nonsense_is_answered_and_harms_nobody(run: Run, operator: Operator) -> None:
    run("battery", *operator.option)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(WITHIN_S)
        client.connect(str(operator.path))
        client.sendall(b'{"do": "dance"}\n[1\n{"do": "end"}\n')
        answers = b""
        while answers.count(b"\n") < 3:
            answers += client.recv(4_096)
        assert [list(json.loads(line)) for line in answers.splitlines()] == [["error"]] * 3
        client.sendall(b"x" * 70_000)
        assert client.recv(100) == b""
    assert operator.ps()


def test_a_server_that_is_not_there_is_a_failure_and_no_path_a_mistake(tmp_path: Path) -> None:
    missing = portside("ps", "--control", str(tmp_path / "nothing"))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "no server answers" in missing.stderr
    assert portside("ps").returncode == 2
