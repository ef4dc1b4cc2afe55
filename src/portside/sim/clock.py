"""Virtual time: one scheduler for a whole world, in integer nanoseconds.

What happens at once is done in the order it was asked for; what happens later, in the order of its time, and of its
asking where the times are equal. Nothing else decides, so a run repeats exactly.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final, TypeAlias

NANOSECOND: Final = 1
MICROSECOND: Final = 1_000
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000

Step: TypeAlias = Callable[[Any], object]  # what is done, with its one argument


class Scheduler:
    """What is to happen, and when. ``now`` is in nanoseconds since the world began."""

    __slots__ = ("_cancelled", "count", "heap", "now", "ready", "stopped")

    def __init__(self) -> None:
        self.now = 0
        self.ready: deque[tuple[Step, Any]] = deque()
        self.heap: list[tuple[int, int, Step, Any]] = []
        self.stopped = False
        self.count = count()  # numbers what is to happen later, in the order of asking
        self._cancelled = 0

    def soon(self, step: Step, argument: Any = None) -> None:
        """Do this at the time that is now, after all that was asked for before."""
        self.ready.append((step, argument))

    def at(self, time_ns: int, step: Step, argument: Any = None) -> None:
        """Do this at that time; at once if it has passed."""
        heapq.heappush(self.heap, (time_ns, next(self.count), step, argument))

    def after(self, delay_ns: int, step: Step, argument: Any = None) -> None:
        """Do this when so much time has passed."""
        heapq.heappush(self.heap, (self.now + delay_ns, next(self.count), step, argument))

    @property
    def events(self) -> int:
        """How many things were asked for that were to happen later: a number that equal runs have in common."""
        return int(repr(self.count)[6:-1])  # "count(7)": the one way to look at it without taking from it

    def run(self, until_ns: int | None = None, *, keep_time: bool = False) -> None:
        """Do everything that is to happen, until nothing is left, that time has come, or ``stop`` was called.

        What is due exactly at ``until_ns`` is done; then ``now`` is that time even if nothing happened at it, or with
        ``keep_time`` the time of what happened last.
        """
        self.stopped = False
        ready, heap, pop = self.ready, self.heap, heapq.heappop
        while not self.stopped:
            if ready:
                self._run_ready()
                if self.stopped:
                    return
            if not heap or (until_ns is not None and heap[0][0] > until_ns):
                break
            time_ns, _, step, argument = pop(heap)
            if time_ns > self.now:
                self.now = time_ns
            step(argument)
        if until_ns is not None and not self.stopped and not keep_time:
            self.now = max(self.now, until_ns)

    def cancelled(self, is_cancelled: Callable[[tuple[int, int, Step, Any]], bool]) -> None:
        """Take note that an entry will not be needed; when most are such, they are taken out."""
        self._cancelled += 1
        if self._cancelled > max(1_000, len(self.heap) // 2):
            self._cancelled = 0
            self.heap[:] = [entry for entry in self.heap if not is_cancelled(entry)]
            heapq.heapify(self.heap)

    def _run_ready(self) -> None:
        """Do what is to be done now, until nothing of it is left or ``stop`` was called."""
        ready = self.ready
        while ready:
            step, argument = ready.popleft()
            step(argument)
            if self.stopped:
                return

    def stop(self) -> None:
        """End the run after the step that is being done. What is to happen stays, for another run."""
        self.stopped = True


class Timer:
    """One alarm that is set, moved and taken off often, and rings seldom: such as TCP has several of per connection.

    Moving it later costs an assignment: the entry in the scheduler's heap stays where it is, and when its time comes it
    goes on to the time that then holds.
    """

    __slots__ = ("_entry_ns", "_ring", "_scheduler", "due_ns")

    def __init__(self, scheduler: Scheduler, ring: Callable[[], object]) -> None:
        self._scheduler = scheduler
        self._ring = ring
        self._entry_ns: int | None = None  # the time of the earliest entry that is in the heap for us
        self.due_ns: int | None = None

    def set(self, due_ns: int) -> None:
        """Ring at that time, and not at the one it was set to before."""
        self.due_ns = due_ns
        if self._entry_ns is None or due_ns < self._entry_ns:
            self._entry_ns = due_ns
            self._scheduler.at(due_ns, self._look, due_ns)

    def start(self, delay_ns: int) -> None:
        """Ring when so much time has passed."""
        self.due_ns = due_ns = self._scheduler.now + delay_ns  # ``set``, written out: TCP does it for every segment
        if self._entry_ns is None or due_ns < self._entry_ns:
            self._entry_ns = due_ns
            self._scheduler.at(due_ns, self._look, due_ns)

    def cancel(self) -> None:
        """Do not ring."""
        self.due_ns = None

    @property
    def is_set(self) -> bool:
        return self.due_ns is not None

    def _look(self, entry_ns: int) -> None:
        if entry_ns != self._entry_ns:
            return  # an earlier entry was made since: that one has taken over
        due_ns = self.due_ns
        if due_ns is None:
            self._entry_ns = None
        elif due_ns > self._scheduler.now:
            self._entry_ns = due_ns
            self._scheduler.at(due_ns, self._look, due_ns)
        else:
            self._entry_ns = self.due_ns = None
            self._ring()
