"""Programs with threads: each runs in its turn, waits in the world's time, and ends with its host."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from portside.sim import NothingLeft, World, threads
from portside.sim.environment.escape import Escape
from support.in_threads import blocking, play

# ── threads ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_threads_take_turns_and_time_passes_for_all() -> None:
    def program() -> tuple[list[Any], float]:
        said: list[Any] = []

        def work(number: int) -> None:
            said.append((number, "begins"))
            time.sleep(3 - number)
            said.append((number, time.monotonic() - began_s))

        began_s = time.monotonic()
        workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for worker in workers:
            worker.start()
            assert worker.is_alive()
        for worker in workers:
            worker.join()
            assert not worker.is_alive()
        return said, time.monotonic() - began_s

    said, took_s = blocking(program)
    assert said == [(0, "begins"), (1, "begins"), (2, "begins"), (2, 1.0), (1, 2.0), (0, 3.0)]
    assert took_s == 3.0


def test_a_join_may_give_up() -> None:
    def program() -> tuple[bool, float, bool]:
        worker = threading.Thread(target=time.sleep, args=(100,))
        worker.start()
        worker.join(5)
        alive, at_s = worker.is_alive(), time.monotonic()
        worker.join()
        return alive, at_s, worker.is_alive()

    assert blocking(program) == (True, 5.0, False)


def test_a_thread_is_started_once_and_joins_no_one_that_it_is() -> None:
    def program() -> None:
        worker = threading.Thread(target=lambda: None)
        with pytest.raises(RuntimeError, match="before it is started"):
            worker.join()
        worker.start()
        with pytest.raises(RuntimeError, match="only be started once"):
            worker.start()
        worker.join()
        with pytest.raises(RuntimeError, match="cannot join current thread"):
            threading.current_thread().join()

    blocking(program)


def test_what_a_thread_raises_is_told_by_its_hook_and_ends_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda about: told.append((about.exc_type, about.thread.name)))

    def program() -> bool:
        worker = threading.Thread(target=lambda: {}["missing"], name="worker")
        worker.start()
        worker.join()
        return True

    assert blocking(program)
    assert told == [(KeyError, "worker")]


def test_each_thread_has_values_of_its_own_and_its_name() -> None:
    def program() -> list[Any]:
        own, said = threading.local(), []
        own.value = "mine"

        def work() -> None:
            said.append((hasattr(own, "value"), threading.current_thread().name))
            own.value = "yours"

        worker = threading.Thread(target=work, name="worker")
        worker.start()
        worker.join()
        return [*said, own.value]

    assert blocking(program) == [(False, "worker"), "mine"]


def test_a_timer_rings_in_the_worlds_time() -> None:
    def program() -> float:
        rung = threading.Event()
        threading.Timer(3_600, rung.set).start()
        cancelled = threading.Timer(10, rung.set)
        cancelled.start()
        cancelled.cancel()
        assert rung.wait(7_200)
        return time.monotonic()

    assert blocking(program) == 3_600.0


def test_a_loop_starts_threads_and_hears_from_them() -> None:
    async def program() -> tuple[str, float]:
        loop, heard = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        def work() -> None:
            time.sleep(2)
            loop.call_soon_threadsafe(heard.set_result, "done")

        threading.Thread(target=work).start()
        return await heard, time.monotonic()

    async def main(world: World) -> Any:
        return await world["alice"].spawn(program())

    assert play(main) == ("done", 2.0)


def test_a_thread_asks_the_loop_to_run_a_coroutine() -> None:
    async def add(one: int, other: int) -> int:
        await asyncio.sleep(5)
        return one + other

    async def main(world: World) -> Any:
        async def program() -> Any:
            loop = asyncio.get_running_loop()
            return await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(add(1, 2), loop).result(60))

        return await world["alice"].spawn(program())

    assert play(main) == 3


def test_a_crash_ends_all_threads_where_they_are() -> None:
    went_on: list[str] = []

    def work() -> None:
        try:
            time.sleep(100)
            went_on.append("slept")
        except Exception:
            went_on.append("caught")

    def program() -> None:
        threading.Thread(target=work).start()
        lock = threading.Lock()
        lock.acquire()
        threading.Thread(target=lock.acquire).start()
        time.sleep(1_000)
        went_on.append("main")

    async def main(world: World) -> int:
        running = world["alice"].run_blocking(program)
        await asyncio.sleep(1)
        assert len(threads.waiting(world["alice"])) == 3
        world["alice"].crash()
        running.cancel()
        await asyncio.sleep(1_000)
        return len(threads.waiting(world["alice"]))

    assert play(main) == 0
    assert went_on == []


def test_threads_that_wait_for_each_other_are_named() -> None:
    def program() -> None:
        one, other = threading.Lock(), threading.Lock()

        def take(first: Any, second: Any) -> None:
            with first:
                time.sleep(1)
                with second:
                    pass

        for number, pair in enumerate(((one, other), (other, one))):
            threading.Thread(target=take, args=pair, name=f"philosopher {number}").start()

    async def main(world: World) -> None:
        await world["alice"].run_blocking(program)
        await asyncio.Event().wait()

    with pytest.raises(NothingLeft) as caught:
        play(main)
    told = str(caught.value)
    for number in range(2):
        assert f"alice: thread 'philosopher {number}' waits in test_threads_that_wait_for_each_other" in told
    assert "<locals>.take, threads/test_threads.py:" in told


def test_python_ends_though_a_world_was_not_closed_whose_threads_wait() -> None:
    program = """
