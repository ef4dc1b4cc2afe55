"""Sockets made by somebody else: inherited descriptors, and those a service manager passes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portside import errors
from portside.address import Endpoint, parse_endpoint
from portside.net.sockets import Bound, Socket, accept_nowait, bind, remove_path
from support.sockets import bound_to, connect


def adopt(opened: list[Socket], sock: Socket) -> Bound:
    opened.append(sock)
    return bound_to(opened, f"fd://{sock.fileno()}")


def test_a_descriptor_that_listens(opened: list[Socket]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    bound = adopt(opened, listener)
    assert str(bound.endpoint) == f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    assert bound.socket.fileno() != listener.fileno()
    connect(opened, "127.0.0.1", bound.endpoint.port)
    accepted = accept_nowait(bound.socket)
    assert accepted is not None
    accepted[0].close()


def test_a_descriptor_that_is_only_bound_is_made_to_listen(opened: list[Socket]) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    bound = adopt(opened, sock)
    connect(opened, "127.0.0.1", bound.endpoint.port)


def test_a_descriptor_of_udp_and_of_unix(opened: list[Socket], tmp_path: Path) -> None:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    bound = adopt(opened, udp)
    assert bound.endpoint.is_datagram
    assert str(bound.endpoint) == f"udp://127.0.0.1:{udp.getsockname()[1]}"
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(f"{tmp_path}/s")
    bound = adopt(opened, unix)
    assert str(bound.endpoint) == f"unix:{tmp_path}/s"
    assert not remove_path(bound)  # whoever made it removes it


def test_descriptors_that_cannot_be_served(opened: list[Socket], tmp_path: Path) -> None:
    closed = os.open(tmp_path, os.O_RDONLY)
    os.close(closed)
    with pytest.raises(errors.LocalError, match="not open"):
        bind(Endpoint("fd", fd=closed))
    with open(tmp_path / "f", "wb") as file, pytest.raises(errors.LocalError, match="not a socket"):
        bind(Endpoint("fd", fd=file.fileno()))
    one, other = socket.socketpair()
    opened.extend((one, other))
    with pytest.raises(errors.LocalError, match="not a listening socket"):
        bind(Endpoint("fd", fd=one.fileno()))
    mail = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    opened.append(mail)
    with pytest.raises(errors.LocalError, match="only streams"):
        bind(Endpoint("fd", fd=mail.fileno()))


SYSTEMD = """
import os, sys
from portside.address import parse_endpoint
from portside.errors import LocalError
from portside.net.sockets import bind
os.environ["LISTEN_PID"] = sys.argv[1].replace("SELF", str(os.getpid()))
try:
    print(*(bound.endpoint for bound in bind(parse_endpoint(sys.argv[2]))))
except LocalError as error:
    print("LocalError:", error)
"""


@pytest.mark.parametrize(
    ("names", "url", "ports"),
    [
        (None, "systemd://", [0, 1, 2]),
        ("web:unknown:ftp", "systemd://", [1]),
        ("web:web:x.socket", "systemd://web", [0, 1]),
        ("web:web:x.socket", "systemd://", [2]),
        ("web:web:x.socket", "systemd://x", [2]),
    ],
)
def test_systemd_passes_sockets_by_name(opened: list[Socket], names: str | None, url: str, ports: list[int]) -> None:
    passed = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    opened.extend(passed)
    said = run_under_systemd(passed, names, url)
    assert said.split() == [f"tcp://127.0.0.1:{passed[index].getsockname()[1]}" for index in ports]


@pytest.mark.parametrize(
    ("names", "url", "process", "reason"),
    [
        ("a:b:c", "systemd://", "SELF", "there are: a, b, c"),
        ("a:b:c", "systemd://d", "SELF", "there are: a, b, c"),
        ("a:b:c", "systemd://a", "1", "process 1"),
    ],
)
def test_systemd_sockets_that_are_not_there(
    opened: list[Socket], names: str, url: str, process: str, reason: str
) -> None:
    passed = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    opened.extend(passed)
    said = run_under_systemd(passed, names, url, process)
    assert said.startswith("LocalError:")
    assert reason in said


def test_systemd_without_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    with pytest.raises(errors.LocalError, match="LISTEN_FDS is not set"):
        bind(parse_endpoint("systemd://web"))


def run_under_systemd(passed: list[Socket], names: str | None, url: str, process: str = "SELF") -> str:
    """Start a process that has the sockets as its descriptors from 3 on, as a service manager would."""
    environment = {**os.environ, "LISTEN_FDS": str(len(passed)), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("LISTEN_FDNAMES", None)
    if names is not None:
        environment["LISTEN_FDNAMES"] = names
    # Through descriptors no socket has, so that moving one does not overwrite another.
    moves = [f"{10 + index}<&{sock.fileno()}" for index, sock in enumerate(passed)]
    moves += [f"{3 + index}<&{10 + index}" for index in range(len(passed))]
    command = f'exec "$@" {" ".join(moves)}'
    run = subprocess.run(
        ["bash", "-c", command, "bash", sys.executable, "-c", SYSTEMD, process, url],
        env=environment,
        pass_fds=[sock.fileno() for sock in passed],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
