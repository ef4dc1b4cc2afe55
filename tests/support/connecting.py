"""``portside connect`` as a process: run to its end, or talked to while it runs."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from support.server import environment
from support.waiting import WITHIN_S


def connect(*arguments: str, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end with its input from a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "portside", "connect", *arguments],
        input=stdin,
        env=environment(),
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
        **options,
    )


@contextlib.contextmanager
def starting(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command with pipes; it is gone when the block ends."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(
        [sys.executable, "-m", "portside", "connect", *arguments], env=environment(), **{**pipes, **options}
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(1 << 16):
        connection.sendall(data)
