"""Counters of one process, for services that have only one, and for tests. See ``contracts.Counters``."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Final

KEYS_MAX: Final = 65_536
GONE_AT_ONCE: Final = 16  # one in so many goes where there is no room


class LocalCounters:
    """Numbers in a dict. It is also the model that the shared ones are tested against."""

    def __init__(self, *, keys_max: int = KEYS_MAX, clock: Callable[[], float] = monotonic) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, tuple[int, float]] = {}  # with the time until which they are remembered
        self._places: Counter[str] = Counter()
        self._keys_max = keys_max
        self._clock = clock

    def add(self, key: str, amount: int, *, lasts_s: float) -> int:
        now_s = self._clock()
        with self._lock:
            number = self._value(key, now_s) + amount
            if key not in self._numbers and len(self._numbers) >= self._keys_max:
                self._make_room(now_s)
            self._numbers[key] = (number, now_s + lasts_s)
            return number

    def value(self, key: str) -> int:
        with self._lock:
            return self._value(key, self._clock())

    def _value(self, key: str, now_s: float) -> int:
        number, until_s = self._numbers.get(key, (0, 0.0))
        return number if until_s > now_s else 0

    def _make_room(self, now_s: float) -> None:
        self._numbers = {key: entry for key, entry in self._numbers.items() if entry[1] > now_s}
        if len(self._numbers) >= self._keys_max:  # not one by one: in a flood each would look at all the others
            by_time = sorted(self._numbers, key=lambda key: self._numbers[key][1])
            for key in by_time[: max(1, self._keys_max // GONE_AT_ONCE)]:
                del self._numbers[key]

    def forget(self, key: str) -> None:
        with self._lock:
            self._numbers.pop(key, None)

    def hold(self, key: str, places: int) -> bool:
        with self._lock:
            if self._places[key] >= places:
                return False
            self._places[key] += 1
            return True

    def let_go(self, key: str) -> None:
        with self._lock:
            if self._places[key] > 1:
                self._places[key] -= 1
            else:
                self._places.pop(key, None)
