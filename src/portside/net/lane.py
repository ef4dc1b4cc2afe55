"""The lane: a small epoll of our own beside the event loop, from which handlers are resumed directly.

asyncio's way of a byte is socket → transport → protocol → Future → call_soon → Task → coroutine. Here it is socket →
coroutine: the loop watches one descriptor, the lane's epoll; when that is readable, the lane asks which connections
can move, receives for those whose handler waits for bytes, and resumes the handler with them then and there. Measured
against transports and streams in benchmarks/, the reasons in docs/architecture.md.

Connections are registered once, edge-triggered, for reading and writing (epoll(7)), and never modified: a connection
remembers what the kernel said until its handler asks. Works with any loop that has ``add_reader``.
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from portside.net.parking import ParkingStream

# The Task of a handler must be the current one while the lane runs the handler: asyncio.timeout, TaskGroup and
# current_task() depend on it. These are asyncio's hooks for task implementations of one's own. In a turn of many
# connections one call for each does, and one at the end: entering and leaving each cost 1 % of an echo.
if sys.version_info >= (3, 12):
    _make_current = asyncio.tasks._swap_current_task

    def _make_none_current(loop: asyncio.AbstractEventLoop) -> None:
        _make_current(loop, None)

else:
    _current_tasks: dict[asyncio.AbstractEventLoop, Any] = vars(asyncio.tasks)["_current_tasks"]
    _make_current = _current_tasks.__setitem__

    def _make_none_current(loop: asyncio.AbstractEventLoop) -> None:
        _current_tasks.pop(loop, None)


EVENTS_MAX: Final = 256  # of one turn; what is left over is reported again, after the loop's other work
WATCHED: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
READABLE: Final = select.EPOLLIN | select.EPOLLOUT  # bytes have come, and as almost always there is room to answer
LINGERING_MAX: Final = 1_024
HANGUP: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR

# What the handler of a connection waits for; the lane's hot path compares small integers.
RUNNING: Final = 0
READING: Final = 1
WRITING: Final = 2


class Lane:
    """The connections of one event loop, and the one among them whose handler runs right now."""

    __slots__ = ("_all_gone", "_connections", "_epoll", "_lingering", "_poll", "loop", "running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.running: ParkingStream | None = None
        self._connections: dict[int, ParkingStream] = {}
        self._lingering: dict[ParkingStream, float] = {}
        self._all_gone: asyncio.Future[None] | None = None
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        loop.add_reader(self._epoll.fileno(), self._turn)

    def add(self, descriptor: int, connection: ParkingStream) -> None:
        self._connections[descriptor] = connection
        self._epoll.register(descriptor, WATCHED)

    def forget(self, descriptor: int, connection: ParkingStream) -> None:
        """Drop a connection whose socket is about to be closed; closing takes it out of the epoll."""
        self._connections.pop(descriptor, None)
        self._lingering.pop(connection, None)
        if self._all_gone is not None and not self._lingering and not self._all_gone.done():
            self._all_gone.set_result(None)

    def linger(self, connection: ParkingStream, for_s: float) -> bool:
        """Close the connection's socket at the latest after ``for_s`` seconds; False if it was closed at once.

        There may be LINGERING_MAX such connections: more are a flood, and gets no such courtesy.
        """
        if len(self._lingering) >= LINGERING_MAX:
            connection._close_socket()
            return False
        self._lingering[connection] = self.loop.time() + for_s
        if len(self._lingering) == 1:
            self.loop.call_later(for_s, self._end_lingering)
        return True

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

    def close(self) -> None:
        """Let go of the loop, and of those connections that only wait for their peers' ends."""
        for connection in list(self._lingering):
            connection._close_socket()
        if not self._epoll.closed:
            if not self.loop.is_closed():
                self.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _turn(self) -> None:
        """Move every connection that can move, once."""
        try:
            self._move(self._poll(0, EVENTS_MAX))
        finally:
            self._stop_running()

    def _move(self, events: list[tuple[int, int]]) -> None:
        connections, loop, make_current = self._connections, self.loop, _make_current
        for descriptor, mask in events:
            try:
                connection = connections[descriptor]
            except KeyError:
                continue  # closed by one before it in this turn
            if connection._parked != READING or connection._writer is not None or mask == select.EPOLLOUT:
                self._stop_running()  # whoever is woken may be another's task
                connection._note(mask)
                continue
            if mask != READABLE and mask & HANGUP:
                # Behind these bytes is the end of the stream, or an error to be read.
                connection._readable = connection._hangup = True
            take = connection._take_max
            try:
                data = connection._receive(take)
            except BlockingIOError:
                connection._readable = False
                continue
            except OSError as error:
                self.resume(connection, connection._main.throw, connection._broken(error))
                continue
            if len(data) == take:
                connection._readable = True
            # From here on as in resume(), which a call for each message would make dearer.
            connection._parked = RUNNING
            self.running = connection
            make_current(loop, connection._task)
            try:
                waits_for = connection._run(connection._send_main, data)
            except BaseException as error:
                self._stop_running()
                connection._main_over(error)
                continue
            if waits_for is not connection:
                self._stop_running()
                connection._hand_to_task(waits_for)

    def _stop_running(self) -> None:
        if self.running is not None:
            self.running = None
            _make_none_current(self.loop)

    def resume(self, connection: ParkingStream, step: Callable[[Any], object], argument: object) -> None:
        """Run the parked (or new) handler of the connection until it waits again or is over.

        ``step`` is its coroutine's ``send``, with what it waited for, or its ``throw``, with an error.
        """
        connection._parked = RUNNING
        self.running = connection
        _make_current(self.loop, connection._task)
        try:
            waits_for = connection._run(step, argument)
        except BaseException as error:
            self._stop_running()
            connection._main_over(error)
            return
        self._stop_running()
        if waits_for is not connection:
            connection._hand_to_task(waits_for)
