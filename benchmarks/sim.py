"""Measures the simulated internet: ``python benchmarks/sim.py --help``.

Every case is run in a process of its own, on one core, several times in turns; what is printed is the median, the least
and the most, and the goal. Rates are of real time: how much of a world passes in a second of the machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import checkout  # noqa: F401 - lets the imports below find the package
from portside.sim import World
from portside.sim.capture import Capture

CHUNK = Random(1).randbytes(65_536)  # zeros would be easy: their checksum takes no time


class Case(NamedTuple):
    """What is measured: ``run`` is given a size, does so much, and returns its figures by their units."""

    run: Callable[[int], dict[str, float]]
    size: int
    goal: str


def path_of(routers: int = 1) -> World:
    """Return a world with alice, bob, and so many routers between them, on fast lines."""
    world = World(seed=1)
    alice, bob = world.host("alice", "10.0.0.2/24"), world.host("bob", f"10.0.{routers}.2/24")
    between = [
        world.router(f"router{n}", f"10.0.{n}.{1 if n == 0 else 3}/24", f"10.0.{n + 1}.1/24") for n in range(routers)
    ]
    chain = [alice, *between, bob]
    for one, other in pairwise(chain):
        world.link(one, other, delay="1ms")
    return world


def begin(world: World, program: Any) -> None:
    """Start a program on bob, and give it a second: what is made once is not measured, here as at other simulators."""

    async def main() -> None:
        world["bob"].spawn(program)
        await asyncio.sleep(1)

    world.play(main())


def timed(world: World, main: Any) -> float:
    began_s = time.perf_counter()
    world.play(main)
    return time.perf_counter() - began_s


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def serve(handler: Any) -> None:
    await (await asyncio.start_server(handler, port=7)).serve_forever()


def round_trips(count: int) -> dict[str, float]:
    """64 bytes there and back, by asyncio's streams, over two hosts and a router."""
    with path_of() as world:

        async def visit() -> None:
            reader, writer = await asyncio.open_connection("bob", 7)
            message = bytes(64)
            for _ in range(count):
                writer.write(message)
                await reader.readexactly(64)
            writer.close()

        async def main() -> None:
            await world["alice"].spawn(visit())

        begin(world, serve(echo))
        return {"round trips/s": count / timed(world, main())}


def bulk(size: int, capture: Path | None = None) -> dict[str, float]:
    """One stream of asyncio over two hosts and a router."""
    with path_of() as world:

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1 << 20):
                pass
            writer.close()

        async def send() -> None:
            reader, writer = await asyncio.open_connection("bob", 7)
            for _ in range(size // len(CHUNK)):
                writer.write(CHUNK)
                await writer.drain()
            writer.write_eof()
            await reader.read()
            writer.close()

        async def main() -> None:
            await world["alice"].spawn(send())

        begin(world, serve(take))
        recording = None if capture is None else Capture.of(world, capture)
        took_s = timed(world, main())
        if recording is not None:
            recording.close()
        frames = sum(line.sent for link in world.links for line in link.lines)
        return {"MB/s": size / 1e6 / took_s, "frames/s": frames / took_s}


def bulk_captured(size: int) -> dict[str, float]:
    """The same, with every frame at every port written to a pcapng file."""
    with tempfile.TemporaryDirectory() as folder:
        return bulk(size, Path(folder) / "run.pcapng")


def hops(count: int) -> dict[str, float]:
    """Datagrams over twenty routers: what a hop costs, less what the hosts at both ends do."""
    routers = 20
    with path_of(routers) as world:

        async def main() -> None:
            await world["alice"].spawn(send())

        async def send() -> None:
            loop = asyncio.get_running_loop()
            there, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(world["bob"].address, 9)
            )
            for number in range(count):
                there.sendto(b"x" * 64)
                if number % 32 == 31:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(1)

        async def listen() -> None:
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(world["bob"].address, 9))

        begin(world, listen())
        took_s = timed(world, main())
        passed = world.links[-1].there.sent
        return {"hops/s": passed * routers / took_s}


def seeds(count: int) -> dict[str, float]:
    """Small worlds, one for each seed: two hosts, a link that loses, an echo of a few bytes."""
    world = World()
    world.link(world.host("alice"), world.host("bob"), delay="5ms", loss="1%")

    async def visit() -> None:
        reader, writer = await asyncio.open_connection("bob", 7)
        writer.write(b"hello")
        await reader.readexactly(5)
        writer.close()

    async def check(world: World) -> None:
        world["bob"].spawn(serve(echo))
        await world["alice"].spawn(visit())

    began_s = time.perf_counter()
    world.explore(seeds=range(count), check=check)
    return {"seeds/s": count / (time.perf_counter() - began_s)}


def crowd(count: int) -> dict[str, float]:
    """So many hosts on one switch, each of which visits the next one; building and ending the world count."""
    began_s = time.perf_counter()
    with World() as world:
        hosts = [world.host(f"h{number}") for number in range(count)]
        world.lan("hall", *hosts, delay="1ms")

        async def visit(name: str) -> None:
            reader, writer = await asyncio.open_connection(name, 7)
            writer.write(b"hello")
            await reader.readexactly(5)
            writer.close()

        async def main() -> None:
            for host in hosts:
                host.spawn(serve(echo))
            visits = [host.spawn(visit(other.name)) for host, other in zip(hosts, [*hosts[1:], hosts[0]], strict=True)]
            for one in visits:
                await one

        world.play(main())
    return {"seconds": time.perf_counter() - began_s}


CASES = {
    "round trips": Case(round_trips, 20_000, "at least 30,000 round trips/s"),
    "bulk": Case(bulk, 64 << 20, "at least 80 MB/s and 150,000 frames/s"),
    "bulk, captured": Case(bulk_captured, 32 << 20, "at least 35 MB/s"),
    "router hops": Case(hops, 10_000, "at least 500,000 hops/s"),
    "seeds": Case(seeds, 500, "at least 1,000 seeds/s"),
    "1,000 hosts": Case(crowd, 1_000, "less than 15 seconds"),
}


def once(name: str, part: int) -> dict[str, float]:
    """Run a case in a process of its own, pinned to one core."""
    command = [sys.executable, __file__, "--one", name, "--part", str(part)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | {"PYTHONHASHSEED": "0"})
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="sim.py", description="Measure the simulated internet, and compare with its goals."
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is run, in turns (5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, two rounds")
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, default=1, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        case = CASES[chosen.one]
        print(json.dumps(case.run(max(case.size // chosen.part, 10))))
        return 0
    part, rounds = (10, 2) if chosen.quick else (1, chosen.rounds)
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name in CASES:
            for unit, value in once(name, part).items():
                figures.setdefault((name, unit), []).append(value)
    print("| case | unit | median (least to most) | goal |\n|---|---|---|---|")
    for (name, unit), values in figures.items():
        median = figure(statistics.median(values))
        print(f"| {name} | {unit} | {median} ({figure(min(values))} to {figure(max(values))}) | {CASES[name].goal} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
