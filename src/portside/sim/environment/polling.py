"""``select.select``, ``poll`` and ``epoll`` as hosts see them, and so ``selectors``: over sockets of the host alone.

A simulated socket has a number of its own as its descriptor, by which these find it. In a thread of blocking code they
wait in step with the world; on a loop's own thread they may only look.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from portside.sim import threads
from portside.sim.environment.escape import Escape
from portside.sim.environment.replacing import Dispatcher, Replacement
from portside.sim.here import here
from portside.sim.sockets import SimSocket
from portside.sim.sockets.descriptors import FIRST, descriptors_of

NOT_OURS: Final = "only sockets of the host can be waited for"
READ: Final = select.POLLIN | select.POLLPRI
WRITE: Final = select.POLLOUT

_select: Final = select.select
_poll: Final = select.poll
_epoll: Final = select.epoll


def _socket_of(what: Any) -> SimSocket:
    """Return the socket that is meant, by itself, its descriptor, or something that has one."""
    number = what if isinstance(what, int) else what.fileno()
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({number})")
    machine = here.machine
    assert machine is not None
    found = descriptors_of(machine).socket_of(number)
    if found is None:
        raise Escape(machine.name, f"waiting for descriptor {number}", NOT_OURS)
    return found


def _is_simulated(what: Any) -> bool:
    number = what if isinstance(what, int) else what.fileno()
    return isinstance(number, int) and (number < 0 or number >= FIRST)


def _wait(look: Callable[[], list[Any]], sockets: Iterable[SimSocket], timeout_s: float | None) -> list[Any]:
    """Return what ``look`` finds, as soon as it finds anything or the time has passed."""
    found: list[Any] = []

    def has_found() -> bool:
        found[:] = look()
        return bool(found)

    if not has_found() and (timeout_s is None or timeout_s > 0):
        threads.wait_for(sockets, has_found, timeout_s, "waiting for sockets")
    return found


class HostPoll:
    """See ``select.poll`` and ``select.epoll``, which count time in other units; level-triggered."""

    def __init__(self, unit_s: float) -> None:
        self._unit_s = unit_s
        self._wanted: dict[int, tuple[SimSocket, int]] = {}
        self.closed = False

    def register(self, fd: Any, eventmask: int = READ | WRITE) -> None:
        sock = _socket_of(fd)
        if self._unit_s == 1 and sock.fileno() in self._wanted:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self._wanted[sock.fileno()] = sock, eventmask

    def modify(self, fd: Any, eventmask: int) -> None:
        number = fd if isinstance(fd, int) else fd.fileno()
        if number not in self._wanted:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._wanted[number] = self._wanted[number][0], eventmask

    def unregister(self, fd: Any) -> None:
        number = fd if isinstance(fd, int) else fd.fileno()
        if self._unit_s == 1 and number not in self._wanted:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        del self._wanted[number]

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """Return descriptors with what they are ready for, after so long at most; None and less than 0 is for ever."""
        limit_s = None if timeout is None or timeout < 0 else timeout * self._unit_s
        found = _wait(self._look, [sock for sock, _ in self._wanted.values()], limit_s)
        return found[:maxevents] if maxevents > 0 else found

    def _look(self) -> list[tuple[int, int]]:
        found = []
        for number, (sock, mask) in self._wanted.items():
            if sock.fileno() < 0:
                continue  # closed: epoll(7) forgets it
            ready = (READ if sock.is_readable() else 0) | (WRITE if sock.is_writable() else 0)
            if ready & mask:
                found.append((number, ready & mask & ~select.POLLPRI))
        return found

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self.closed = True
        self._wanted.clear()

    def __enter__(self) -> HostPoll:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Polling(Dispatcher):
    """The functions of ``select``."""

    GLOBAL_NAME = "polling"

    def select(self, rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None, /) -> Any:
        if here.machine is None or not any(map(_is_simulated, (*rlist, *wlist, *xlist))):
            return _select(rlist, wlist, xlist, timeout)  # of descriptors of this machine, which are its business
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must be non-negative")
        reading = [(one, _socket_of(one)) for one in rlist]
        writing = [(one, _socket_of(one)) for one in wlist]

        def look() -> list[Any]:
            readable = [one for one, sock in reading if sock.is_readable()]
            writable = [one for one, sock in writing if sock.is_writable()]
            return [(readable, writable, [])] if readable or writable else []

        found = _wait(look, [sock for _, sock in (*reading, *writing)], timeout)
        return found[0] if found else ([], [], [])

    def poll(self) -> Any:
        return _poll() if here.machine is None else HostPoll(1e-3)

    def epoll(self, sizehint: int = -1, flags: int = 0) -> Any:
        return _epoll(sizehint, flags) if here.machine is None else HostPoll(1)


polling: Final = Polling()


def replacements() -> Iterator[Replacement]:
    """Yield what takes the place of the functions of ``select``."""
    yield from polling.replacing(select, "select", "poll", "epoll")


def install() -> None:
    """Let the classes of ``selectors`` use them, which have kept the real ones."""
    assert sys.platform == "linux"
    setattr(selectors.PollSelector, "_selector_cls", polling.poll)  # noqa: B010 -- private
    setattr(selectors.EpollSelector, "_selector_cls", polling.epoll)  # noqa: B010
    setattr(selectors.SelectSelector, "_select", polling.select)  # noqa: B010
