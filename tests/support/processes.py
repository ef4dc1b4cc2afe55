"""Processes as /proc tells of them."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this machine. ``session`` is the pid of the process that started the session."""

    pid: int
    name: str
    state: str
    parent: int
    session: int


def process(pid: int) -> Process | None:
    """Return what is known of a process, None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): pid (name) state parent group session …; a name may hold spaces and parentheses
    name, _, rest = text.partition("(")[2].rpartition(")")
    state, parent, _group, session, *_ = rest.split()
    return Process(pid, name, state, int(parent), int(session))


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a zombie that nobody has reaped yet does not."""
    found = process(pid)
    return found is not None and found.state not in "ZX"


def session_of(leader: int) -> list[Process]:
    """Return the running processes of the session, its leader left out."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    found = [known for pid in pids if pid != leader and (known := process(pid)) is not None]
    return [one for one in found if one.session == leader and one.state not in "ZX"]


def children_of(parent: int) -> list[int]:
    """Return the pids of a process' running children."""
    pids: list[int] = []
    for path in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pids += map(int, path.read_text().split())
    return sorted(pid for pid in pids if is_alive(pid))


def kill(pid: int) -> None:
    """Kill one process that a test of ours started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
