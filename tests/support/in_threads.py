"""Blocking programs on a simulated host, for tests of what they may wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from portside.sim import World


def play(program: Callable[[World], Any], seed: int = 1) -> Any:
    with World(seed=seed) as world:
        world.link(world.host("alice"), world.host("bob"), delay="10ms")
        before = set(threading.enumerate())
        result = world.play(program(world))
    assert set(threading.enumerate()) <= before  # none is left of those that the world has made
    return result


def blocking(function: Callable[[], Any]) -> Any:
    """Run a function in a thread of alice."""

    async def main(world: World) -> Any:
        return await world["alice"].run_blocking(function)

    return play(main)
