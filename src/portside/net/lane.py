"""The lane: a small epoll of our own beside the event loop, from which handlers are resumed directly.

asyncio's way of a byte is socket → transport → protocol → Future → call_soon → Task → coroutine. Here it is socket →
coroutine: the loop watches one descriptor, the lane's epoll; when that is readable, the lane asks which connections
can move, receives for those whose handler waits for bytes, and resumes the handler with them then and there. Measured
against transports and streams in benchmarks/, the reasons in docs/architecture.md.

Connections are registered once, when they first have to wait, edge-triggered, for reading and writing (epoll(7)), and
never modified: a connection remembers what the kernel said until its handler asks. Works with any loop that has
``add_reader``.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Final, cast

from portside.net.turns import READING, RUNNING, Turns, make_current

if TYPE_CHECKING:
    from portside.net.event import EventConnection
    from portside.net.event_listener import EventListener

EVENTS_MAX: Final = 256  # of one turn; what is left over is reported again, after the loop's other work
WATCHED: Final = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
WATCHED_FOR_END: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET  # of those that only linger
READABLE: Final = select.EPOLLIN | select.EPOLLOUT  # bytes have come, and as almost always there is room to answer
HANGUP: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
# Behind a short read there is more: the end or an error, or bytes behind an urgent one, at which every read stops.
MORE_BEHIND: Final = HANGUP | select.EPOLLPRI


class Lane(Turns):
    """The connections of one event loop that are sockets in the epoll."""

    __slots__ = ("_connections", "_epoll", "_poll")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._connections: dict[int, EventConnection] = {}
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        loop.add_reader(self._epoll.fileno(), self._turn)

    def add(self, descriptor: int, connection: EventConnection) -> None:
        """Keep the connection until it is forgotten."""
        self._connections[descriptor] = connection

    def watch(self, descriptor: int, events: int) -> None:
        """Have the connection told from here on. Raises: OSError."""
        self._epoll.register(descriptor, events)

    def forget(self, descriptor: int, connection: EventConnection) -> None:
        """Drop a connection whose socket is about to be closed; closing takes it out of the epoll."""
        self._connections.pop(descriptor, None)
        self.let_go(connection)

    def watch_once(self, descriptor: int, listener: EventListener) -> None:
        """Have the listener told, once, that somebody waits to be accepted, or comes."""
        if descriptor in self._connections:
            self._epoll.modify(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
        else:
            self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
            # Nobody parks on it, so what the lane calls of it is _note.
            self._connections[descriptor] = cast("EventConnection", listener)

    def unwatch(self, descriptor: int) -> None:
        """Drop a listening socket that is about to be closed; closing takes it out of the epoll."""
        self._connections.pop(descriptor, None)

    def close(self) -> None:
        """Let go of the loop, and of those connections that only wait for their peers' ends."""
        super().close()
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
        connections, loop, make = self._connections, self.loop, make_current
        for descriptor, mask in events:
            try:
                connection = connections[descriptor]
            except KeyError:
                continue  # closed by one before it in this turn
            if connection._parked != READING or connection._writer is not None or mask == select.EPOLLOUT:
                self._stop_running()  # whoever is woken may be another's task
                connection._note(mask)
                continue
            if mask != READABLE and mask & MORE_BEHIND:
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
            make(loop, connection._task)
            try:
                waits_for = connection._run(connection._send_main, data)
            except BaseException as error:
                self._stop_running()
                connection._main_over(error)
                continue
            if waits_for is not connection:
                self._stop_running()
                connection._hand_to_task(waits_for)
