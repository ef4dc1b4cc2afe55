"""``@simulated``: tests on the simulated internet, with many seeds, as pytest runs them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from portside.sim import SeedFailed, World
from portside.testing.simulated import simulated
from support.waiting import WITHIN_S

SEEDS: list[int] = []


def two(world: World) -> None:
    world.link(world.host("alice"), world.host("bob"), delay="5ms", loss="5%")


@pytest.fixture
def word() -> bytes:
    return b"hello"


@simulated(two, seeds=20)
async def test_an_echo_over_a_bad_line(world: World, word: bytes) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        writer.close()

    async def serve() -> None:
        await (await asyncio.start_server(echo, port=7)).serve_forever()

    async def visit() -> bytes:
        reader, writer = await asyncio.open_connection("bob", 7)
        writer.write(word)
        answer = await reader.read()
        writer.close()
        return answer

    SEEDS.append(world.seed)
    world["bob"].spawn(serve())
    await asyncio.sleep(1)
    assert await world["alice"].spawn(visit()) == word


@simulated(two, seeds=1)
async def test_a_world_may_stand_behind_fixtures(tmp_path: Path, world: World, word: bytes) -> None:
    assert tmp_path.name.startswith("test_a_world_may_stand")
    assert (world.seed, word) == (0, b"hello")


class TestMethods:
    @simulated(two, seeds=[3, 4])
    async def test_of_a_class(self, world: World) -> None:
        assert isinstance(self, TestMethods)
        assert world.seed in {3, 4}


def test_every_seed_was_run() -> None:
    SEEDS.clear()
    test_an_echo_over_a_bad_line(word=b"again")
    assert list(range(20)) == SEEDS


def test_the_seed_that_fails_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []

    @simulated(two, seeds=10)
    async def fails(world: World) -> None:
        ran.append(world.seed)
        assert world.seed != 6

    with pytest.raises(SeedFailed) as caught:
        fails()
    assert ran == list(range(7))
    (note,) = caught.value.__notes__
    assert note.startswith("run it again: PORTSIDE_SEED=6 pytest '")
    assert "test_simulated.py::test_the_seed_that_fails" in note
    monkeypatch.setenv("PORTSIDE_SEED", "8")
    fails()
    assert ran[7:] == [8]


def test_a_run_that_hangs_is_told() -> None:
    @simulated(two, seeds=1)
    async def hangs(world: World) -> None:
        await asyncio.Event().wait()

    with pytest.raises(SeedFailed, match="nothing is left to happen"):
        hangs()


def test_a_test_without_a_world_is_refused() -> None:
    async def test() -> None:
        """Take nothing."""

    with pytest.raises(TypeError, match="takes no world"):
        simulated(two)(test)


def test_pytest_runs_it_without_any_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "from portside.testing.simulated import simulated\n"
        "@simulated(lambda world: world.host('a'), seeds=3)\n"
        "async def test_it(world):\n    assert world.seed < 2\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 1
    assert "run it again: PORTSIDE_SEED=2 pytest 'test_it.py::test_it'" in done.stdout
