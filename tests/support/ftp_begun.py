"""Clients in the middle of a transfer."""

from __future__ import annotations

from typing import Final

from portside.testing.memory import CAPACITY_BYTES, MemoryConnection
from support.ftp_visits import Client, World

LARGE: Final = bytes(4 * CAPACITY_BYTES)  # a download of it waits until the client reads


async def begun_download(world: World, line: str = "RETR large") -> tuple[Client, MemoryConnection]:
    """Return a client in the middle of a download that it does not read."""
    world.put("/large", LARGE)
    client = await world.logged_in()
    data = await client.passive()
    await client.send(line)
    assert (await client.reply()).code == 150
    await world.until(lambda: (served := client.served_data()) is not None and served.state == "writing")
    return client, data


async def begun_upload(world: World, line: str = "STOR a") -> tuple[Client, MemoryConnection]:
    """Return a client that has sent five bytes of an upload in place of an older file."""
    world.put("/a", b"old")
    client = await world.logged_in()
    data = await client.passive()
    await client.send(line)
    assert (await client.reply()).code == 150
    await data.write(b"01234")
    await client.until_served(5)
    return client, data


async def read_all(data: MemoryConnection) -> bytes:
    return b"".join([piece async for piece in data])


def assert_the_old_file_is_there(world: World) -> None:
    assert world.names() == {"a"}
    assert world.content("/a") == b"old"
