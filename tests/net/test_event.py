"""What asyncio promises a coroutine holds for handlers that the lane resumes itself, on both loops."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from portside.errors import HandlerError
from portside.net.loop_stream import LoopStream
from support.event_peer import Network, Peer, echo


def test_a_handler_starts_at_once_and_is_over_when_its_peer_is(run: Any) -> None:
    async def main(network: Network) -> None:
        peer = await Peer.of(network, echo)
        await peer.connection.write(b"hello")
        assert await peer.connection.read_exactly(5) == b"hello"
        await peer.connection.write_eof()
        assert await peer.connection.read() == b""
        assert await peer.ended() is None
        assert peer.served.task is not None
        await peer.served.task
        assert not peer.served.task.cancelled()

    run(main)


def test_the_handlers_task_is_the_current_one_wherever_it_is_resumed(run: Any) -> None:
    seen: list[asyncio.Task[Any] | None] = []

    async def handler(visitor: LoopStream) -> None:
        seen.append(asyncio.current_task())  # the eager start
        await visitor.read()
        seen.append(asyncio.current_task())  # resumed by the lane
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())  # resumed by its Task
        await visitor.read()
        seen.append(asyncio.current_task())  # by the lane again

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        await peer.connection.write(b"1")
        await asyncio.sleep(0.01)
        assert asyncio.current_task() is not peer.served.task
        await peer.connection.write(b"2")
        assert await peer.ended() is None
        assert seen == [peer.served.task] * 4

    run(main)


def test_a_timeout_around_a_read_passes_and_nothing_read_is_lost(run: Any) -> None:
    async def handler(visitor: LoopStream) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await visitor.read_exactly(10)
        with pytest.raises(TimeoutError):
            await visitor.read_exactly(10, timeout_s=0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(visitor.read_exactly(10), 0.01)
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        await visitor.write(b"go on")
        assert await visitor.read_exactly(10) == b"0123456789"

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        await peer.connection.write(b"01234")
        assert await peer.connection.read_exactly(5) == b"go on"
        await peer.connection.write(b"56789")
        assert await peer.ended() is None

    run(main)


@pytest.mark.parametrize("waits_for", ["read", "iteration", "sleep", "write"])
def test_a_cancelled_task_raises_at_its_await_and_is_cancelled(run: Any, waits_for: str) -> None:
    reached: list[str] = []

    async def handler(visitor: LoopStream) -> None:
        try:
            match waits_for:
                case "read":
                    await visitor.read()
                case "iteration":
                    async for _ in visitor:
                        pass
                case "sleep":
                    await asyncio.sleep(60)
                case "write":
                    while True:
                        await visitor.write(bytes(1 << 20))
        except asyncio.CancelledError:
            reached.append("cancelled")
            await asyncio.sleep(0)
            raise

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        await asyncio.sleep(0.02)
        task = peer.served.task
        assert task is not None
        task.cancel("go")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(await peer.ended(), asyncio.CancelledError)
        assert reached == ["cancelled"]

    run(main)


def test_a_handler_that_cancels_itself_is_cancelled_at_its_next_await(run: Any) -> None:
    async def handler(visitor: LoopStream) -> None:
        await visitor.read()
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await visitor.read()

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        await peer.connection.write(b"x")
        assert isinstance(await peer.ended(), asyncio.CancelledError)

    run(main)


def test_a_cancellation_may_be_caught_and_the_connection_used_on(run: Any) -> None:
    async def handler(visitor: LoopStream) -> None:
        try:
            await visitor.read()
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()  # type: ignore[union-attr]
        async for data in visitor:
            await visitor.write(data.upper())

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        await asyncio.sleep(0.01)
        peer.served.task.cancel()  # type: ignore[union-attr]
        await asyncio.sleep(0.01)
        for _ in range(3):
            await peer.connection.write(b"abc")
            assert await peer.connection.read_exactly(3) == b"ABC"
        await peer.connection.close()
        assert await peer.ended() is None

    run(main)


def test_context_variables_belong_to_one_handler(run: Any) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    async def handler(visitor: LoopStream) -> None:
        assert who.get() == "listener"
        who.set((await visitor.read()).decode())
        for _ in range(3):
            await visitor.read()
            await visitor.write(who.get().encode())
            await asyncio.sleep(0)

    async def main(network: Network) -> None:
        context = contextvars.copy_context()
        context.run(who.set, "listener")
        peers = [await Peer.of(network, handler, context) for _ in range(3)]
        for number, peer in enumerate(peers):
            await peer.connection.write(b"visitor %d" % number)
        await asyncio.sleep(0.01)
        for _ in range(3):
            for number, peer in enumerate(peers):
                await peer.connection.write(b"?")
                assert await peer.connection.read() == b"visitor %d" % number
        assert [await peer.ended() for peer in peers] == [None] * 3
        assert who.get() == "nobody"

    run(main)


def test_a_task_group_in_a_handler_may_read_and_write_at_once(run: Any) -> None:
    async def handler(visitor: LoopStream) -> None:
        received: list[bytes] = []

        async def read_all() -> None:
            received.extend([data async for data in visitor])

        async with asyncio.TaskGroup() as group:
            group.create_task(read_all())
            group.create_task(visitor.write(bytes(3 << 20)))
        assert sum(map(len, received)) == 2 << 20

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)

        async def send() -> None:
            await peer.connection.write(bytes(2 << 20))
            await peer.connection.write_eof()

        sending = asyncio.create_task(send())
        got = sum([len(data) async for data in peer.connection])
        await sending
        assert got == 3 << 20
        assert await peer.ended() is None

    run(main)


def test_an_owner_that_reads_does_not_keep_another_task_from_writing(run: Any) -> None:
    """The handler is parked for reading while a task of somebody else's waits for room to write."""

    async def handler(visitor: LoopStream) -> None:
        news = asyncio.create_task(visitor.write(bytes(4 << 20)))
        assert await visitor.read_exactly(3) == b"ack"
        await news

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        assert len(await peer.connection.read_exactly(4 << 20)) == 4 << 20
        await peer.connection.write(b"ack")
        assert await peer.ended() is None

    run(main)


