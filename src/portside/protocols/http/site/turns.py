"""What a site needs of the world around it, under any event loop: a clock, and threads for what may block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, cast

from portside.contracts import Network

Result = TypeVar("Result")


async def run_blocking(function: Callable[..., Result], *arguments: Any, pool: Executor | None = None) -> Result:
    """Call what may wait for a disk, without holding up anybody else."""
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


class _LoopTurns:
    """The part of a ``Network`` that needs no sockets. An ASGI application is given none that it could ask."""

    async def run_blocking(
        self, function: Callable[..., Result], *arguments: Any, pool: Executor | None = None
    ) -> Result:
        return await run_blocking(function, *arguments, pool=pool)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()


TURNS = cast(Network, _LoopTurns())
"""For the doorkeeper and for rates, which ask a network for nothing else."""
