"""Programs that scenarios have by themselves: ordinary code for asyncio and for blocking sockets, and ping."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from typing import Final

from portside.sim.addresses import to_int
from portside.sim.clock import SECOND
from portside.sim.host import Host
from portside.sim.ip.icmp import Pong

CHUNK_BYTES: Final = 65_536
SENT: Final = bytes(range(256)) * (CHUNK_BYTES // 256)


async def sink(port: int) -> None:
    """Read all that comes, and at its end say how much that was."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = 0
        while data := await reader.read(CHUNK_BYTES):
            size += len(data)
        writer.write(b"%d\n" % size)
        writer.close()

    await (await asyncio.start_server(take, port=port)).serve_forever()


async def echo(port: int) -> None:
    """Send back what comes: RFC 862."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.close()

    await (await asyncio.start_server(answer, port=port)).serve_forever()


async def send(size: int, host: str, port: int) -> str:
    """Send so many bytes to a sink, and wait until it says that it has them."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    reader, writer = await asyncio.open_connection(host, port)
    left = size
    while left:
        piece = SENT[: min(left, CHUNK_BYTES)]
        writer.write(piece)
        await writer.drain()
        left -= len(piece)
    writer.write_eof()
    said = await reader.read()
    writer.close()
    if said != b"%d\n" % size:
        raise ConnectionError(f"{host} has got {said.decode('ascii', 'replace').strip() or 'nothing'} of {size} bytes")
    took_s = loop.time() - began_s
    return f"sent {size:,} bytes in {took_s:.3f} s, {8 * size / took_s / 1e6:.3f} Mbit/s"


def get(url: str) -> str:
    """Fetch a page with Python's own blocking client."""
    with urllib.request.urlopen(url) as answer:
        return f"{answer.status} {answer.reason}, {len(answer.read()):,} bytes"


async def ping(host: Host, target: str, *, count: int, interval_s: float, size: int, patience_s: float) -> str:
    """Send echo requests, and wait for the answers; what was not answered within the patience counts as lost."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target, None)
    address = to_int(found[0][4][0])
    answers: dict[int, Pong | OSError] = {}
    all_came = asyncio.Event()
    icmp = host.stack.icmp

    def ask(sequence: int) -> None:
        def answered(said: Pong | OSError) -> None:
            answers.setdefault(sequence, said)
            if len(answers) == count:
                all_came.set()

        icmp.ping(address, 1, sequence, answered, bytes(size))

    for sequence in range(count):
        if sequence:
            await asyncio.sleep(interval_s)
        ask(sequence)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await all_came.wait()
    for sequence in range(count):
        icmp.forget(1, sequence)
    times = [f"{said.rtt_ns / SECOND:.3f} s" for _, said in sorted(answers.items()) if isinstance(said, Pong)]
    lost = 100 * (count - len(times)) / count
    return f"{count} sent, {len(times)} answered, {lost:.0f} % lost; round trips {', '.join(times) or 'none'}"
