"""Work beside a handler: where it runs, what becomes of its errors, and of what it was begun from."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextvars import ContextVar

import pytest

from portside.contracts import Connection, Network
from portside.errors import ForeignAwait, LocalError
from portside.net.blocking import NETWORK
from portside.net.drive import drive
from portside.net.event_network import EventNetwork
from portside.net.work import ThreadWork
from portside.testing.conversations import feed
from portside.testing.memory import Stalled

user: ContextVar[str] = ContextVar("user", default="nobody")


async def fail() -> None:
    raise KeyError("a bug")


def wait_for(work: ThreadWork) -> None:
    drive(work.wait(), handler="test", model="blocking")


def test_a_thread_has_the_context_of_whoever_started_it() -> None:
    seen: list[tuple[str, bool]] = []

    async def look() -> None:
        seen.append((user.get(), threading.current_thread() is threading.main_thread()))
        user.set("somebody else")

    user.set("anna")
    wait_for(NETWORK.start(look()))
    assert seen == [("anna", False)]
    assert user.get() == "anna"


def test_what_needs_a_loop_is_refused_in_a_thread() -> None:
    async def sleep() -> None:
        await asyncio.sleep(0)

    with pytest.raises(ForeignAwait, match="sleep"):
        wait_for(NETWORK.start(sleep()))


def test_an_error_nobody_waits_for_is_logged_and_one_that_was_told_is_not(caplog: pytest.LogCaptureFixture) -> None:
    told = NETWORK.start(fail())
    with pytest.raises(KeyError):
        wait_for(told)
    del told
    gc.collect()
    assert caplog.text == ""
    forgotten = NETWORK.start(fail())
    forgotten._thread.join()
    del forgotten
    gc.collect()
    assert "a bug" in caplog.text


def test_a_machine_without_threads_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(LocalError, match="fail"):
        NETWORK.start(fail())


def test_cancelling_who_waits_cancels_the_work() -> None:
    ended: list[str] = []

    async def work_for_ever() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("the work")

    async def main() -> None:
        async with EventNetwork() as network:
            work = network.start(work_for_ever())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await work.wait()
            assert work.done

    asyncio.run(main())
    assert ended == ["the work"]


def test_work_of_a_loop_is_not_forgotten_while_nobody_holds_it() -> None:
    done: list[bool] = []

    async def main() -> None:
        async with EventNetwork() as network:

            async def late() -> None:
                await network.sleep(0)
                done.append(True)

            network.start(late())
            gc.collect()
            while not done:
                await network.sleep(0)

    asyncio.run(main())


def test_without_any_loop_work_is_done_when_it_begins() -> None:
    async def handler(visitor: Connection) -> None:
        async def greet() -> None:
            await visitor.write(b"hello ")

        await work_of(visitor.network, greet())
        await visitor.write(await visitor.read())

        async def listen() -> None:
            async with await visitor.network.listen("tcp://192.0.2.1:20") as listener:
                await listener.accept()

        with pytest.raises(Stalled):
            await work_of(visitor.network, listen())

    async def work_of(network: Network, coroutine) -> None:  # type: ignore[no-untyped-def]
        work = network.start(coroutine)
        assert work.done
        await work.wait()

    assert feed(handler, b"you") == b"hello you"
