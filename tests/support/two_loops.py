"""The same program on asyncio's own loop and on a simulated host's: the one is the other's oracle."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from portside.sim import World

HERE = "127.0.0.1"  # which a simulated host has as well

Program = Callable[[], Coroutine[Any, Any, object]]


def on_both_loops(program: Callable[..., Coroutine[Any, Any, object]]) -> Any:
    """Make a test of a coroutine function: run it by ``asyncio.run``, and as a program of a simulated host."""

    @pytest.mark.parametrize("on", ["asyncio", "simulated"])
    @functools.wraps(program)
    def test(on: str, **fixtures: Any) -> None:
        async def within() -> None:
            async with asyncio.timeout(60):
                await program(**fixtures)

        if on == "asyncio":
            asyncio.run(within())
            return
        with World(seed=1) as world:
            alice = world.host("alice")

            async def main() -> None:
                await alice.spawn(within())

            world.play(main(), limit="10min")

    del test.__wrapped__
    return test
