"""Blocking code in real threads that run one at a time: each only while it holds the baton; the world waits meanwhile.

Where such code would wait, for a socket, a lock, another thread or for time to pass, it registers what shall wake it
and hands the baton back. So threads are as deterministic as everything else: they go on by steps of the scheduler, in
the scheduler's order. Locks of a host are ``portside.sim.environment.locks``.
"""

from __future__ import annotations

import sys
import threading
from _thread import allocate_lock
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeAlias

from portside.sim.clock import SECOND, Scheduler
from portside.sim.environment.escape import Escape
from portside.sim.here import Machine, here

TURN_MAX_S: Final = 120.0  # of real time; a thread that keeps the baton for longer waits for something of this machine

Wake: TypeAlias = Callable[[], None]

NOT_OURS: Final = (
    "it is of this machine, and no host can wait for it; make locks and queues while a program of a host runs"
)
ON_THE_LOOP: Final = "nothing happens while a loop's own thread waits; await, or do it with host.run_blocking"

# What a host's programs get from these is in step with the world; here are the real ones.
_start: Final = threading.Thread.start
_join: Final = threading.Thread.join


class Crashed(BaseException):
    """The host of this thread is down: nothing of it goes on. Not to be caught."""


class Baton:
    """Whose turn it is: the thread's own, or the world's. ``body`` is what the thread does with its first turn."""

    def __init__(self, machine: Machine, thread: threading.Thread, body: Callable[[], object]) -> None:
        self.machine = machine
        self.thread = thread
        self.is_over = False
        self.is_crashed = False
        self.joining: dict[Wake, None] = {}  # who waits for its end
        self._body = body
        self._go, self._back = allocate_lock(), allocate_lock()
        self._go.acquire()
        self._back.acquire()
        self._turn = 0  # counts how often it has waited: a wake-up for a wait that is over is none

    # ── on the world's side ──────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start the thread, which then waits for its first turn: it comes soon."""
        setattr(self.thread, "run", self._run)  # noqa: B010 -- to the type checker a method is not to be replaced
        is_daemon = self.thread.daemon
        with outside():
            # Whoever starts a thread waits until it runs, for a moment and really; and Python, as it ends, for one that
            # is no daemon: but a world that nobody has closed gives no more turns.
            setattr(self.thread, "_started", threading.Event())  # noqa: B010 -- private, and made on the host
            self.thread.daemon = True
            _start(self.thread)
        setattr(self.thread, "_daemonic", is_daemon)  # noqa: B010 -- what the program has chosen, and asks for
        _of(self.machine)[self] = None
        self.machine.scheduler.soon(self.resume, self._turn)

    def resume(self, turn: int) -> None:
        """Let it run until it waits or ends, unless it has gone on since somebody meant to wake it."""
        if turn == self._turn and not self.is_over:
            self._turn += 1
            self._let_run()

    def _let_run(self) -> None:
        self._go.release()
        if not self._back.acquire(timeout=TURN_MAX_S):
            raise Escape(self.machine.name, f"what {self.thread.name!r} waits for, {self._place()}", NOT_OURS)
        if self.is_over:
            _of(self.machine).pop(self, None)
            _join(self.thread)

    def _place(self) -> str:
        """Return where it is."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "somewhere"

    def crash(self) -> None:
        """End it where it waits."""
        self.is_crashed = True
        if not self.is_over:
            self._turn += 1
            self._let_run()

    # ── on the thread's side ─────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        self._go.acquire()
        here.machine = self.machine
        _mine.baton = self
        try:
            if not self.is_crashed:
                self._body()
        except Crashed:
            pass
        finally:
            here.machine = None
            self.is_over = True
            for wake in self.joining:
                wake()
            self._back.release()

    def wait(self, register: Callable[[Wake], object], timeout_s: float | None) -> None:
        """Wait until what ``register`` was given is called, or the time has passed."""
        if self.is_crashed:
            raise Crashed
        turn, scheduler = self._turn, self.machine.scheduler
        register(lambda: scheduler.soon(self.resume, turn))
        if timeout_s is not None:
            scheduler.after(max(0, round(timeout_s * SECOND)), self.resume, turn)
        self._back.release()
        self._go.acquire()
        if self.is_crashed:
            raise Crashed


class Watched(Protocol):
    """What tells those who watch it that it has changed."""

    def watch(self, watcher: Callable[[], None]) -> None: ...

    def unwatch(self, watcher: Callable[[], None]) -> None: ...


class _Mine(threading.local):
    baton: Baton | None = None


_mine = _Mine()
_running: dict[int, dict[Baton, None]] = {}


def _of(machine: Machine) -> dict[Baton, None]:
    return _running.setdefault(id(machine), {})


@contextmanager
def outside() -> Iterator[None]:
    """Let what is made in the meantime be of this machine, and of no host."""
    machine, here.machine = here.machine, None
    try:
        yield
    finally:
        here.machine = machine


# ── starting and ending ──────────────────────────────────────────────────────────────────────────────────────────────


def run_blocking(machine: Machine, function: Callable[[], Any], done: Callable[[Any, Any], object]) -> Baton:
    """Run blocking code on a host, soon; ``done`` is given its result, and the exception that ended it or None."""

    def body() -> None:
        result, error = None, None
        try:
            result = function()
        except Crashed:
            raise
        except BaseException as raised:
            error = raised
        done(result, error)

    with outside():
        thread = threading.Thread(name=f"{machine.name} thread", daemon=False)  # as a program's first thread is none
    baton = Baton(machine, thread, body)
    baton.start()
    return baton


def start(machine: Machine, thread: threading.Thread) -> None:
    """Start a thread of a program on a host. Raises: RuntimeError if it was started before."""
    if thread.ident is not None or baton_of(thread) is not None:
        raise RuntimeError("threads can only be started once")
    run = thread.run

    def body() -> None:
        try:
            run()
        except Crashed:
            raise
        except SystemExit:
            pass  # as threading has it: it ends this thread, and says nothing
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))

    baton = Baton(machine, thread, body)
    setattr(thread, "_portside_baton", baton)  # noqa: B010 -- where ``baton_of`` looks
    baton.start()


def baton_of(thread: threading.Thread) -> Baton | None:
    """Return the baton of a thread that a program on a host has started, None for any other."""
    found: Baton | None = getattr(thread, "_portside_baton", None)
    return found


def join(baton: Baton, timeout_s: float | None) -> None:
    """Wait until a thread has ended, or the time has passed. Raises: Escape on a loop's own thread."""
    if _mine.baton is baton:
        raise RuntimeError("cannot join current thread")
    wait_until(lambda: baton.is_over, baton.joining, timeout_s, f"join() of {baton.thread.name!r}")


