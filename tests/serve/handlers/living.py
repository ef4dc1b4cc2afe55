"""A battery that tells of the turns of its worker's life, and takes its time for them."""

from __future__ import annotations

import asyncio
import os
import sys

from portside import Battery, Connection
from portside.errors import LocalError


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


class Living:
    """Tells each turn; ``failing`` and ``slow`` say which of them does not go well."""

    def __init__(self, *, failing: str = "", slow: str = "") -> None:
        self.failing = failing
        self.slow = slow
        self.draining: asyncio.Event | None = None

    async def begin(self) -> None:
        self.draining = asyncio.Event()
        await self._turn("begin")

    def retire(self) -> None:
        tell("told to retire")

    def drain(self) -> None:
        tell("told to drain")
        assert self.draining is not None
        self.draining.set()

    async def finish(self) -> None:
        await self._turn("finish")

    async def _turn(self, name: str) -> None:
        tell(f"to {name}")
        if self.slow == name:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if self.failing == name:
            raise LocalError("the cellar is flooded")
        tell(f"done: {name}")

    async def serve(self, visitor: Connection) -> None:
        """Keep the visitor until the drain: whoever listens to it meanwhile has no goodbye to say."""
        assert self.draining is not None
        visitor.keeps_time = True
        await visitor.write(b"welcome\n")
        await self.draining.wait()
        await visitor.write(b"farewell\n")


def battery_of(living: Living) -> Battery:
    return Battery("living", stream=living.serve, life=living, refusal=lambda why: b"sent away: " + why.encode())


well = battery_of(Living())
stillborn = battery_of(Living(failing="begin"))
unborn = battery_of(Living(slow="begin"))
second_unborn = battery_of(Living(slow="begin" if os.path.exists(os.environ.get("MARK", "")) else ""))
undying = battery_of(Living(slow="finish"))
bad_end = battery_of(Living(failing="finish"))


async def chat(visitor: Connection) -> None:
    """Give each line back."""
    async for line in visitor.lines():
        await visitor.write(line + b"\n")


polite = Battery("polite", stream=chat, refusal=lambda why: b"no: " + why.encode(), farewell=lambda why: b"bye\n")
