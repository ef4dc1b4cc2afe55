"""Whole conversations with a handler: its client's words go in, cut as a test likes, and its answer comes out.

``feed`` and ``answers_to`` need no event loop; ``converse`` does the same under one, with backpressure.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable, Iterator
from typing import Any, cast

from portside.address import Address
from portside.contracts import DatagramHandler, StreamHandler
from portside.errors import ConnectionLost
from portside.net.drive import drive
from portside.net.plain import PlainStream, call_plain, is_plain
from portside.testing.memory import MemoryMessage, pair
from portside.testing.pipes import CAPACITY_BYTES, CLIENT, SERVER, UNBOUNDED_BYTES, MemoryConnection


def feed(handler: StreamHandler, stream: bytes | Iterable[bytes], *, peer: Address = CLIENT) -> bytes:
    """Run the handler over everything its client says, then its end of stream, and return all it answers.

    ``stream`` as a list of pieces arrives cut like that, see ``cuttings``. No event loop is involved: a handler that
    waits for more than it gets fails with Stalled, one that awaits something foreign with ForeignAwait.
    """
    server, client = pair(capacity_bytes=UNBOUNDED_BYTES, client=peer)
    for piece in _pieces(stream):
        client._outgoing.put(piece)
    client._outgoing.finish()
    drive(_serve(handler, server), handler=getattr(handler, "__qualname__", "handler"), model="feed")
    return b"".join(client._incoming.chunks)


async def converse(
    handler: StreamHandler,
    stream: bytes | Iterable[bytes],
    *,
    peer: Address = CLIENT,
    capacity_bytes: int = CAPACITY_BYTES,
) -> bytes:
    """Do what ``feed`` does under the running loop: the client writes and reads at once, and buffers are bounded."""
    server, client = pair(capacity_bytes=capacity_bytes, client=peer)

    async def speak() -> None:
        with contextlib.suppress(ConnectionLost):  # a server may hang up on a client that still speaks
            for piece in _pieces(stream):
                await client.write(piece)
            await client.write_eof()

    speaking = asyncio.ensure_future(speak())
    serving = asyncio.ensure_future(_serve(handler, server))
    answer = bytearray()
    try:
        with contextlib.suppress(ConnectionLost):
            async for data in client:
                answer += data
        await serving
    finally:
        for task in (speaking, serving):
            task.cancel()
        await asyncio.gather(speaking, serving, return_exceptions=True)
        await client.close()
    return bytes(answer)


async def _serve(handler: StreamHandler, server: MemoryConnection) -> None:
    async with server:
        if is_plain(handler):
            call_plain(handler, PlainStream(server))
        else:
            await cast("Any", handler)(server)


def _pieces(stream: bytes | Iterable[bytes]) -> Iterable[bytes]:
    return (stream,) if isinstance(stream, bytes) else stream


def cuttings(stream: bytes, *, count: int = 10, seed: int = 0) -> Iterator[list[bytes]]:
    """Yield the stream whole, byte by byte, and cut at random places ``count`` times, the same at every run."""
    yield [stream] if stream else []
    yield [stream[at : at + 1] for at in range(len(stream))]
    chance = random.Random(seed)
    for _ in range(count):
        places = sorted(chance.sample(range(1, len(stream)), chance.randrange(len(stream)))) if len(stream) > 1 else []
        yield [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


def answers_to(
    handler: DatagramHandler, data: bytes, *, peer: Address = CLIENT, local: Address = SERVER
) -> list[bytes]:
    """Run a datagram handler on one message, without an event loop, and return its answers."""
    answers: list[bytes] = []
    message = MemoryMessage(data, peer=peer, local=local, answer=answers.append)
    if is_plain(handler):
        call_plain(handler, message)
    else:
        drive(cast("Any", handler)(message), handler=getattr(handler, "__qualname__", "handler"), model="memory")
    return answers
