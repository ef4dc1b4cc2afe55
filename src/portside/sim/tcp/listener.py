"""Ports that are listened at: handshakes that are not done, and connections that nobody has accepted yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from portside.sim.seams import End
from portside.sim.tcp import handshake
from portside.sim.tcp.connection import NOBODY, Connection

if TYPE_CHECKING:
    from portside.sim.frame import TcpFrame
    from portside.sim.tcp.tcp import Tcp

OPENING_MAX: Final = 4_096  # net.ipv4.tcp_max_syn_backlog on a machine of some size
BACKLOG_MAX: Final = 4_096  # net.core.somaxconn


class Listener:
    """See ``seams.TcpListener``. As on Linux, one more than ``backlog`` may wait to be accepted."""

    def __init__(self, tcp: Tcp, local: End, backlog: int, ready: Callable[[], object], *, only_v6: bool) -> None:
        self.local = local
        self.only_v6 = only_v6
        self.is_closed = False
        self.hears = True  # False where it is bound and does not listen yet
        self._tcp = tcp
        self._backlog = min(max(backlog, 0), BACKLOG_MAX)
        self._ready = ready
        self._opening: dict[Connection, None] = {}
        self._done: deque[Connection] = deque()

    def has_room(self) -> bool:
        """Return whether one more connection may wait to be accepted."""
        return len(self._done) <= self._backlog

    def heard(self, frame: TcpFrame) -> None:
        """Take a SYN."""
        if not self.has_room() or len(self._opening) >= OPENING_MAX:
            self._tcp.count("listen overflows")
            return  # the peer will try again
        local, remote = (frame.target, frame.target_port), (frame.source, frame.source_port)
        connection = self._tcp.new_connection(local, remote, NOBODY)
        connection.listener = self
        self._opening[connection] = None
        handshake.answer(connection, frame)

    def is_done(self, connection: Connection) -> None:
        """Take a connection whose handshake is done."""
        self._opening.pop(connection, None)
        self._done.append(connection)
        if len(self._done) == 1:
            self._ready()

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has ended before anybody accepted it; one that was there for a while is kept."""
        self._opening.pop(connection, None)

    def accept(self) -> Connection | None:
        """Return the next connection whose handshake is done, None if there is none."""
        if not self._done:
            return None
        connection = self._done.popleft()
        connection.listener = None
        return connection

    @property
    def has_waiting(self) -> bool:
        return bool(self._done)

    def listen(self, backlog: int) -> None:
        """Change how many may wait."""
        self._backlog = min(max(backlog, 0), BACKLOG_MAX)

    def close(self) -> None:
        """Listen no more; what nobody accepted is reset."""
        if self.is_closed:
            return
        self.is_closed = True
        self._tcp.stop_listening(self)
        for connection in [*self._opening, *self._done]:
            connection.listener = None
            connection.abort()
        self._opening.clear()
        self._done.clear()
