"""What a site needs of the world around it, under any event loop: a clock, and threads for what may block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar, cast

from portside.contracts import Network

Result = TypeVar("Result")


async def run_blocking(function: Callable[..., Result], *arguments: Any, pool: Executor | None = None) -> Result:
    """Call what may wait for a disk, without holding up anybody else."""
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


async def run_to_end(
    function: Callable[..., Result], *arguments: Any, undo: Callable[[Result], object] | None = None
) -> Result:
    """The same for what must not go on behind the back of somebody who is cancelled meanwhile.

    A descriptor that it writes to may be another file's by then. So it is waited for in any case; and if nobody gets
    what it gives any more, ``undo`` does.
    """
    loop = asyncio.get_running_loop()
    going = loop.run_in_executor(None, partial(function, *arguments))
    cancelled: asyncio.CancelledError | None = None
    while not going.done():
        try:
            await asyncio.wait((going,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return going.result()
    if going.exception() is None and undo is not None:
        undo(going.result())
    raise cancelled


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
