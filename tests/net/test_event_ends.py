"""How connections of an event loop end, take turns, and lose no byte, on both loops."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest

from portside.errors import ConnectionClosed, ConnectionEnded, ConnectionLost
from portside.net import loop_stream, turns
from portside.net.event_network import EventNetwork
from portside.net.loop_stream import LoopStream
from portside.net.sockets import socketpair
from support.event_peer import Network, Peer, adopted, echo, turns_of


def test_ending_a_connection_raises_wherever_its_handler_waits(run: Any) -> None:
    async def reads(visitor: LoopStream) -> None:
        await visitor.read()

    async def writes(visitor: LoopStream) -> None:
        while True:
            await visitor.write(bytes(1 << 20))

    async def looks_away(visitor: LoopStream) -> None:
        await asyncio.sleep(60)

    async def reads_in_a_task(visitor: LoopStream) -> None:
        await asyncio.create_task(visitor.read())

    async def main(network: Network) -> None:
        for handler in (reads, writes, looks_away, reads_in_a_task):
            peer = await Peer.of(network, handler)
            await asyncio.sleep(0.02)
            peer.served.end("life")
            error = await peer.ended()
            assert peer.served.ended_because == "life"
            if handler is looks_away:
                assert isinstance(error, asyncio.CancelledError)
            else:
                assert isinstance(error, ConnectionEnded)
                assert error.reason == "life"

    run(main)


def test_a_farewell_reaches_the_peer_of_an_ended_connection(run: Any) -> None:
    async def main(network: Network) -> None:
        peer = await Peer.of(network, echo)
        await asyncio.sleep(0)
        peer.served.end("idle", b"421 too quiet\r\n")
        assert await peer.connection.read_line() == b"421 too quiet"
        assert await peer.connection.read() == b""
        assert isinstance(await peer.ended(), ConnectionEnded)

    run(main)


def test_a_connection_that_never_waits_lets_the_others_have_a_turn(run: Any) -> None:
    """A writer whose peer always has room would keep the loop: it yields after every megabyte."""
    turns = 0

    async def main(network: Network) -> None:
        nonlocal turns
        ours, theirs = socketpair()
        connection = await adopted(network, ours)

        async def write_without_ever_waiting() -> None:
            for _ in range(64):
                await connection.write(bytes(1 << 16))
                while True:
                    try:
                        theirs.recv(1 << 20)
                    except BlockingIOError:
                        break

        theirs.setblocking(False)
        writing = asyncio.create_task(write_without_ever_waiting())
        while not writing.done():
            turns += 1
            await asyncio.sleep(0)
        theirs.close()
        await connection.close()

    run(main)
    assert turns >= 4  # of 4 MiB


def test_closing_after_the_peers_last_word_keeps_ours(run: Any) -> None:
    """Bytes that come after we have closed must not turn into a reset that destroys our answer on its way."""

    async def answers_and_leaves(visitor: LoopStream) -> None:
        await visitor.read_line()
        await visitor.write(b"answer" * 1_000)

    async def main(network: Network) -> None:
        async with await network.listen("tcp://127.0.0.1:0") as listener:
            client = await network.connect(str(listener.address))
            served = await listener.accept()
            done: asyncio.Future[None] = network.loop.create_future()

            def finished(connection: LoopStream, error: BaseException | None) -> None:
                connection.finish()
                done.set_result(None)

            served.start(answers_and_leaves(served), finished)
            await client.write(b"question\n")
            await done
            await client.write(b"and more that nobody reads\n" * 100)
            assert await client.read_exactly(6_000) == b"answer" * 1_000
            assert await client.read() == b""
            await client.close()
            await turns_of(network).wait_until_let_go(5)

    run(main)


def test_lingering_ends_though_the_peer_never_closes(run_on_lane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_stream, "LINGER_S", 0.01)

    async def main(network: Network) -> None:
        ours, theirs = socketpair()
        connection = await adopted(network, ours)
        await connection.close()
        assert connection.state == "closing"
        assert ours.fileno() >= 0
        await turns_of(network).wait_until_let_go(5)
        assert ours.fileno() == -1
        theirs.close()

    run_on_lane(main)


@pytest.mark.parametrize("half_closed", [False, True])
def test_without_lingering_the_socket_is_gone_at_once(run_on_lane: Any, half_closed: bool) -> None:
    async def main(network: Network) -> None:
        ours, theirs = socketpair()
        connection = await adopted(network, ours)
        await connection.write(b"all")
        if half_closed:
            await connection.write_eof()
        await connection.close(linger=False)
        assert ours.fileno() == -1
        assert (theirs.recv(10), theirs.recv(10)) == (b"all", b"")
        theirs.close()

    run_on_lane(main)


def test_a_flood_of_lingering_connections_is_cut(run_on_lane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LINGERING_MAX", 2)

    async def main(network: Network) -> None:
        pairs = [socketpair() for _ in range(3)]
        for ours, _ in pairs:
            await (await adopted(network, ours)).close()
        assert [ours.fileno() >= 0 for ours, _ in pairs] == [True, True, False]
        for _, theirs in pairs:
            theirs.close()
        await turns_of(network).wait_until_let_go(5)

    run_on_lane(main)


def test_a_failing_conductor_does_not_end_the_turn(loop_factory: Any) -> None:
    failures: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        async with EventNetwork() as network:
            other = await Peer.of(network, echo)
            ours, theirs = socketpair()
            broken = await adopted(network, ours)

            def finished(connection: LoopStream, error: BaseException | None) -> None:
                connection.finish()
                raise ZeroDivisionError

            network.loop.call_soon(lambda: broken.start(echo(broken), finished))
            await asyncio.sleep(0)
            theirs.close()
            await other.connection.write(b"still here")
            assert await other.connection.read_exactly(10) == b"still here"
            await other.connection.close()
            await other.ended()
            await turns_of(network).wait_until_let_go(5)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert [type(failure["exception"]) for failure in failures] == [ZeroDivisionError]


@pytest.mark.parametrize("seed", range(4))
def test_bytes_survive_any_mixture_of_waits(run: Any, seed: int) -> None:
    """Handlers that read, write, sleep and time out at random, against peers that do: every byte comes back."""

    async def handler(visitor: LoopStream) -> None:
        dice = random.Random(seed)
        while True:
            match dice.randrange(6):
                case 0:
                    data = await visitor.read(dice.randint(1, 100_000))
                case 1:
                    data = await anext(aiter(visitor), b"")
                case 2:
                    try:
                        async with asyncio.timeout(0.001):
                            data = await visitor.read()
                    except TimeoutError:
                        continue
                case 3:
                    await asyncio.sleep(0)
                    continue
                case 4:
                    data = await asyncio.create_task(visitor.read(dice.randint(1, 1_000)))
                case _:
                    try:
                        data = await visitor.read(timeout_s=0.001)
                    except TimeoutError:
                        continue
            if not data:
                return
            await visitor.write(data[: len(data) // 2], data[len(data) // 2 :])

    async def talk(network: Network, number: int) -> None:
        dice = random.Random(seed * 100 + number)
        sent = dice.randbytes(dice.randint(1, 2_000_000))
        peer = await Peer.of(network, handler)

        async def send() -> None:
            at = 0
            while at < len(sent):
                size = dice.choice((1, 100, 70_000, 300_000))
                await peer.connection.write(sent[at : at + size])
                at += size
                await asyncio.sleep(0)
            await peer.connection.write_eof()

        sending = asyncio.create_task(send())
        got = bytearray()
        async for data in peer.connection:
            got += data
        await sending
        assert got == sent
        assert await peer.ended() is None
        assert peer.served.bytes_in == peer.served.bytes_out == len(sent)

    async def main(network: Network) -> None:
        await asyncio.gather(*(talk(network, number) for number in range(8)))

    run(main)


def test_a_reset_is_the_peers_fault(run: Any) -> None:
    async def main(network: Network) -> None:
        async with await network.listen("tcp://127.0.0.1:0") as listener:
            client = await network.connect(str(listener.address))
            served = await listener.accept()
            client.abort()
            with pytest.raises(ConnectionLost):
                await served.read()
            with pytest.raises(ConnectionLost):  # and so does every further call
                await served.write(b"x")
            await served.close()

    run(main)


def test_a_message_that_did_not_fit_is_not_split_by_a_third_writer(run: Any) -> None:
    """Two tasks queue for the way out; who comes between one's end and the other's start must queue too."""

    async def handler(visitor: LoopStream) -> None:
        big = asyncio.create_task(visitor.write(b"a" * (1 << 20)))
        await asyncio.sleep(0)
        queued = asyncio.create_task(visitor.write(b"b" * (1 << 20)))
        await asyncio.sleep(0)
        big.add_done_callback(lambda _: late.append(asyncio.create_task(visitor.write(b"c" * (1 << 20)))))
        await big
        await queued
        await late[0]

    late: list[asyncio.Task[None]] = []

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        data = b"".join([data async for data in peer.connection])
        assert await peer.ended() is None
        size = 1 << 20
        assert [data[i * size : (i + 1) * size] for i in range(3)] == [bytes([x]) * size for x in b"abc"]

    run(main)


def test_a_peer_that_reads_slowly_is_seen_to_move_bytes(run: Any) -> None:
    """The kernel wakes a writer only when much of its buffer is free; until then the counters stand still."""

    async def handler(visitor: LoopStream) -> None:
        await visitor.write(bytes(4 << 20))

    async def main(network: Network) -> None:
        ours, theirs = socketpair()
        theirs.setblocking(False)
        served = await adopted(network, ours)
        over: asyncio.Future[None] = network.loop.create_future()

        def finished(connection: LoopStream, error: BaseException | None) -> None:
            connection.finish()
            over.set_result(None)

        network.loop.call_soon(lambda: served.start(handler(served), finished))
        while served.state != "writing":  # noqa: ASYNC110  (nothing announces it)
            await asyncio.sleep(0)
        counted, moved = served.bytes_out, served.moved_bytes
        theirs.recv(1 << 17)
        assert served.bytes_out == counted
        assert served.moved_bytes > moved
        theirs.close()
        await over

    run(main)


@pytest.mark.parametrize("way", ["close", "abort"])
@pytest.mark.parametrize("waits_to", ["read", "write"])
def test_a_handler_that_waits_hears_that_another_task_closes(run: Any, way: str, waits_to: str) -> None:
    async def handler(visitor: LoopStream) -> None:
        if waits_to == "read":
            await visitor.read()
        await visitor.write(bytes(8 << 20))

    async def main(network: Network) -> None:
        peer = await Peer.of(network, handler)
        while peer.served.state == "busy":  # noqa: ASYNC110  (nothing announces it)
            await asyncio.sleep(0)
        if way == "abort":
            peer.served.abort()
        elif waits_to == "read":
            await peer.served.close()
        else:
            peer.served.finish()  # as close() would wait for the writer
        assert isinstance(await peer.ended(), ConnectionClosed)
        with contextlib.suppress(ConnectionLost):
            async for _ in peer.connection:
                pass
        await turns_of(network).wait_until_let_go(5)
        assert peer.served.state == "closing"

    run(main)


def test_answers_of_tls_behind_a_peer_that_never_reads_are_bounded(run_on_lane: Any) -> None:
    async def main(network: EventNetwork) -> None:
        ours, theirs = socketpair()
        connection = network.adopt(ours)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await connection.write(bytes(1 << 20))  # the kernel takes a part; the rest waits for room
        for _ in range(100_000):
            connection._send_nowait(bytes(64))  # as the engine answers one key update after the other
            if connection._failure is not None:
                break
        with pytest.raises(ConnectionLost):
            await connection.read()
        await connection.close()
        theirs.close()

    run_on_lane(main)
