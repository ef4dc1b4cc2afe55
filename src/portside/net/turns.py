"""Turns: who runs right now among the connections of one event loop, and which closed ones still linger.

A handler is resumed here by whoever has what it waits for: the lane's epoll (``net.lane``), or a transport's callback
(``net.transport``). Nothing here knows of descriptors.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from portside.net.parking import ParkingStream

# The Task of a handler must be the current one while the lane runs the handler: asyncio.timeout, TaskGroup and
# current_task() depend on it. These are asyncio's hooks for task implementations of one's own. In a turn of many
# connections one call for each does, and one at the end: entering and leaving each cost 1 % of an echo.
if sys.version_info >= (3, 12):
    make_current = asyncio.tasks._swap_current_task

    def _make_none_current(loop: asyncio.AbstractEventLoop) -> None:
        make_current(loop, None)

else:
    _current_tasks: dict[asyncio.AbstractEventLoop, Any] = vars(asyncio.tasks)["_current_tasks"]
    make_current = _current_tasks.__setitem__

    def _make_none_current(loop: asyncio.AbstractEventLoop) -> None:
        _current_tasks.pop(loop, None)


LINGERING_MAX: Final = 1_024

# What the handler of a connection waits for. Small integers: the hot paths compare them.
RUNNING: Final = 0
READING: Final = 1
WRITING: Final = 2


class Turns:
    """What handlers that park on their connections share: their loop, and the one among them that runs right now."""

    __slots__ = ("_all_gone", "_is_timed", "_lingering", "loop", "running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.running: ParkingStream | None = None
        self._lingering: dict[ParkingStream, float] = {}
        self._is_timed = False  # a timer for the first of them runs: one, however often they come and go
        self._all_gone: asyncio.Future[None] | None = None

    def resume(self, connection: ParkingStream, step: Callable[[Any], object], argument: object) -> None:
        """Run the parked (or new) handler of the connection until it waits again or is over.

        ``step`` is its coroutine's ``send``, with what it waited for, or its ``throw``, with an error.
        """
        connection._parked = RUNNING
        self.running = connection
        make_current(self.loop, connection._task)
        try:
            waits_for = connection._run(step, argument)
        except BaseException as error:
            self._stop_running()
            connection._main_over(error)
            return
        self._stop_running()
        if waits_for is not connection:
            connection._hand_to_task(waits_for)

    def _stop_running(self) -> None:
        if self.running is not None:
            self.running = None
            _make_none_current(self.loop)

    # ── closed, but not gone ─────────────────────────────────────────────────────────────────────────────────────────

    def linger(self, connection: ParkingStream, for_s: float) -> bool:
        """Close the connection's socket at the latest after ``for_s`` seconds; False if it was closed at once.

        There may be LINGERING_MAX such connections: more are a flood, and gets no such courtesy.
        """
        if len(self._lingering) >= LINGERING_MAX:
            connection._close_socket()
            return False
        self._lingering[connection] = self.loop.time() + for_s
        if not self._is_timed:
            self._is_timed = True
            self.loop.call_later(for_s, self._end_lingering)
        return True

    def let_go(self, connection: ParkingStream) -> None:
        """Note that the connection's socket is closed, or about to be."""
        self._lingering.pop(connection, None)
        if self._all_gone is not None and not self._lingering and not self._all_gone.done():
            self._all_gone.set_result(None)

    async def wait_until_let_go(self, timeout_s: float) -> None:
        """Return when no closed connection waits for its peer's end of stream any more, or after ``timeout_s``."""
        if self._lingering:
            self._all_gone = self.loop.create_future()
            await asyncio.wait((self._all_gone,), timeout=timeout_s)

    def _end_lingering(self) -> None:
        # All linger equally long, so the first in the dict is the first to go.
        while self._lingering:
            connection, until_s = next(iter(self._lingering.items()))
            left_s = until_s - self.loop.time()
            if left_s > 0:
                self.loop.call_later(left_s, self._end_lingering)
                return
            connection._close_socket()
        self._is_timed = False

    def close(self) -> None:
        """Let go of those connections that only wait for their peers' ends."""
        for connection in list(self._lingering):
            connection._close_socket()
