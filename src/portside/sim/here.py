"""Whose code is running: the host whose loop, clock, chance and network a program gets that just asks for them."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop
from asyncio.events import _get_running_loop, _set_running_loop
from random import Random
from typing import Protocol

from portside.sim.clock import Scheduler
from portside.sim.host_clock import HostClock
from portside.sim.seams import Names, Stack


class Machine(Protocol):
    """What a running program needs of the host it runs on. ``stack`` and ``loop`` are new ones after a restart."""

    @property
    def name(self) -> str: ...

    @property
    def scheduler(self) -> Scheduler: ...

    @property
    def clock(self) -> HostClock: ...

    @property
    def chance(self) -> Random:
        """Of the programs: what ``random`` and ``os.urandom`` give."""

    @property
    def stack(self) -> Stack: ...

    @property
    def names(self) -> Names: ...

    @property
    def loop(self) -> AbstractEventLoop: ...


class _Here(threading.local):
    """Per thread: other threads of the process, a test runner's for instance, are in no world."""

    machine: Machine | None = None


here = _Here()


def enter(machine: Machine) -> None:
    """Let what runs from now on in this thread run on that host."""
    here.machine = machine
    _set_running_loop(machine.loop)


class Visit:
    """A time in which this thread runs a world, and after which everything is as it was before."""

    def __enter__(self) -> None:
        self._before = here.machine, _get_running_loop()
        here.machine = None
        _set_running_loop(None)

    def __exit__(self, *_: object) -> None:
        here.machine, loop = self._before
        _set_running_loop(loop)
