"""Other orders of what happens at once: bugs of timing are often bugs of order, and FIFO shows one order only.

Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A Randomized Scheduler with
Probabilistic Guarantees of Finding Bugs", ASPLOS 2010): every task has a priority at random, of those that could run
the first by priority does, and at a few random steps the one that runs becomes the last of all. A bug that needs
``depth`` ordered steps among n tasks and k steps is found with a probability of at least 1 / (n * k ** (depth - 1)).

Only steps of tasks change places, and only where several could run now: what asyncio promises of ``call_soon``, and all
times, stay as they are.
"""

from __future__ import annotations

from asyncio import Handle, Task
from math import log2
from random import Random
from typing import Any

from portside.sim.clock import Scheduler, Step

STEPS = 1_000  # among so many first steps the changes of priority are: the most that the paper's k is taken for


class ShuffledScheduler(Scheduler):
    """A scheduler that picks among tasks by random priorities. All chance comes from the stream it is given."""

    __slots__ = ("_chance", "_changes", "_lowest", "_priorities", "_steps")

    def __init__(self, chance: Random, depth: int = 3, steps: int = STEPS) -> None:
        super().__init__()
        self._chance = chance
        # How long a run will be is not known, and most are short: so early steps are as likely as all the later ones.
        self._changes = frozenset(int(2 ** chance.uniform(0, log2(steps))) for _ in range(depth - 1))
        self._priorities: dict[Task[Any], float] = {}
        self._lowest = 0.0
        self._steps = 0

    def _run_ready(self) -> None:
        while self.ready and not self.stopped:
            step, argument = self._next()
            step(argument)

    def _next(self) -> tuple[Step, Any]:
        ready = self.ready
        if _task_of(ready[0]) is None:
            return ready.popleft()
        places = [(place, task) for place, entry in enumerate(ready) if (task := _task_of(entry)) is not None]
        place, task = max(places, key=lambda found: self._priority(found[1]))
        self._steps += 1
        if self._steps in self._changes:
            self._lowest -= 1.0
            self._priorities[task] = self._lowest
        entry = ready[place]
        del ready[place]
        return entry

    def _priority(self, task: Task[Any]) -> float:
        found = self._priorities.get(task)
        if found is None:
            if len(self._priorities) > 4 * STEPS:
                self._priorities = {one: of for one, of in self._priorities.items() if not one.done()}
            found = self._priorities[task] = self._chance.random()
        return found


def _task_of(entry: tuple[Step, Any]) -> Task[Any] | None:
    """Return the task that a step is of, None if it is a step of something else."""
    handle = entry[1]
    if isinstance(handle, Handle):
        owner = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
        if isinstance(owner, Task):
            return owner
    return None
