"""A run that cannot go on says who waits, and where."""

from __future__ import annotations

import queue
import sys
import threading
from asyncio import Task
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from typing import Any, Final

from portside.errors import PortsideError
from portside.sim.clock import SECOND

_WAITS_BY: Final = (str(Path(__file__).parent), threading.__file__, queue.__file__)


class NothingLeft(PortsideError):
    """Nothing is left to happen in the world, and what was to be run has not ended: everybody waits for somebody."""

    def __init__(self, now_ns: int, waiting: Iterable[str]) -> None:
        self.waiting = list(waiting)
        told = "\n  ".join(self.waiting) or "nobody"
        super().__init__(f"nothing is left to happen after {now_ns / SECOND:.9f} s, and these wait:\n  {told}")


class TimeIsUp(PortsideError):
    """The run has not ended within the time of the world that it was given."""

    def __init__(self, limit_ns: int, waiting: Iterable[str]) -> None:
        self.waiting = list(waiting)
        told = "\n  ".join(self.waiting)
        super().__init__(f"not ended within {limit_ns / SECOND:g} s of the world's time; these wait:\n  {told}")


def words(host: str, waits: Task[Any] | Thread) -> str:
    """Return who waits on a host, and where."""
    if isinstance(waits, Thread):
        return f"{host}: thread {waits.name!r} waits {_where_thread(waits)}"
    return f"{host}: {waits.get_name()} waits {_where(waits)}"


def _where(task: Task[Any]) -> str:
    """Return the line in which a task waits: the innermost one of its coroutines that has not ended."""
    awaited: Any = task.get_coro()
    place = "nowhere"
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None) or _frame_of(awaited)
        if frame is not None:
            code = frame.f_code
            place = f"in {code.co_qualname}, {_short(code.co_filename)}:{frame.f_lineno}"
        awaited = (
            getattr(awaited, "cr_await", None)
            or getattr(awaited, "gi_yieldfrom", None)
            or getattr(awaited, "ag_await", None)
        )
    return place


def _where_thread(thread: Thread) -> str:
    """Return the line in which a thread waits: the innermost one of a program, and not of what it waits by."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_back is not None and frame.f_code.co_filename.startswith(_WAITS_BY):
        frame = frame.f_back
    if frame is None:
        return "nowhere"
    return f"in {frame.f_code.co_qualname}, {_short(frame.f_code.co_filename)}:{frame.f_lineno}"


def _frame_of(awaited: Any) -> Any:
    return getattr(awaited, "ag_frame", None)


def _short(path: str) -> str:
    """Return the last two parts of a path, which say enough, and the same wherever the project lies."""
    return "/".join(path.replace("\\", "/").split("/")[-2:])
