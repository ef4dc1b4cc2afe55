"""Callbacks, timers, tasks and what goes wrong in them: what a loop promises whatever it is made of."""

from __future__ import annotations

import asyncio
import contextvars
import signal
from typing import Any

import pytest

from portside.sim import World
from support.two_loops import on_both_loops

WORD: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="none")


@on_both_loops
async def test_callbacks_come_in_their_order_and_in_their_context() -> None:
    loop, said = asyncio.get_running_loop(), []
    context = contextvars.copy_context()
    context.run(WORD.set, "theirs")
    loop.call_soon(lambda: said.append(("first", WORD.get())))
    loop.call_soon(lambda: said.append(("second", WORD.get())), context=context)
    cancelled = loop.call_soon(said.append, "never")
    cancelled.cancel()
    assert cancelled.cancelled()
    done = asyncio.Event()
    loop.call_later(0.02, done.set)
    loop.call_later(0.01, said.append, "third")
    loop.call_at(loop.time() + 0.005, said.append, "before third")
    never = loop.call_later(0.001, said.append, "never")
    never.cancel()
    await done.wait()
    assert said == [("first", "none"), ("second", "theirs"), "before third", "third"]
    assert never.when() <= loop.time()


@on_both_loops
async def test_what_a_callback_raises_is_told_to_the_handler() -> None:
    loop, told = asyncio.get_running_loop(), []
    assert loop.get_exception_handler() is None
    loop.set_exception_handler(lambda _, context: told.append(context))
    loop.call_soon(lambda: {}["missing"])
    await asyncio.sleep(0.001)
    (context,) = told
    assert isinstance(context["exception"], KeyError)
    assert "Exception in callback" in context["message"]
    loop.set_exception_handler(None)


@on_both_loops
async def test_a_protocol_that_fails_loses_its_connection() -> None:
    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(type(context["exception"])))

    class Clumsy(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise LookupError(data)

    server = await loop.create_server(Clumsy, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x")
    assert await reader.read() == b""
    assert told == [LookupError]
    writer.close()
    server.close()


@on_both_loops
async def test_tasks_have_names_and_are_made_as_was_asked_for() -> None:
    loop, made = asyncio.get_running_loop(), []

    def factory(of: Any, coro: Any, **more: Any) -> Any:
        made.append(coro)
        return asyncio.Task(coro, loop=of, **more)

    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    task = asyncio.create_task(asyncio.sleep(0, "done"), name="napping")
    assert await task == "done"
    assert task.get_name() == "napping"
    assert len(made) == 1
    loop.set_task_factory(None)
    with pytest.raises(TypeError):
        loop.set_task_factory("no function")  # type: ignore[arg-type]


@on_both_loops
async def test_work_is_done_in_threads() -> None:
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, pow, 2, 10) == 1_024
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(None, lambda: 1 / 0)
    heard = loop.create_future()
    await asyncio.to_thread(lambda: loop.call_soon_threadsafe(heard.set_result, "from a thread"))
    assert await heard == "from a thread"


@on_both_loops
async def test_the_running_loop_is_this_one() -> None:
    loop = asyncio.get_running_loop()
    assert loop.is_running()
    assert not loop.is_closed()
    assert asyncio.current_task() in asyncio.all_tasks()
    never = asyncio.sleep(0)
    with pytest.raises(RuntimeError):
        loop.run_until_complete(never)
    never.close()
    assert asyncio.get_event_loop() is loop


@on_both_loops
async def test_generators_that_were_left_can_be_closed() -> None:
    closed: list[str] = []

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    generator = numbers()
    assert await anext(generator) == 1
    await asyncio.get_running_loop().shutdown_asyncgens()
    assert closed == ["closed"]


def test_signals_are_handled_where_they_are_sent() -> None:
    """A host's programs have no process of their own: signals are sent to the host's loop."""
    before = signal.getsignal(signal.SIGTERM)
    with World() as world:
        alice = world.host("alice")

        async def program() -> list[int]:
            loop, heard, came = asyncio.get_running_loop(), [], asyncio.Event()

            def hear(number: int) -> None:
                heard.append(number)
                came.set()

            loop.add_signal_handler(signal.SIGTERM, hear, signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is before  # this process hears nothing
            assert loop.signal(signal.SIGTERM)  # type: ignore[attr-defined]
            await came.wait()
            assert loop.remove_signal_handler(signal.SIGTERM)
            assert not loop.remove_signal_handler(signal.SIGTERM)
            assert not loop.signal(signal.SIGTERM)  # type: ignore[attr-defined]
            return heard

        async def main() -> None:
            assert await alice.spawn(program()) == [signal.SIGTERM]

        world.play(main())
