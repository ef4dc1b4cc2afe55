"""How long one waits: `portside --version` answers in 80 ms, and a server is ready in 250 ms.

What is measured is the processors' time, which is what a machine with nothing else to do takes; the promise is of a
machine where bare Python needs 17 ms, and 66 ms with asyncio and ssl, and grows with these.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.server import COMMAND, Server, environment

ROUNDS = 5  # the fastest counts: a busy machine can only add

VERSION_S_MAX, READY_S_MAX = 0.080, 0.250
PYTHON_S, ASYNCIO_S = 0.017, 0.066


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of an installation: its modules are compiled once, and not at every start."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}


def cpu_s(variables: dict[str, str], *command: str) -> float:
    """Return the processors' seconds that a command takes."""
    process = subprocess.Popen(command, env=environment(variables), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def slowness_of_this_machine(variables: dict[str, str]) -> float:
    """Return how many times longer than there Python takes here, at least 1: what imports most is what slows down."""
    bare_s = min(cpu_s(variables, sys.executable, "-c", "pass") for _ in range(ROUNDS))
    asyncio_s = min(cpu_s(variables, sys.executable, "-c", "import asyncio, ssl") for _ in range(ROUNDS))
    return max(1.0, bare_s / PYTHON_S, asyncio_s / ASYNCIO_S)


def cpu_so_far_s(pid: int) -> float:
    """Return the processors' seconds that the first thread of a process has taken."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def test_the_version_is_told_in_80_ms(installed: dict[str, str]) -> None:
    slowness = slowness_of_this_machine(installed)
    version_s = min(cpu_s(installed, *COMMAND, "--version") for _ in range(ROUNDS))
    assert version_s < VERSION_S_MAX * slowness


def test_a_server_is_ready_in_250_ms(serve: Callable[..., Server], tmp_path: Path, installed: dict[str, str]) -> None:
    (tmp_path / "silence.py").write_text("async def silence(visitor): ...\n", encoding="utf-8")

    def ready_s() -> float:
        server = serve("run", "silence:silence", "--listen", "tcp://127.0.0.1:0", cwd=tmp_path, env=installed)
        taken_s = sum(cpu_so_far_s(pid) for pid in (server.pid, *server.children))
        server.stop()
        return taken_s

    slowness = slowness_of_this_machine(installed)
    fastest_s = min(ready_s() for _ in range(ROUNDS))
    assert fastest_s < READY_S_MAX * slowness
