"""Conversations without a network: however the stream is cut, with and without a loop."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import InternetAddress
from portside.contracts import Connection, Message, PlainConnection
from portside.errors import AddressInUse, ConnectFailed, ConnectionClosed, ConnectionLost, ForeignAwait, NameNotFound
from portside.testing.conversations import answers_to, converse, cuttings, feed
from portside.testing.memory import CLIENT, MemoryNetwork, Stalled, pair


async def shout(visitor: Connection) -> None:
    async for line in visitor.lines():
        await visitor.write(line.upper() + b"\n")


def plain_shout(visitor: PlainConnection) -> None:
    for line in visitor.lines():
        visitor.write(line.upper() + b"\n")


STREAM = b"ah\r\noh\n\nlast"
ANSWER = b"AH\nOH\n\nLAST\n"


@pytest.mark.parametrize("pieces", list(cuttings(STREAM)), ids=len)
def test_a_conversation_does_not_depend_on_how_the_network_cuts_it(pieces: list[bytes]) -> None:
    assert b"".join(pieces) == STREAM
    assert feed(shout, pieces) == ANSWER
    assert feed(plain_shout, pieces) == ANSWER  # type: ignore[arg-type]
    assert asyncio.run(converse(shout, pieces, capacity_bytes=1)) == ANSWER


@given(st.binary(max_size=50), st.integers(min_value=0))
def test_cuttings_lose_nothing(stream: bytes, seed: int) -> None:
    found = list(cuttings(stream, seed=seed))
    assert all(b"".join(pieces) == stream for pieces in found)
    assert all(all(pieces) for pieces in found[2:] if stream)
    assert found == list(cuttings(stream, seed=seed))


def test_a_read_returns_what_one_write_wrote() -> None:
    seen = []

    async def handler(visitor: Connection) -> None:
        seen.extend([data async for data in visitor])

    feed(handler, [b"one", b"two", b"three"])
    assert seen == [b"one", b"two", b"three"]


def test_waiting_for_what_never_comes_fails_at_once() -> None:
    async def handler(visitor: Connection) -> None:
        await visitor.read()

    server, client = pair()
    with pytest.raises(Stalled):
        feed_only(handler, server)
    client.abort()


def test_without_a_loop_a_timeout_passes_at_once() -> None:
    async def handler(visitor: Connection) -> None:
        with pytest.raises(TimeoutError):
            await visitor.read(timeout_s=3_600)

    server, client = pair()
    feed_only(handler, server)
    client.abort()


def feed_only(handler: object, server: Connection) -> None:
    from portside.net.drive import drive

    drive(handler(server), handler="h", model="m")  # type: ignore[operator]


def test_something_foreign_is_refused_without_a_loop_and_fine_with_one() -> None:
    async def handler(visitor: Connection) -> None:
        await asyncio.sleep(0)
        await visitor.write(b"hello " + await visitor.read())

    with pytest.raises(ForeignAwait):
        feed(handler, b"you")
    assert asyncio.run(converse(handler, b"you")) == b"hello you"


def test_a_handler_that_fails_fails_the_test() -> None:
    async def handler(visitor: Connection) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        feed(handler, b"x")
    with pytest.raises(KeyError):
        asyncio.run(converse(handler, b"x"))


def test_a_handler_that_talks_for_ever_learns_that_its_client_left() -> None:
    async def conversation() -> None:
        server, client = pair(capacity_bytes=100)
        written = asyncio.ensure_future(server.write(bytes(1_000_000)))
        await client.read_exactly(1_000)
        await client.close()
        with pytest.raises(ConnectionLost):
            await written

    asyncio.run(conversation())


def test_the_client_has_the_address_the_test_gives() -> None:
    async def whoami(visitor: Connection) -> None:
        await visitor.write(str(visitor.peer).encode())

    assert feed(whoami, b"") == str(CLIENT).encode()
    assert feed(whoami, b"", peer=InternetAddress("2001:db8::1", 4)) == b"[2001:db8::1]:4"


def test_a_world_in_which_handlers_find_each_other() -> None:
    async def conversation() -> None:
        network = MemoryNetwork(names={"files.example": [InternetAddress("192.0.2.9", 0)]})
        async with await network.listen("tcp://192.0.2.9:0") as listener:
            assert isinstance(listener.address, InternetAddress)
            with pytest.raises(AddressInUse):
                await network.listen(f"tcp://{listener.address}")
            with pytest.raises(TimeoutError):
                await listener.accept(timeout_s=0.001)
            client = await network.connect(f"tcp://files.example:{listener.address.port}")
            server = await listener.accept()
            assert (server.peer, server.local) == (client.local, client.peer)
            await client.write(b"RETR\n")
            assert await server.read_line() == b"RETR"
        with pytest.raises(ConnectFailed, match="refused"):
            await network.connect(f"tcp://{listener.address}")
        with pytest.raises(NameNotFound):
            await network.resolve("nobody.example")
        assert await network.name_of(InternetAddress("192.0.2.9", 1)) == "files.example"
        assert await network.name_of(CLIENT) is None

    asyncio.run(conversation())


def test_datagrams_find_their_mailboxes() -> None:
    async def conversation() -> None:
        network = MemoryNetwork()
        server = await network.open_datagrams("udp://192.0.2.9:53")
        with pytest.raises(AddressInUse):
            await network.open_datagrams("udp://192.0.2.9:53")
        async with await network.open_datagrams("udp://192.0.2.9:53", connect=True) as client:
            stranger = await network.open_datagrams("udp://192.0.2.66:53")
            await stranger.send(b"forged", client.address)
            await client.send(b"question")
            message = await server.receive()
            await message.reply(message.data.upper())
            assert (await client.receive()).data == b"QUESTION"
            await server.close()
            await client.send(b"into the void")
            with pytest.raises(TimeoutError):
                await client.receive(timeout_s=0.001)
        with pytest.raises(ConnectionClosed):
            await client.receive()
        with pytest.raises(ValueError, match="not connected"):
            await stranger.send(b"to nobody")

    asyncio.run(conversation())


def test_a_datagram_handler_needs_no_network() -> None:
    async def shout_back(message: Message) -> None:
        await message.reply(message.data.upper())
        await message.reply(str(message.peer).encode())

    def plain(message: Message) -> None:
        message.reply(message.data)

    assert answers_to(shout_back, b"ah") == [b"AH", str(CLIENT).encode()]
    assert answers_to(plain, b"ah") == [b"ah"]


def test_time_stands_still_without_a_loop() -> None:
    network = MemoryNetwork()
    now_s = network.now_s()

    async def handler(visitor: Connection) -> None:
        await visitor.network.sleep(30)

    server, client = pair(network=network)
    feed_only(handler, server)
    assert network.now_s() == now_s + 30
    client.abort()