import threading, time
from portside.sim import World

def work():
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=lock.acquire)
    assert not thread.daemon
    thread.start()
    assert not thread.daemon
    time.sleep(1)

async def main():
    await world["alice"].run_blocking(work)

world = World()
world.host("alice")
world.play(main())
print("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_thread_that_was_never_given_a_turn_does_nothing() -> None:
    went_on: list[str] = []

    async def main(world: World) -> None:
        async def program() -> None:
            threading.Thread(target=went_on.append, args=("began",)).start()
            world["alice"].crash()
            await asyncio.sleep(1)

        world["alice"].spawn(program())
        await asyncio.sleep(1)

    play(main)
    assert went_on == []


def test_a_thread_that_waits_for_this_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "TURN_MAX_S", 0.05)
    real = threading.Event()  # made on no host

    def program() -> None:
        real._cond._lock.acquire()  # type: ignore[attr-defined]
        real._cond._lock.acquire(timeout=2)  # type: ignore[attr-defined]

    async def main(world: World) -> None:
        await world["alice"].run_blocking(program)

    with World() as world:
        world.host("alice")
        with pytest.raises(Escape, match=r"what 'alice thread' waits for, .*test_threads.py:\d+"):
            world.play(main(world))
        monkeypatch.setattr(threads, "TURN_MAX_S", 60.0)


# ── pools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pool_has_so_many_threads_and_no_more() -> None:
    def program() -> tuple[list[int], float]:
        with ThreadPoolExecutor(max_workers=2) as pool:
            futures = [pool.submit(lambda number=number: time.sleep(1) or number) for number in range(5)]
            results = [future.result(timeout=10) for future in futures]
        return results, time.monotonic()

    assert blocking(program) == ([0, 1, 2, 3, 4], 3.0)


def test_a_loop_runs_in_the_pool_that_it_is_given() -> None:
    async def program() -> tuple[list[None], float]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=2) as pool:
            done = await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, 1) for _ in range(4)))
        return done, time.monotonic()

    async def main(world: World) -> Any:
        return await world["alice"].spawn(program())

    assert play(main) == ([None] * 4, 2.0)


def test_the_same_seed_gives_the_same_run() -> None:
    def digest() -> str:
        def program() -> None:
            with ThreadPoolExecutor(max_workers=3) as pool:
                list(pool.map(lambda number: time.sleep(number % 3), range(20)))

        async def main(world: World) -> str:
            await world["alice"].run_blocking(program)
            return world.digest()

        return play(main)

    assert digest() == digest()


def test_a_pool_that_was_set_for_a_loop_is_used_and_ended() -> None:
    async def program() -> float:
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(max_workers=1)
        loop.set_default_executor(pool)
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 1) for _ in range(3)))
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(time.sleep, 1)
        return time.monotonic()

    async def main(world: World) -> Any:
        return await world["alice"].spawn(program())

    assert play(main) == 3.0


def test_a_thread_that_exits_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def program() -> bool:
        worker = threading.Thread(target=sys.exit, args=(3,))
        worker.start()
        worker.join()
        return worker.is_alive()

    assert blocking(program) is False
    assert told == []
