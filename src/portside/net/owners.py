"""Which processes have which sockets open, as far as this user may see. Source: proc(5), /proc/PID/fd."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_PREFIX: Final = "socket:["


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """A process by its number and the name of its program (at most 15 bytes: TASK_COMM_LEN)."""

    pid: int
    program: str


def processes_by_socket(inodes: Collection[int]) -> dict[int, tuple[Process, ...]]:
    """Return the processes that have each of the sockets open, in the order of their numbers.

    ``inodes`` are the sockets asked for. Those of other users' processes are missing unless we are root.
    """
    found: dict[int, list[Process]] = {}
    wanted = frozenset(inodes)
    for pid in _pids():
        held = _sockets_of(pid) & wanted
        if held:
            process = Process(pid, _program_of(pid))
            for inode in held:
                found.setdefault(inode, []).append(process)
    return {inode: tuple(processes) for inode, processes in found.items()}


def _pids() -> list[int]:
    try:
        return sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    except OSError:
        return []  # no /proc here


def _sockets_of(pid: int) -> set[int]:
    sockets: set[int] = set()
    directory = f"/proc/{pid}/fd"
    # Another user's process, or one that ended meanwhile.
    with contextlib.suppress(OSError):
        for entry in os.listdir(directory):
            with contextlib.suppress(OSError):
                target = os.readlink(f"{directory}/{entry}")
                if target.startswith(_PREFIX):
                    sockets.add(int(target[len(_PREFIX) : -1]))
    return sockets


def _program_of(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="surrogateescape") as comm:
        return comm.read().rstrip("\n")
    return "?"
