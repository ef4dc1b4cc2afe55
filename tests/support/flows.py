"""A transfer over TCP in a world, for tests of how fast it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from portside.sim import World

PORT = 9_000


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1 << 20):
        pass
    writer.close()


async def serve() -> None:
    await (await asyncio.start_server(take, port=PORT)).serve_forever()


async def send(target: str, size: int) -> None:
    """Send so many bytes, and wait until the peer has read them all and ended the connection."""
    reader, writer = await asyncio.open_connection(target, PORT)
    writer.write(bytes(size))
    writer.write_eof()
    await reader.read()
    writer.close()


def transfer(world: World, size: int, limit: str | None = None) -> None:
    """Run a world in which alice sends to bob, until all has arrived."""

    async def main() -> None:
        world["bob"].spawn(serve())
        await world["alice"].spawn(send(world["bob"].address, size))

    world.play(main(), limit=limit)


def compete(world: World, senders: list[str], seconds: float, watch: Callable[[], None] = lambda: None) -> None:
    """Run a world in which all of these send to bob for so long; ``watch`` is called in the middle of it."""

    async def main() -> None:
        world["bob"].spawn(serve())
        sending = [world[name].spawn(send(world["bob"].address, 1 << 30)) for name in senders]
        await asyncio.sleep(seconds / 2)
        watch()
        await asyncio.sleep(seconds / 2)
        for one in sending:
            one.cancel()

    world.play(main())
