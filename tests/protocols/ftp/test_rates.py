"""Rates in virtual time: how long transfers take, who shares a rate with whom, and that nobody waits for ever."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portside.accounts.account import Account
from portside.accounts.counters import LocalCounters
from portside.accounts.rates import PIECE_BYTES_MAX, WINDOWS_PER_S, Pacer, Rate
from portside.protocols.ftp.server import Bounds
from portside.testing.memory import MemoryNetwork
from support.ftp_visits import Client, World

KIB = 1_024
RATE = 20.0 * KIB
SIZE_BYTES = 100 * KIB  # five seconds of it
ABOUT_S = 2.0 / WINDOWS_PER_S  # the first window may be used up at once, and the last byte comes anywhere in its own

INCOMPRESSIBLE = bytes((number * number >> 3) & 255 for number in range(SIZE_BYTES))


def world_of(*, bounds: Bounds | None = None, **account: Any) -> World:
    world = World(Account("anna", **account), Account("bob", **account), bounds=bounds or Bounds())
    world.put("/large", bytes(SIZE_BYTES))
    return world


async def lasted_s(client: Client, line: str) -> float:
    began_s = client.world.network.now_s()
    if line.startswith("RETR"):
        assert len(await client.take(line)) == SIZE_BYTES
    else:
        await client.give(line, bytes(SIZE_BYTES))
    return client.world.network.now_s() - began_s


BOUNDED = {
    "session": lambda: world_of(bounds=Bounds(session_in=RATE, session_out=RATE)),
    "user": lambda: world_of(bytes_in_per_s=RATE, bytes_out_per_s=RATE),
    "server": lambda: world_of(bounds=Bounds(server_in=RATE, server_out=RATE)),
}


@pytest.mark.parametrize("whose", BOUNDED)
@pytest.mark.parametrize("line", ["RETR large", "STOR a", "APPE a"])
def test_a_transfer_takes_as_long_as_its_rate_says(whose: str, line: str) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        assert await lasted_s(client, line) == pytest.approx(5.0, abs=ABOUT_S)

    BOUNDED[whose]().run(story)


@pytest.mark.parametrize(("whose", "takes_s"), [("session", 5.0), ("user", 10.0), ("server", 10.0)])
@pytest.mark.parametrize("line", ["RETR large", "STOR a"])
def test_who_shares_a_rate(whose: str, takes_s: float, line: str) -> None:
    async def story(world: World) -> None:
        one, other = await world.logged_in(), await world.logged_in(control_port=50_001)
        lasted = await asyncio.gather(lasted_s(one, line), lasted_s(other, line.replace(" a", " b")))
        assert max(lasted) == pytest.approx(takes_s, abs=2 * ABOUT_S)

    BOUNDED[whose]().run(story)


def test_users_do_not_share_theirs() -> None:
    async def story(world: World) -> None:
        one, other = await world.logged_in(), await world.logged_in("bob", control_port=50_001)
        lasted = await asyncio.gather(lasted_s(one, "RETR large"), lasted_s(other, "RETR large"))
        assert max(lasted) == pytest.approx(5.0, abs=ABOUT_S)

    BOUNDED["user"]().run(story)


def test_the_two_ways_do_not_share_theirs() -> None:
    async def story(world: World) -> None:
        one, other = await world.logged_in(), await world.logged_in(control_port=50_001)
        lasted = await asyncio.gather(lasted_s(one, "RETR large"), lasted_s(other, "STOR a"))
        assert max(lasted) == pytest.approx(5.0, abs=ABOUT_S)

    BOUNDED["server"]().run(story)


def test_of_several_rates_the_slowest_counts() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        assert await lasted_s(client, "RETR large") == pytest.approx(5.0, abs=ABOUT_S)

    world_of(bounds=Bounds(session_out=RATE, server_out=10 * RATE), bytes_out_per_s=5 * RATE).run(story)


@pytest.mark.parametrize("rate", [100.0, RATE, 10 * RATE])
@pytest.mark.parametrize("lines", [("TYPE A",), ("MODE Z",), ("TYPE A", "MODE Z")])
def test_text_and_deflated_streams_are_paced_as_well_and_end(rate: float, lines: tuple[str, ...]) -> None:
    content = INCOMPRESSIBLE[: int(rate) * 2].replace(b"\r", b"").replace(b"\n", b"")

    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.asks(*lines)
        stream = zlib.compress(content) if "MODE Z" in lines else content
        began_s = world.network.now_s()
        await client.give("STOR a", stream)
        assert world.content("/a") == content
        assert world.network.now_s() - began_s == pytest.approx(len(stream) / rate, abs=ABOUT_S)
        came = await client.take("RETR a")
        assert (zlib.decompress(came) if "MODE Z" in lines else came) == content
        assert await client.take("NLST") != b""

    world_of(bounds=Bounds(session_in=rate, session_out=rate)).run(story)


def test_a_paced_transfer_can_be_given_up() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.passive()
        await client.send("RETR large")
        assert (await client.reply()).code == 150
        await world.network.sleep(1.1)
        began_s = world.network.now_s()
        await client.send("ABOR")
        assert (await client.reply("RETR")).code == 426
        assert (await client.reply("ABOR")).code == 226
        assert world.network.now_s() - began_s <= ABOUT_S

    BOUNDED["session"]().run(story)


def test_a_paced_upload_minds_its_quota() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.give("STOR a", bytes(SIZE_BYTES), 552)
        await client.give("STOR a", bytes(2 * KIB))

    world_of(bounds=Bounds(session_in=RATE), quota_bytes=SIZE_BYTES + 2 * KIB).run(story)


# ── the pacer by itself ──────────────────────────────────────────────────────────────────────────────────────────────

RATES = st.lists(st.floats(min_value=0.5, max_value=1e10), min_size=1, max_size=3)


@given(RATES)
def test_a_piece_fits_into_the_window_of_each_rate(rates: list[float]) -> None:
    bounds = tuple(Rate(f"rate {number}", rate) for number, rate in enumerate(rates))
    pacer = Pacer(MemoryNetwork(), LocalCounters(), bounds)
    assert pacer.is_needed
    assert 1 <= pacer.piece_bytes <= min(PIECE_BYTES_MAX, *(bound.window_bytes for bound in bounds))


@given(st.integers(1, 250_000), st.integers(1, 60))
@example(5 * KIB, 60)  # one piece and a quarter in each window
@example(8 * KIB - 1, 60)
def test_pieces_pass_no_faster_than_the_rate_and_no_slower(window_bytes: int, count: int) -> None:
    network = MemoryNetwork()  # without a loop: only sleep moves its time
    pacer = Pacer(network, LocalCounters(clock=network.now_s), (Rate("one", float(window_bytes * WINDOWS_PER_S)),))

    async def pass_all() -> None:
        for _ in range(count):
            await pacer.let_pass(pacer.piece_bytes)

    with pytest.raises(StopIteration):
        pass_all().send(None)
    windows = network.now_s() * WINDOWS_PER_S
    assert windows == (count - 1) * pacer.piece_bytes // window_bytes  # the last began when there was room


def test_without_a_rate_there_is_nothing_to_wait_for() -> None:
    pacer = Pacer(MemoryNetwork(), LocalCounters(), ())
    assert not pacer.is_needed
    assert pacer.piece_bytes > 0
