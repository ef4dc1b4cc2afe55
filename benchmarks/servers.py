"""The servers that are compared: how each is started, watched and stopped."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import machine

HERE = Path(__file__).resolve().parent
READY_S_MAX = 30.0  # the first start of the Go peer compiles
STOP_S_MAX = 5.0

REFERENCE = "c-epoll"
PYTHON_PEERS = {
    "portside-event": "portside_event.py",
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
NAMES = (REFERENCE, GO_PEER, *PYTHON_PEERS)


class NotAvailable(Exception):
    """A server cannot be measured here; the sentence says why."""


def compile_c(directory: Path, name: str) -> Path:
    """Return the program made of a C file of ours, in that directory."""
    program = directory / name
    compile_with(["gcc", "-O2", "-std=c11", "-o", str(program), str(HERE / "c" / f"{name}.c")])
    return program


def compile_go(directory: Path) -> Path:
    """Return the program made of the Go peer, in that directory."""
    program = directory / GO_PEER
    compile_with(["go", "build", "-o", str(program), str(HERE / "peers" / "go_net.go")])
    return program


def compile_with(command: list[str]) -> None:
    """Run a compiler; what it says about a failure becomes the reason not to measure."""
    if shutil.which(command[0]) is None:
        raise NotAvailable(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise NotAvailable(f"{command[0]} failed: {done.stderr.strip()[-200:]}")


@dataclass(slots=True)
class Server:
    """A running server, and the port it listens on."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu(self) -> machine.Cpu:
        """Return the CPU it has used, with its children."""
        return machine.cpu(self.process.pid)

    def memory_bytes(self) -> int:
        """Return the memory it holds, with its children."""
        return machine.memory_bytes(self.process.pid)

    def is_running(self) -> bool:
        """Return whether its first process lives."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Ask it to end; what is still there after a while is killed."""
        stop_process(self.process)


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts servers on one core."""

    directory: Path
    python: str
    core: int
    congestion: str | None

    def start(self, name: str) -> Server:
        """Start the server of that name.

        Raises: NotAvailable if a library, a compiler or the server itself is not there.
        """
        command = self.command(name)
        # Not a pipe: nobody reads it while we measure, and a full pipe would stop the server.
        with tempfile.TemporaryFile() as complaints:
            with machine.on_core(self.core):
                process = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL, start_new_session=True
                )
            port = read_port(process)
            if port is None:
                stop_process(process)
                raise NotAvailable(last_line(complaints) or "it did not start")
        return Server(name, port, process)

    @contextlib.contextmanager
    def started(self, name: str) -> Iterator[Server]:
        """Start the server of that name, and stop it afterwards. Raises: NotAvailable."""
        server = self.start(name)
        try:
            yield server
        finally:
            server.stop()

    def command(self, name: str) -> list[str]:
        """Return the command line that serves echo on a free port."""
        if name == REFERENCE:
            congestion = [self.congestion] if self.congestion else []
            return [str(compile_c(self.directory, "echo_epoll")), "0", *congestion]
        if name == GO_PEER:
            return [str(compile_go(self.directory)), "0"]
        return [self.python, str(HERE / "peers" / PYTHON_PEERS[name]), "0"]


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


def last_line(file: IO[bytes]) -> str:
    """Return the last line of what a server has said."""
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End the process; then end by force whatever is left of its tree."""
    tree = machine.process_tree(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S_MAX)
    for pid in tree:
        kill_if_ours(pid, process.pid)
    process.wait(STOP_S_MAX)


def kill_if_ours(pid: int, session: int) -> None:
    """Kill a process that is still in the session of the server; its number may be another's by now."""
    with contextlib.suppress(OSError):
        if os.getsid(pid) == session:
            os.kill(pid, signal.SIGKILL)
