"""Blocking code in real threads that run one at a time: each only while it holds the baton; the world waits meanwhile.

Where such code would wait, for a socket or for time to pass, it registers what shall wake it and hands the baton back.
So threads are as deterministic as everything else: they go on by steps of the scheduler, in the scheduler's order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from portside.sim.clock import SECOND, Scheduler
from portside.sim.here import Machine, here

STACK_WAIT_S: Final = 60.0  # of real time; a thread that keeps the baton for longer waits for something of this machine


class Crashed(BaseException):
    """The host of this thread is down: nothing of it goes on. Not to be caught."""


class Baton:
    """One thread of blocking code, and whose turn it is: its own, or the world's."""

    def __init__(self, machine: Machine, function: Callable[[], Any], done: Callable[[Any, Any], object]) -> None:
        self.machine = machine
        self.is_over = False
        self.is_crashed = False
        self._function = function
        self._done = done
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._turn = 0  # counts how often it has waited: a wake-up for a wait that is over is none
        self._thread = threading.Thread(target=self._run, name=f"{machine.name} thread", daemon=True)

    # ── on the world's side ──────────────────────────────────────────────────────────────────────────────────────────

    def start(self, _: object = None) -> None:
        """Let it run until it waits or ends."""
        if self.is_crashed:
            self.is_over = True
            return
        self._thread.start()
        self._let_run()

    def _let_run(self) -> None:
        self._go.release()
        self._back.acquire()
        if self.is_over:
            _running.get(id(self.machine), {}).pop(self, None)
            self._thread.join()

    def _resume(self, turn: int) -> None:
        if turn == self._turn and not self.is_over:
            self._turn += 1
            self._let_run()

    def crash(self) -> None:
        """End it where it waits."""
        self.is_crashed = True
        if self._thread.ident is not None and not self.is_over:
            self._turn += 1
            self._let_run()

    # ── on the thread's side ─────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        self._go.acquire()
        here.machine = self.machine
        _mine.baton = self
        result, error = None, None
        try:
            result = self._function()
        except Crashed:
            pass
        except BaseException as raised:
            error = raised
        here.machine = None
        self.is_over = True
        if not self.is_crashed:
            self._done(result, error)
        self._back.release()

    def wait(self, register: Callable[[Callable[[], None]], object], timeout_s: float | None) -> None:
        """Wait until what ``register`` was given is called, or the time has passed."""
        turn, scheduler = self._turn, self.machine.scheduler
        register(lambda: scheduler.soon(self._resume, turn))
        if timeout_s is not None:
            scheduler.after(max(0, round(timeout_s * SECOND)), self._resume, turn)
        self._back.release()
        self._go.acquire()
        if self.is_crashed:
            raise Crashed


class _Mine(threading.local):
    baton: Baton | None = None


_mine = _Mine()
_running: dict[int, dict[Baton, None]] = {}


def run_blocking(machine: Machine, function: Callable[[], Any], done: Callable[[Any, Any], object]) -> Baton:
    """Run blocking code on a host, soon; ``done`` is given its result, and the exception that ended it or None."""
    baton = Baton(machine, function, done)
    _running.setdefault(id(machine), {})[baton] = None
    scheduler: Scheduler = machine.scheduler
    scheduler.soon(baton.start)
    return baton


def kill(machine: Machine) -> None:
    """End every thread of a host: it has crashed."""
    for baton in list(_running.pop(id(machine), {})):
        baton.crash()


def waiting(machine: Machine) -> int:
    """Return how many threads of a host have not ended."""
    return len(_running.get(id(machine), {}))


def is_thread() -> bool:
    """Return whether this is a thread of blocking code on a host, which may wait."""
    return _mine.baton is not None


def wait(register: Callable[[Callable[[], None]], object], timeout_s: float | None = None) -> None:
    """Wait in a thread of blocking code: see ``Baton.wait``. Raises: RuntimeError in any other thread."""
    if _mine.baton is None:
        raise RuntimeError("blocking code cannot wait on a host's loop: run it with host.run_blocking")
    _mine.baton.wait(register, timeout_s)


def sleep(seconds: float) -> None:
    """Let time pass, in a thread of blocking code."""
    wait(lambda wake: None, seconds)
