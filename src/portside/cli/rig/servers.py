"""Servers under measurement: how they are watched and stopped, and how one of ours is started."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

from portside.cli.rig import machine
from portside.errors import LocalError

READY_S_MAX: Final = 30.0
STOP_S_MAX: Final = 5.0
LOOK_AGAIN_S: Final = 0.02

SOURCE: Final = Path(__file__).resolve().parents[3]  # the folder that `portside` is imported from
_READY: Final = re.compile(r"listening on \w+://[^ ]*:(\d+) ")
# As a user would run it, with limits and timeouts on, the limits above the load. No record for each connection: the
# peers write none either.
_OPTIONS: Final = (
    *("--listen", "tcp://127.0.0.1:0", "--drain", "1s", "--log-level", "warning", "--log-format", "json"),
    *("--limit-connections", "1000000", "--limit-per-ip", "1000000", "--limit-accept-rate", "1000000"),
)


class NotAvailable(LocalError):
    """A server or the load cannot be had here; the sentence says why."""


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


@contextlib.contextmanager
def portside_server(
    name: str, *arguments: str, core: int, python: str = sys.executable, folder: Path | None = None
) -> Iterator[Server]:
    """Run ``portside ARGUMENTS`` on that core and a free port of the loopback, and stop it afterwards.

    Raises: NotAvailable with its last words, if it does not come to listen.
    """
    # What it says goes to a file: a pipe would need a reader, whose work would count as the server's.
    with tempfile.TemporaryFile() as said:
        process = start([python, "-m", "portside", *arguments, *_OPTIONS], core, stderr=said, folder=folder)
        try:
            yield Server(name, _wait_until_ready(process, said), process)
        finally:
            stop_process(process)


def start(
    command: Sequence[str], core: int, *, stderr: IO[bytes], folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a server on that core. Its stdout is a pipe, its session its own: an interrupt is for us alone.

    It is killed if we are: nothing is left behind.
    """
    from portside.serve.worker import die_with_parent

    with machine.on_core(core):
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=folder,
            env=environment(),
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - we have no threads
        )


def environment() -> dict[str, str]:
    """Return our environment with this very Portside to import, and none of its settings."""
    ours = ("PORTSIDE_", "PORT=", "LISTEN_", "NOTIFY_SOCKET=")
    kept = {name: value for name, value in os.environ.items() if not f"{name}=".startswith(ours)}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))}


def _wait_until_ready(process: subprocess.Popen[bytes], said: IO[bytes]) -> int:
    deadline_s = time.monotonic() + READY_S_MAX
    while process.poll() is None and time.monotonic() < deadline_s:
        if found := _READY.search(_text_of(said)):
            return int(found[1])
        time.sleep(LOOK_AGAIN_S)
    raise NotAvailable(last_line(said) or "the server did not start")


def last_line(said: IO[bytes]) -> str:
    """Return the last line of what a server has said."""
    return next(reversed(_text_of(said).strip().splitlines()), "")


def _text_of(said: IO[bytes]) -> str:
    # Not by seeking: the server writes at the same place.
    return os.pread(said.fileno(), 1 << 20, 0).decode(errors="replace")


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End the process; then end by force whatever is left of its tree."""
    tree = machine.process_tree(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S_MAX)
    for pid in tree:
        _kill_if_ours(pid, process.pid)
    process.wait(STOP_S_MAX)
    if process.stdout is not None:
        process.stdout.close()


def _kill_if_ours(pid: int, session: int) -> None:
    """Kill a process that is still in the session of the server; its number may be another's by now."""
    with contextlib.suppress(OSError):
        if os.getsid(pid) == session:
            os.kill(pid, signal.SIGKILL)