def kill(machine: Machine) -> None:
    """End every thread of a host: it has crashed."""
    for baton in list(_running.pop(id(machine), {})):
        baton.crash()
    _running.pop(id(machine), None)


def waiting(machine: Machine) -> list[threading.Thread]:
    """Return the threads of a host that have not ended, in the order in which they began."""
    return [baton.thread for baton in _running.get(id(machine), {})]


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_thread() -> bool:
    """Return whether this is a thread of blocking code on a host, which may wait."""
    return _mine.baton is not None


def wait(register: Callable[[Wake], object], timeout_s: float | None = None) -> None:
    """Wait in a thread of blocking code: see ``Baton.wait``. Raises: RuntimeError in any other thread."""
    if _mine.baton is None:
        raise RuntimeError("blocking code cannot wait on a host's loop: run it with host.run_blocking")
    _mine.baton.wait(register, timeout_s)


def wait_until(is_so: Callable[[], bool], waiting: dict[Wake, None], timeout_s: float | None, what: str) -> bool:
    """Wait until something is so; return whether it is, or the time has passed before.

    ``waiting`` is where those are kept who are to be woken when it may have become so, the first one first. On a loop's
    own thread only what other threads of the host can do at once is waited for. Raises: Escape there, if that is
    not enough.
    """
    machine, baton = here.machine, _mine.baton
    assert machine is not None
    if baton is None:
        if _let_others_run(machine, is_so):
            return True
        raise Escape(machine.name, f"{what} on the loop", ON_THE_LOOP)
    scheduler: Scheduler = machine.scheduler
    deadline_ns = None if timeout_s is None else scheduler.now + round(timeout_s * SECOND)
    while not is_so():
        left_s = None if deadline_ns is None else (deadline_ns - scheduler.now) / SECOND
        if left_s is not None and left_s <= 0:
            return False
        mine: list[Wake] = []

        def register(wake: Wake, mine: list[Wake] = mine) -> None:
            mine.append(wake)
            waiting[wake] = None

        try:
            baton.wait(register, left_s)
        finally:
            for wake in mine:
                waiting.pop(wake, None)
    return True


def wait_for(watched: Iterable[Watched], is_so: Callable[[], bool], timeout_s: float | None, what: str) -> bool:
    """Wait until something is so that may become so whenever one of these changes: see ``wait_until``."""
    all_of_them = list(watched)
    waiting: dict[Wake, None] = {}

    def changed() -> None:
        for wake in waiting:
            wake()

    for one in all_of_them:
        one.watch(changed)
    try:
        return wait_until(is_so, waiting, timeout_s, what)
    finally:
        for one in all_of_them:
            one.unwatch(changed)


def _let_others_run(machine: Machine, is_so: Callable[[], bool]) -> bool:
    """Let threads of a host go on that could go on now, in their order, until something is so; return whether it is."""
    ready = machine.scheduler.ready
    while not is_so():
        for place, (step, turn) in enumerate(ready):
            baton = getattr(step, "__self__", None)
            if isinstance(baton, Baton) and baton.machine is machine:
                del ready[place]
                baton.resume(turn)
                break
        else:
            return False
    return True


def sleep(seconds: float) -> None:
    """Let time pass, in a thread of blocking code."""
    wait(lambda wake: None, seconds)