def test_an_owner_that_reads_hears_while_another_task_waits_to_write(run: Any) -> None:
    async def handler(visitor: LoopStream) -> None:
        news = asyncio.create_task(visitor.write(bytes(4 << 20)))
        assert await visitor.read_exactly(3) == b"ack"
        assert not news.done()
        news.cancel()

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        await asyncio.sleep(0.01)
        await peer.connection.write(b"ack")
        assert await peer.ended() is None

    run(main)


def test_writes_of_several_tasks_do_not_mix(run: Any) -> None:
    async def handler(visitor: LoopStream) -> None:
        async with asyncio.TaskGroup() as group:
            for letter in b"abc":
                group.create_task(visitor.write(bytes([letter]) * (1 << 20), bytes([letter])))

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        data = b"".join([data async for data in peer.connection])
        size = (1 << 20) + 1
        assert sorted(data[i * size : (i + 1) * size] for i in range(3)) == [bytes([x]) * size for x in b"abc"]
        assert len(data) == 3 * size

    run(main)


def test_two_tasks_may_not_read_at_once(run: Any) -> None:
    async def handler(visitor: LoopStream) -> None:
        first = asyncio.create_task(visitor.read())
        await asyncio.sleep(0)
        with pytest.raises(HandlerError):
            await asyncio.create_task(visitor.read())
        assert await first == b"x"

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        await asyncio.sleep(0.01)
        await peer.connection.write(b"x")
        assert await peer.ended() is None

    run(main)


@pytest.mark.parametrize("error", [ValueError("mine"), TimeoutError(), RuntimeError("mine too")])
@pytest.mark.parametrize("foreign", [False, True])
def test_what_a_handler_raises_is_told_once_and_goes_no_further(run: Any, error: Exception, foreign: bool) -> None:
    async def handler(visitor: LoopStream) -> None:
        await visitor.read()
        if foreign:
            await asyncio.sleep(0)
        raise error

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        await peer.connection.write(b"x")
        assert await peer.ended() is error
        assert peer.served.task is not None
        assert await peer.served.task is None

    run(main)
