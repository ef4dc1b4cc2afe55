"""Handlers that the tests serve with ``portside run visiting:NAME``."""

from __future__ import annotations

import asyncio
import os
import time

from portside import Connection, Message, PlainConnection


async def shout(visitor: Connection) -> None:
    """Send each line back in capitals."""
    async for line in visitor.lines():
        await visitor.write(line.upper() + b"\n")


def plain_shout(visitor: PlainConnection) -> None:
    """The same without a coroutine."""
    for line in visitor.lines():
        visitor.write(line.upper() + b"\n")


async def shout_message(message: Message) -> None:
    """The same for a datagram."""
    await message.reply(message.data.upper())


async def ponder(visitor: Connection) -> None:
    """Say where this is served, think for ever without reading."""
    await visitor.write(f"{os.getpid()}\n".encode())
    while True:
        await visitor.network.sleep(3_600)


async def compute(visitor: Connection) -> None:
    """Keep the processor's thread busy, without any waiting on the connection, if the visitor says so."""
    if await visitor.read_line() == b"compute":
        await visitor.write(b"computing\n")
        time.sleep(3_600)  # noqa: ASYNC251
    await visitor.read()


async def who(visitor: Connection) -> None:
    """Tell the visitor the addresses of both ends, what TLS agreed on, and which process this is."""
    tls = visitor.tls
    agreed = f"{tls.version} {tls.alpn} {tls.server_name}" if tls else "plain"
    await visitor.write(f"{visitor.peer} {visitor.local} {os.getpid()} {agreed}\n".encode())
    if tls is not None and tls.peer_certificate is not None:
        await visitor.write(f"{tls.peer_certificate.get('subjectAltName')}\n".encode())


async def crash(visitor: Connection) -> None:
    """Take the whole process along."""
    os._exit(9)


async def fail(visitor: Connection) -> None:
    """Have a bug."""
    await visitor.read()
    raise ZeroDivisionError("a bug of this handler")


async def foreign(visitor: Connection) -> None:
    """Await what only an event loop gives."""
    await asyncio.sleep(0.001)
    await visitor.write(b"slept\n")


async def flood(visitor: Connection) -> None:
    """Send without end."""
    piece = b"x" * 65_536
    while True:
        await visitor.write(piece)
