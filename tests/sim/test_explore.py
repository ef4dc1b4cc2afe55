"""Many seeds: the one that fails is found, told with what repeats it, and with the faults that it takes."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.sim import Fault, SeedFailed, World
from portside.sim.explore import Exploration, shrink


def pair() -> World:
    world = World()
    world.link(world.host("alice"), world.host("bob"), delay="10ms", loss="20%")
    return world


async def ask_once(world: World) -> None:
    """Fail if one datagram there and one back do not arrive: with 20 % loss that is a third of the seeds."""

    class Answering(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            self.transport.sendto(data, address)  # type: ignore[attr-defined]

    async def serve() -> None:
        await asyncio.get_running_loop().create_datagram_endpoint(Answering, ("0.0.0.0", 7))
        await asyncio.Event().wait()

    async def ask() -> None:
        heard = asyncio.get_running_loop().create_future()

        class Asking(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
                heard.set_result(data)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Asking, remote_addr=("bob", 7))
        transport.sendto(b"?")
        async with asyncio.timeout(3):
            await heard

    world["bob"].spawn(serve())
    await asyncio.sleep(0.1)
    await world["alice"].spawn(ask())


def test_the_seed_that_fails_is_told_and_fails_again() -> None:
    with pytest.raises(SeedFailed) as caught:
        pair().explore(seeds=range(50), check=ask_once)
    seed = caught.value.seed
    assert f"PORTSIDE_SEED={seed}" in str(caught.value)
    assert isinstance(caught.value.__cause__, TimeoutError)
    with pytest.raises(SeedFailed, match=f"seed {seed} fails"):
        pair().explore(seeds=[seed], check=ask_once)


def test_the_environment_chooses_one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTSIDE_SEED", "7")

    async def nothing(world: World) -> None:
        assert world.seed == 7

    assert list(pair().explore(seeds=range(50), check=nothing).digests) == [7]


def test_runs_of_one_seed_do_not_differ_and_of_two_seeds_they_do() -> None:
    exploration = Exploration(pair(), ask_once)
    assert exploration.difference(3) is None
    difference = exploration.difference(3, 4)
    assert difference is not None
    assert "the runs are the same for" in difference


def test_of_the_faults_only_those_are_told_that_it_takes() -> None:
    world = World()
    world.link(world.host("alice"), world.host("bob"), delay="1ms")

    def faults(_: World, chance: Random) -> list[Fault]:
        made = [Fault(f"{chance.randrange(1, 900)}ms", lambda world: None, f"nothing {n}") for n in range(8)]
        return [*made, Fault("0.05s", lambda world: world.partition(world["alice"], world["bob"]), "partition")]

    with pytest.raises(SeedFailed) as caught:
        world.explore(seeds=[1], check=ask_once, faults=faults)
    assert [fault.words for fault in caught.value.faults] == ["partition"]
    assert "at 0.05s: partition" in str(caught.value)


def test_another_order_of_tasks_finds_what_fifo_hides() -> None:
    world = World()
    world.host("alice")

    async def check(world: World) -> None:
        balance = [0]

        async def add() -> None:
            before = balance[0]
            await asyncio.sleep(0)
            balance[0] = before + 1

        async def one_after_the_other() -> None:
            first = asyncio.create_task(add())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            second = asyncio.create_task(add())
            await asyncio.gather(first, second)

        await world["alice"].spawn(one_after_the_other())
        assert balance == [2]

    assert len(world.explore(seeds=range(20), check=check)) == 20
    with pytest.raises(SeedFailed):
        world.explore(seeds=range(200), check=check, shuffled=True)


@given(st.sets(st.integers(0, 30), max_size=4), st.integers(1, 31))
def test_what_is_left_fails_and_nothing_of_it_can_be_left_out(needed: set[int], count: int) -> None:
    def fails(some: list[int]) -> bool:
        return needed <= set(some)

    parts = list(range(count))
    if fails(parts):
        assert set(shrink(parts, fails)) == needed


def test_a_failure_that_is_none_of_exception_is_told_too() -> None:
    """As ``pytest.fail`` raises it, and ``pytest.raises`` where nothing is raised."""

    async def check(_: World) -> None:
        with pytest.raises(ValueError, match="never"):
            await asyncio.sleep(1)

    with pytest.raises(SeedFailed, match="seed 3 fails: Failed: DID NOT RAISE"):
        World().explore(seeds=[3], check=check)


def test_a_skip_is_no_failure() -> None:
    async def check(_: World) -> None:
        pytest.skip("not here")

    with pytest.raises(pytest.skip.Exception):
        World().explore(seeds=[3], check=check)


def test_another_failure_is_not_the_one_that_is_looked_for() -> None:
    """Without the first fault the run fails too, but otherwise: both faults are needed for what was seen."""
    happened: list[str] = []

    def faults(_: World, __: Random) -> list[Fault]:
        happened.clear()
        return [Fault(at, lambda _, at=at: happened.append(at), at) for at in ("1s", "2s")]  # type: ignore[misc]

    async def check(_: World) -> None:
        happened.clear()
        await asyncio.sleep(3)
        assert happened != ["1s", "2s"]
        if happened == ["2s"]:
            raise LookupError(happened)

    with pytest.raises(SeedFailed) as caught:
        World().explore(seeds=[1], check=check, faults=faults)
    assert [fault.words for fault in caught.value.faults] == ["1s", "2s"]
