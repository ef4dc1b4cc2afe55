"""64 bytes there and back in simulated networks for asyncio programs: simloop, simloom, async-solipsism.

    python sim_echo.py simloop|simloom|async-solipsism COUNT      # prints what it took as JSON

The program is the one of ``benchmarks/sim.py``; the networks are of another kind: bytes are handed over, there are no
packets, no addresses to be resolved, no acknowledgements. Delays are those of our way over a router, where there are
any.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

DELAY_S = 0.002
MESSAGE = bytes(64)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def serve(host: str | None = None) -> None:
    await (await asyncio.start_server(echo, host, 7)).serve_forever()


async def visit(host: str, count: int) -> None:
    reader, writer = await asyncio.open_connection(host, 7)
    for _ in range(count):
        writer.write(MESSAGE)
        await reader.readexactly(64)
    writer.close()


def simloop(count: int) -> float:
    from simloop import SimLoop

    loop = SimLoop(seed=1)
    loop.net.set_defaults(latency=(DELAY_S, DELAY_S))

    async def main() -> float:
        loop.net.host("bob").create_task(serve())
        await asyncio.sleep(1)
        began_s = time.perf_counter()
        await loop.net.host("alice").create_task(visit("bob", count))
        return time.perf_counter() - began_s

    return loop.run_until_complete(main())


def simloom(count: int) -> float:
    import simloom as library

    took_s: list[float] = []

    async def main(world: Any) -> None:
        world.net.set_latency(DELAY_S, DELAY_S)
        world.net.dns.register("bob")
        bob, alice = world.host("bob"), world.host("alice")
        bob.spawn(lambda: serve("bob"))
        await world.sleep(1)
        began_s = time.perf_counter()
        await alice.spawn(lambda: visit("bob", count))
        took_s.append(time.perf_counter() - began_s)

    library.run(main, seed=1, on_unhandled="record")
    return took_s[0]


def async_solipsism(count: int) -> float:
    import async_solipsism as library

    async def main() -> float:
        server = asyncio.create_task(serve("127.0.0.1"))
        await asyncio.sleep(1)
        began_s = time.perf_counter()
        await visit("127.0.0.1", count)
        took_s = time.perf_counter() - began_s
        server.cancel()
        return took_s

    loop = library.EventLoop()
    return loop.run_until_complete(main())


PEERS: dict[str, Callable[[int], float]] = {
    "simloop": simloop,
    "simloom": simloom,
    "async-solipsism": async_solipsism,
}

if __name__ == "__main__":
    asked = int(sys.argv[2])
    print(json.dumps({"round trips/s": asked / PEERS[sys.argv[1]](asked)}))
