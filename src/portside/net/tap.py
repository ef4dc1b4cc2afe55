"""Taps: whoever listens to a connection is told every byte that its handler receives and sends, TLS taken off.

A stream without a tap has None for one. Where bytes pass, it is asked for no more than that; on the lane, whose way of
a byte is the shortest, not even that: a tapped connection has other functions to receive and send by.
"""

from __future__ import annotations

import os
import threading
from time import time_ns
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from portside.net.stream import Stream

Way: TypeAlias = Literal["in", "out"]

changing: Final = threading.Lock()  # held while somebody begins or ends to listen, to whichever connection


class Listener(Protocol):
    """Is told by whichever thread moves the bytes, and must not wait. Times are nanoseconds since 1970."""

    def moved(self, way: Way, data: bytes, at_ns: int) -> None:
        """Bytes were received, or taken by the kernel; under TLS, opened or sealed."""

    def ended(self, way: Way, at_ns: int) -> None:
        """The stream that way is at its end. When both are, nothing more is told."""

    def reset(self, way: Way, at_ns: int) -> None:
        """The connection was reset by the peer (``in``) or by us (``out``). Nothing more is told."""

    def joined(self, companion: Stream) -> None:
        """The handler has opened another connection for its peer."""


class Tap:
    """What one stream tells its listeners. Each way ends once, however often that is noticed."""

    __slots__ = ("_ended", "_listeners")

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._ended: frozenset[Way] = frozenset()

    def add(self, listener: Listener) -> None:
        """Tell this one as well, first of what has ended already."""
        self._listeners = (*self._listeners, listener)
        for way in self._ended:
            listener.ended(way, time_ns())

    def remove(self, listener: Listener) -> bool:
        """Tell this one no more. Returns whether any is left."""
        self._listeners = tuple(one for one in self._listeners if one is not listener)
        return bool(self._listeners)

    def received(self, data: bytes) -> None:
        """Tell what came, ``b""`` at the end of the peer's stream."""
        if not data:
            self.ended("in")
        else:
            self._moved("in", data)

    def sent(self, data: bytes) -> None:
        if data:
            self._moved("out", data)

    def sent_file(self, descriptor: int, offset: int, count: int) -> None:
        """Tell what the kernel has sent of a file by itself."""
        while count and (data := os.pread(descriptor, count, offset)):
            self._moved("out", data)
            offset += len(data)
            count -= len(data)

    def ended(self, way: Way) -> None:
        if way not in self._ended:
            self._ended |= {way}
            at_ns = time_ns()
            for listener in self._listeners:
                listener.ended(way, at_ns)

    def reset(self, way: Way) -> None:
        """Tell that all is over at once."""
        if len(self._ended) < 2:
            self._ended = frozenset({"in", "out"})
            at_ns = time_ns()
            for listener in self._listeners:
                listener.reset(way, at_ns)

    def closed(self) -> None:
        """Tell the ends that nobody has noticed: the socket is closed."""
        self.ended("out")
        self.ended("in")

    def joined(self, companion: Stream) -> None:
        for listener in self._listeners:
            listener.joined(companion)

    def _moved(self, way: Way, data: bytes) -> None:
        if way in self._ended:
            return
        at_ns = time_ns()
        for listener in self._listeners:
            listener.moved(way, data, at_ns)
