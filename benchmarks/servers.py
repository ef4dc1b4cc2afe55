"""The servers that are compared: how each is started."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from portside.cli.rig.load import compile_c, compile_with
from portside.cli.rig.servers import NotAvailable, Server, last_line, portside_server, start, stop_process

HERE = Path(__file__).resolve().parent
READY_S_MAX = 30.0  # the first start of the Go peer compiles

REFERENCE = "c-epoll"
OURS = "portside-event"
PYTHON_PEERS = {
    "uvloop-protocol": "uvloop_protocol.py",
    "asyncio-protocol": "asyncio_protocol.py",
    "uvloop-streams": "uvloop_streams.py",
    "asyncio-streams": "asyncio_streams.py",
    "twisted": "twisted_protocol.py",
    "anyio": "anyio_streams.py",
    "trio": "trio_streams.py",
    "gevent": "gevent_streams.py",
    "threads": "socketserver_threads.py",
}
GO_PEER = "go-net"
NAMES = (REFERENCE, GO_PEER, OURS, *PYTHON_PEERS)


def compile_go(directory: Path) -> Path:
    """Return the program made of the Go peer, in that directory."""
    program = directory / GO_PEER
    compile_with(["go", "build", "-o", str(program), str(HERE / "peers" / "go_net.go")])
    return program


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts servers on one core."""

    directory: Path
    python: str
    core: int
    congestion: str | None

    @contextlib.contextmanager
    def started(self, name: str) -> Iterator[Server]:
        """Start the server of that name, and stop it afterwards.

        Raises: NotAvailable if a library, a compiler or the server itself is not there.
        """
        if name == OURS:
            # A user's handler, not a battery.
            served = portside_server(
                name, "run", "benchmarks.handlers:echo", core=self.core, python=self.python, folder=HERE.parent
            )
        else:
            served = peer_server(name, self.command(name), core=self.core)
        with served as server:
            yield server

    def command(self, name: str) -> list[str]:
        """Return the command line that serves echo on a free port."""
        if name == REFERENCE:
            congestion = [self.congestion] if self.congestion else []
            return [str(compile_c(HERE / "c" / "echo_epoll.c", self.directory)), "0", *congestion]
        if name == GO_PEER:
            return [str(compile_go(self.directory)), "0"]
        return [self.python, str(HERE / "peers" / PYTHON_PEERS[name]), "0"]


@contextlib.contextmanager
def peer_server(name: str, command: list[str], *, core: int) -> Iterator[Server]:
    """Run a program that says ``listening PORT`` on stdout when it is ready, and stop it afterwards.

    Raises: NotAvailable with its last words, if it does not come to listen.
    """
    # Not a pipe: nobody reads it while we measure, and a full pipe would stop the server.
    with tempfile.TemporaryFile() as complaints:
        process = start(command, core, stderr=complaints)
        try:
            port = read_port(process)
            if port is None:
                raise NotAvailable(last_line(complaints) or "it did not start")
            yield Server(name, port, process)
        finally:
            stop_process(process)


def read_port(process: subprocess.Popen[bytes]) -> int | None:
    """Return the port from the line ``listening PORT``; None if the server ends or is silent."""
    assert process.stdout is not None
    deadline = time.monotonic() + READY_S_MAX
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 100) if readable else b""
        if not piece:
            return None
        line += piece
    word, _, port = line.decode().partition(" ")
    return int(port) if word == "listening" else None
