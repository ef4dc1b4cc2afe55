"""The short ways in and out change nothing but the time they take: without them, the same bytes at the same times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from portside.sim import World
from portside.sim.encoding import encode
from portside.sim.frame import AnyFrame
from portside.sim.port import Way
from portside.sim.tcp import prediction
from portside.sim.tcp.sender import Sender

Seen = list[tuple[int, str, Way, bytes]]
Program = Callable[[World], Any]


def recorded(world: World) -> Seen:
    """Record every frame at every port of a world from now on."""
    seen: Seen = []
    for host in world.hosts:
        for name, port in host.ports.items():

            def note(way: Way, frame: AnyFrame, where: str = f"{host.name}:{name}") -> None:
                seen.append((world.scheduler.now, where, way, encode(frame)))

            port.tap(note)
    return seen


async def read_slowly(reader: asyncio.StreamReader) -> bytes:
    await asyncio.sleep(0.003)
    return await reader.read(20_000)


async def talk(world: World) -> None:
    """Ask and be answered, in messages of all sizes, then stream in both directions at once."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for size in (1, 64, 1_448, 5_000, 40_000):
            writer.write(await reader.readexactly(size))
        writer.write(bytes(150_000))
        while await read_slowly(reader):
            pass
        writer.close()

    async def serve() -> None:
        await (await asyncio.start_server(answer, port=7)).serve_forever()

    async def visit() -> None:
        reader, writer = await asyncio.open_connection("bob", 7)
        for size in (1, 64, 1_448, 5_000, 40_000):
            writer.write(bytes(size))
            await reader.readexactly(size)
        await asyncio.sleep(5)
        writer.write(bytes(150_000))
        writer.write_eof()
        await reader.read()
        writer.close()

    world["bob"].spawn(serve())
    await world["alice"].spawn(visit())


async def stall(world: World) -> None:
    """Send to somebody who does not read for a minute: the window shuts, is probed, and opens."""

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        writer.write(b"wait")
        await asyncio.sleep(60)
        writer.transport.resume_reading()
        while await reader.read(50_000):
            pass
        writer.close()

    async def serve() -> None:
        await (await asyncio.start_server(read_late, port=7)).serve_forever()

    async def send() -> None:
        reader, writer = await asyncio.open_connection("bob", 7)
        await reader.readexactly(4)
        writer.write(bytes(9_000_000))
        writer.write_eof()
        await reader.read()
        writer.close()

    world["bob"].spawn(serve())
    await world["alice"].spawn(send())


def run(program: Program, profile: str, settings: dict[str, Any]) -> tuple[str, Seen]:
    with World(seed=5, profile=profile) as world:
        world.link(world.host("alice"), world.host("bob"), **settings)
        seen = recorded(world)
        world.play(program(world))
        return world.digest(), seen


@pytest.mark.parametrize("profile", ["linux", "rfc"])
@pytest.mark.parametrize(
    ("program", "settings"),
    [
        pytest.param(talk, {"delay": "5ms"}, id="ideal"),
        pytest.param(talk, {"delay": "5ms", "rate": "20Mbit/s", "queue_frames": 30}, id="bottleneck"),
        pytest.param(talk, {"delay": "5ms", "loss": "3%"}, id="loss"),
        pytest.param(talk, {"delay": "5ms", "reorder": "5%", "duplicate": "3%", "corrupt": "1%"}, id="disorder"),
        pytest.param(stall, {"delay": "5ms"}, id="shut window"),
        pytest.param(stall, {"delay": "5ms", "loss": "2%"}, id="shut window, loss"),
    ],
)
def test_it_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, profile: str, program: Program, settings: dict[str, Any]
) -> None:
    predicted: list[bool] = []
    real = prediction.take

    def counted(*arguments: Any) -> bool:
        predicted.append(real(*arguments))
        return predicted[-1]

    monkeypatch.setattr(prediction, "take", counted)
    with_it = run(program, profile, settings)
    assert sum(predicted) > len(predicted) // 5  # it is worth its while even on bad lines
    monkeypatch.setattr(prediction, "take", lambda *_: False)
    monkeypatch.setattr(Sender, "send_at_once", lambda *_: False)
    without = run(program, profile, settings)
    assert len(with_it[1]) > 300
    for place, (one, other) in enumerate(zip(with_it[1], without[1], strict=False)):
        assert one == other, f"frame {place} of {len(without[1])}"
    assert with_it[0] == without[0]
