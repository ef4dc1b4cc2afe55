"""What the kernel says a process has used: CPU time, memory, threads. Source: proc(5), /proc/PID/stat."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

# Fields behind the program's name, which may hold spaces and brackets itself; proc(5) counts them from 3.
_UTIME, _STIME, _CUTIME, _CSTIME, _THREADS, _RSS = (number - 3 for number in (14, 15, 16, 17, 20, 24))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far, and holds now. ``cpu_s`` counts its children that are gone."""

    cpu_s: float
    rss_bytes: int
    threads: int


def usage_of(pid: int) -> Usage | None:
    """Return what the process has used; None where there is no such process, or no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        ticks = sum(int(fields[place]) for place in (_UTIME, _STIME, _CUTIME, _CSTIME))
        return Usage(ticks / _TICKS_PER_S, int(fields[_RSS]) * _PAGE_BYTES, int(fields[_THREADS]))
    except (OSError, ValueError, IndexError):
        return None
