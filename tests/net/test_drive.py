"""One step drives a handler that never suspends; one that does is refused where it awaits, with a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator

import pytest

from portside.errors import ForeignAwait
from portside.net.drive import drive


class Yielding:
    """Something foreign: an awaitable that suspends."""

    def __await__(self) -> Generator[object, None, None]:
        yield self


async def never_suspends() -> str:
    return "done"


async def numbers() -> AsyncIterator[int]:
    yield 1
    await Yielding()


def test_a_coroutine_that_never_suspends_gives_its_result() -> None:
    async def handler() -> str:
        return await never_suspends() + "!"

    assert drive(handler(), handler="h", model="thread") == "done!"


def test_an_error_of_the_handler_comes_through() -> None:
    async def handler() -> None:
        raise KeyError("its own")

    with pytest.raises(KeyError):
        drive(handler(), handler="h", model="thread")


async def sleeps_a_bit() -> None:
    await asyncio.sleep(0.1)


async def sleeps_nothing() -> None:
    await asyncio.sleep(0)


async def waits_for_foreign() -> None:
    await Yielding()


async def iterates_foreign() -> None:
    async for _ in numbers():
        pass


async def takes_a_timeout() -> None:
    async with asyncio.timeout(1):
        await never_suspends()


async def takes_a_group() -> None:
    async with asyncio.TaskGroup():
        pass


async def waits_on_a_queue() -> None:
    await asyncio.Queue[int]().get()


@pytest.mark.parametrize(
    ("handler", "named"),
    [
        (sleeps_a_bit, "asyncio.tasks.sleep"),
        (sleeps_nothing, "asyncio.tasks.sleep"),
        (waits_for_foreign, "Yielding"),
        (iterates_foreign, "Yielding"),
        (takes_a_timeout, "asyncio.timeouts.timeout"),
        (takes_a_group, "asyncio.taskgroups"),
        (waits_on_a_queue, "asyncio.queues"),
    ],
)
def test_what_needs_a_loop_is_refused_by_name(handler: Callable[[], Awaitable[None]], named: str) -> None:
    with pytest.raises(ForeignAwait) as caught:
        drive(handler(), handler="shout:shout", model="fork")  # type: ignore[arg-type]
    sentence = str(caught.value)
    assert "shout:shout" in sentence
    assert "--model event" in sentence
    assert "fork" in sentence
    assert named in caught.value.awaited
    assert "test_drive.py" in caught.value.awaited


def test_the_refusal_comes_at_the_await_so_that_clean_up_runs() -> None:
    steps = []

    async def handler() -> None:
        try:
            await Yielding()
        except ForeignAwait:
            steps.append("refused")
            raise
        finally:
            steps.append("cleaned up")

    with pytest.raises(ForeignAwait):
        drive(handler(), handler="h", model="thread")
    assert steps == ["refused", "cleaned up"]


def test_a_handler_that_swallows_the_refusal_is_refused_all_the_same() -> None:
    async def handler() -> str:
        try:
            await Yielding()
        except Exception:
            return "fine"
        return "impossible"

    with pytest.raises(ForeignAwait):
        drive(handler(), handler="h", model="thread")


def test_a_handler_that_fails_while_refused_shows_both() -> None:
    async def handler() -> None:
        try:
            await Yielding()
        finally:
            raise KeyError("clean-up went wrong")

    with pytest.raises(ForeignAwait) as caught:
        drive(handler(), handler="h", model="thread")
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_handler_that_never_learns_is_closed() -> None:
    attempts = 0

    async def handler() -> None:
        nonlocal attempts
        while True:
            try:
                await Yielding()
            except Exception:
                attempts += 1

    with pytest.raises(ForeignAwait):
        drive(handler(), handler="h", model="thread")
    assert attempts == 100


def test_a_runtime_error_of_the_handlers_own_is_no_refusal() -> None:
    async def handler() -> None:
        raise RuntimeError("out of paper")

    with pytest.raises(RuntimeError, match="out of paper"):
        drive(handler(), handler="h", model="thread")
