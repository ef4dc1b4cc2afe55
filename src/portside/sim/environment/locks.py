"""Locks and threads as hosts see them: waiting for one lets the others, and the world's time, go on.

``threading``'s conditions, events, semaphores, barriers and ``queue``'s queues are made of locks, in Python; so on a
host they need nothing but locks that wait in step with the world. A lock that was made on a host works elsewhere as
any other does: a module that a program imports may keep it for ever.
"""

from __future__ import annotations

import _thread
import queue
import threading
from collections.abc import Iterator
from functools import wraps
from typing import Any, Final

from portside.sim import threads
from portside.sim.environment.replacing import Dispatcher, Replacement
from portside.sim.here import here

_allocate_lock: Final = _thread.allocate_lock
_Lock: Final = threading.Lock
_RLock: Final[Any] = threading.RLock
_SimpleQueue: Final = queue.SimpleQueue
_join: Final = threading.Thread.join


class HostLock:
    """See ``threading.Lock``."""

    __slots__ = ("__weakref__", "_lock", "_waiting")

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._waiting: dict[threads.Wake, None] = {}

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, and return whether it was had. Raises: Escape on a host's loop that would wait for ever."""
        if not blocking or here.machine is None or (timeout < 0 and timeout != -1):
            return self._lock.acquire(blocking, timeout)  # which refuses times that cannot be
        limit_s = None if timeout == -1 else timeout
        return threads.wait_until(self._take, self._waiting, limit_s, "waiting for a lock that another thread holds")

    def _take(self) -> bool:
        return self._lock.acquire(blocking=False)

    def release(self) -> None:
        """Let go of it. Raises: RuntimeError if it was not taken."""
        self._lock.release()
        if self._waiting:
            next(iter(self._waiting))()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]
        self._waiting.clear()

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} HostLock at {id(self):#x}>"


class Locks(Dispatcher):
    """What makes locks, and the queue that is written in C."""

    GLOBAL_NAME = "locks"

    def allocate_lock(self) -> Any:
        return _allocate_lock() if here.machine is None else HostLock()

    def Lock(self) -> Any:  # noqa: N802 -- its name in ``threading``
        return _Lock() if here.machine is None else HostLock()

    def RLock(self, *arguments: Any, **more: Any) -> Any:  # noqa: N802
        """Return the one that is written in Python, on a host: it is made of a lock."""
        return _RLock(*arguments, **more) if here.machine is None else threading._PyRLock()  # type: ignore[attr-defined]

    def SimpleQueue(self) -> Any:  # noqa: N802
        return _SimpleQueue() if here.machine is None else queue._PySimpleQueue()  # type: ignore[attr-defined]


locks: Final = Locks()


@wraps(_join)
def join_thread(thread: threading.Thread, timeout: float | None = None) -> None:
    """Wait for the end of a thread, one of a host in step with the world."""
    baton = threads.baton_of(thread)
    if baton is None or here.machine is None:
        _join(thread, timeout)
    else:
        threads.join(baton, None if timeout is None else max(timeout, 0))


def replacements() -> Iterator[Replacement]:
    """Yield what takes the place of what makes locks."""
    yield Replacement(_thread, "allocate_lock", locks.allocate_lock)
    if _Lock is not _allocate_lock:  # since Python 3.13 it is a class of its own
        yield Replacement(threading, "Lock", locks.Lock)
    yield Replacement(threading, "RLock", locks.RLock)
    yield Replacement(queue, "SimpleQueue", locks.SimpleQueue)


def install() -> None:
    """Let threads of hosts be waited for."""
    setattr(threading.Thread, "join", join_thread)  # noqa: B010 -- to the type checker a method is not to be replaced
