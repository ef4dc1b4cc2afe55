"""The supervisor's own small loop: what can be read, and what is due. Nothing in it waits for anything else."""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
from collections.abc import Callable
from time import monotonic

log = logging.getLogger("portside")


class Turns:
    """Waits for descriptors and times, and calls what belongs to them."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.selector = selectors.DefaultSelector()
        self._clock = clock
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def watch(self, descriptor: int, act: Callable[[], None]) -> None:
        self.selector.register(descriptor, selectors.EVENT_READ, act)

    def unwatch(self, descriptor: int) -> None:
        self.selector.unregister(descriptor)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self._clock() + seconds, next(self._numbers), act))

    def turn(self) -> None:
        """Wait for the next thing to happen, and deal with it."""
        timeout_s = max(0.0, self._timers[0][0] - self._clock()) if self._timers else None
        for key, _ in self.selector.select(timeout_s):
            self._guarded(key.data)
        while self._timers and self._timers[0][0] <= self._clock():
            self._guarded(heapq.heappop(self._timers)[2])

    def pause(self, seconds: float) -> None:
        """Wait until something happens, without dealing with it."""
        self.selector.select(seconds)

    def close(self) -> None:
        self.selector.close()

    def _guarded(self, act: Callable[[], None]) -> None:
        """Whatever goes wrong in one matter must not end the supervision of all others."""
        try:
            act()
        except Exception:
            log.exception("the supervisor failed in %s and goes on", getattr(act, "__qualname__", act))
