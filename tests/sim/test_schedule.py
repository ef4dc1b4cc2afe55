"""Another order of tasks is tried for another seed, and the same for the same."""

from __future__ import annotations

import asyncio
from typing import Any

from portside.sim.chance import stream
from portside.sim.clock import Scheduler
from portside.sim.schedule import ShuffledScheduler


class Loop(asyncio.SelectorEventLoop):
    """A loop that hands all that is to be run to a scheduler."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self.scheduler = scheduler

    def call_soon(self, callback: Any, *arguments: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, arguments, self, context)
        self.scheduler.soon(lambda one: one._run(), handle)
        return handle


def order_of(seed: int) -> list[str]:
    """Return in which order four tasks that could run at once got their turns, two each."""
    scheduler, done = ShuffledScheduler(stream(seed, "order")), []
    loop = Loop(scheduler)

    async def twice(name: str) -> None:
        for _ in range(2):
            done.append(name)
            await asyncio.sleep(0)

    asyncio.events._set_running_loop(loop)
    try:
        tasks = [loop.create_task(twice(name)) for name in "abcd"]
        loop.call_soon(done.append, "callback")
        scheduler.run()
    finally:
        asyncio.events._set_running_loop(None)
        loop.close()
    assert all(task.done() for task in tasks)
    return done


def test_a_seed_has_one_order_and_seeds_have_many() -> None:
    orders = [order_of(seed) for seed in range(20)]
    assert orders == [order_of(seed) for seed in range(20)]
    assert len({tuple(order) for order in orders}) > 10
    assert all(sorted(order) == ["a", "a", "b", "b", "c", "c", "callback", "d", "d"] for order in orders)


def test_callbacks_keep_their_order() -> None:
    scheduler, done = ShuffledScheduler(stream(1, "order")), []
    for number in range(10):
        scheduler.soon(done.append, number)
    scheduler.run()
    assert done == list(range(10))
