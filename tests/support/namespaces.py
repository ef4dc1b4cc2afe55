"""Network namespaces of our own: all ports free, settings to change, and no way to the machine's networks."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network with a loopback interface and nothing else, alive as long as its keeper."""

    keeper: subprocess.Popen[bytes]

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command so that it runs within."""
        return ("nsenter", f"--net=/proc/{self.keeper.pid}/ns/net", "--")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command within, and fail if it does."""
        return subprocess.run([*self.prefix, *command], capture_output=True, text=True, timeout=30, check=True)


def make_namespace() -> Namespace:
    """Return a new namespace, or skip the test where that is not allowed."""
    for name in ("unshare", "nsenter", "ip"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    # The keeper says a line when the interface is up, and leaves at the end of its input: even if we are killed.
    script = "ip link set lo up && echo up && exec cat"
    keeper = subprocess.Popen(
        ["unshare", "--net", "--", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert keeper.stdout is not None
    if keeper.stdout.readline() != b"up\n":
        end(keeper)
        pytest.skip("network namespaces need privileges that this user does not have")
    return Namespace(keeper)


def end(keeper: subprocess.Popen[bytes]) -> None:
    """Let go of a namespace; the kernel removes it with the last process within."""
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    keeper.stdin.close()
    keeper.stdout.close()
    keeper.wait()
