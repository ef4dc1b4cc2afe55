"""Connections whose bytes the observer is told, because somebody looks at their conversation and it has no words.

A look lasts for some seconds; whoever goes on looking asks again meanwhile. Nobody's connection is touched before.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from portside.net.stream import Stream
from portside.net.tap import Way
from portside.serve.observing import Observer

LOOK_S: Final = 10.0  # how long one look lasts
WATCHED_MAX: Final = 64  # connections at a time


class Watches:
    """The connections of a worker that are watched now. Looks and ticks come from one thread."""

    def __init__(self, observer: Observer, clock: Callable[[], float] = monotonic) -> None:
        self._observer = observer
        self._clock = clock
        self._until_s: dict[Stream, float] = {}
        self._ends: dict[Stream, Callable[[], None]] = {}

    def watch(self, connection: Stream) -> None:
        """Tell the observer what the connection moves, for some seconds from now."""
        if connection not in self._ends:
            if len(self._ends) >= WATCHED_MAX:
                return
            self._ends[connection] = connection.tap(_Ear(connection.id, self._observer))
        self._until_s[connection] = self._clock() + LOOK_S

    def tick(self) -> None:
        """Leave those alone that nobody has looked at lately."""
        if not self._ends:
            return
        now_s = self._clock()
        for connection in [one for one, until_s in self._until_s.items() if until_s <= now_s]:
            del self._until_s[connection]
            self._ends.pop(connection)()


class _Ear:
    """Hears one connection for the observer. See ``net.tap.Listener``."""

    __slots__ = ("_connection", "_observer")

    def __init__(self, connection: str, observer: Observer) -> None:
        self._connection = connection
        self._observer = observer

    def moved(self, way: Way, data: bytes, at_ns: int) -> None:
        self._observer.moved(self._connection, way, data, at_ns / 1e9)

    def ended(self, way: Way, at_ns: int) -> None:
        self._observer.moved(self._connection, way, b"", at_ns / 1e9)

    def reset(self, way: Way, at_ns: int) -> None:
        """How the connection ended is told by its record."""

    def joined(self, companion: Stream) -> None:
        """What a handler says to others is another conversation."""
