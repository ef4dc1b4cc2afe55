"""Datagrams: answered from the address that was asked, never more than was asked, refusals told."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Iterator

import pytest

from portside.address import InternetAddress, parse_endpoint
from portside.contracts import Message
from portside.errors import ConnectionClosed, HandlerError, NetworkError, UsageError
from portside.net.blocking import NETWORK
from portside.net.datagrams import (
    BlockingDatagrams,
    EventDatagrams,
    Mailbox,
    UdpMessage,
    bind_datagrams,
    connect_datagrams,
    is_modest,
    receive_nowait,
)
from portside.net.drive import drive
from portside.net.plain import finish
from portside.net.sockets import Socket, local_address


@pytest.fixture
def sockets() -> Iterator[list[Socket]]:
    opened: list[Socket] = []
    yield opened
    for sock in opened:
        sock.close()


def open_mailbox(sockets: list[Socket], url: str, **options: object) -> Mailbox:
    sock = bind_datagrams(parse_endpoint(url))
    sockets.append(sock)
    return Mailbox(sock, **options)  # type: ignore[arg-type]


def client_of(sockets: list[Socket], host: str, mailbox: Mailbox) -> Socket:
    assert isinstance(mailbox.address, InternetAddress)
    address = InternetAddress(host, mailbox.address.port)
    sock = connect_datagrams(parse_endpoint(f"udp://{address}"), [address])
    sockets.append(sock)
    return sock


def wait_until_readable(sock: Socket) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    assert poll.poll(5_000), "nothing came"


def take(mailbox: Mailbox) -> UdpMessage:
    wait_until_readable(mailbox.socket)
    message = mailbox.take_nowait()
    assert message is not None
    return message


# 127.0.0.2 is not the address the kernel would choose for an answer: a connected client hears only the right one.
@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("udp://0.0.0.0:0", "127.0.0.2"),
        ("udp://127.0.0.3:0", "127.0.0.3"),
        ("udp://[::]:0", "127.0.0.2"),
        ("udp://[::]:0", "::1"),
        ("udp://[::1]:0", "::1"),
    ],
)
def test_the_answer_leaves_from_the_address_that_was_asked(sockets: list[Socket], url: str, asked: str) -> None:
    mailbox = open_mailbox(sockets, url)
    client = client_of(sockets, asked, mailbox)
    client.send(b"who?")
    message = take(mailbox)
    assert message.data == b"who?"
    assert message.local == InternetAddress(asked, mailbox.address.port)  # type: ignore[union-attr]
    assert message.peer == local_address(client)
    message.reply(b"I.")
    wait_until_readable(client)
    assert client.recv(100) == b"I."


def test_the_primitive_tells_source_destination_and_the_way_back(sockets: list[Socket]) -> None:
    mailbox = open_mailbox(sockets, "udp://[::]:0")
    assert receive_nowait(mailbox.socket) is None
    client = client_of(sockets, "127.0.0.2", mailbox)
    client.send(b"")
    wait_until_readable(mailbox.socket)
    received = receive_nowait(mailbox.socket)
    assert received is not None
    data, peer, local, ancillary = received
    assert (data, peer) == (b"", local_address(client))
    assert str(local).startswith("127.0.0.2:")
    assert ancillary


def test_awaiting_a_reply_never_suspends(sockets: list[Socket]) -> None:
    mailbox = open_mailbox(sockets, "udp://127.0.0.1:0")
    client = client_of(sockets, "127.0.0.1", mailbox)

    async def handler(message: Message) -> str:
        await message.reply(message.data.upper())
        return "done"

    client.send(b"shout")
    assert drive(handler(take(mailbox)), handler="h", model="iterative") == "done"
    wait_until_readable(client)
    assert client.recv(100) == b"SHOUT"


@pytest.mark.parametrize(
    ("question", "answers", "sent"),
    [
        (b"1234", [b"1234"], [b"1234"]),
        (b"1234", [b"12345"], []),
        (b"1234", [b"12", b"34", b"5"], [b"12", b"34"]),
        (b"1234", [b"12345", b"1"], [b"1"]),
        (b"", [b"1"], []),
        (b"", [b""], [b""]),
    ],
)
def test_answers_together_are_never_longer_than_the_question(
    sockets: list[Socket], question: bytes, answers: list[bytes], sent: list[bytes]
) -> None:
    mailbox = open_mailbox(sockets, "udp://127.0.0.1:0", guard=is_modest)
    client = client_of(sockets, "127.0.0.1", mailbox)
    client.send(question)
    message = take(mailbox)
    for answer in answers:
        message.reply(answer)
    received = []
    for _ in sent:
        wait_until_readable(client)
        received.append(client.recv(100))
    assert received == sent
    assert message.answered_bytes == sum(map(len, sent))
    with pytest.raises(BlockingIOError):
        client.recv(100)


def test_nothing_is_answered_to_a_privileged_port() -> None:
    class Forged(UdpMessage):
        def __init__(self, port: int) -> None:
            self.data, self.peer, self.answered_bytes = b"question", InternetAddress("192.0.2.1", port), 0

    assert not is_modest(Forged(53), b"a")
    assert not is_modest(Forged(1_023), b"a")
    assert is_modest(Forged(1_024), b"a")


def test_an_answer_that_no_datagram_can_hold_is_the_handlers_mistake(sockets: list[Socket]) -> None:
    mailbox = open_mailbox(sockets, "udp://127.0.0.1:0")
    client = client_of(sockets, "127.0.0.1", mailbox)
    client.send(b"?")
    message = take(mailbox)
    with pytest.raises(NetworkError, match="too long"):
        message.reply(bytes(65_508))
    message.reply(bytes(65_507))  # 65,535 less the headers of IPv4 and UDP
    wait_until_readable(client)
    assert client.recv(70_000) == bytes(65_507)


def test_a_mailbox_is_not_disturbed_by_clients_that_left(sockets: list[Socket]) -> None:
    mailbox = open_mailbox(sockets, "udp://127.0.0.1:0")
    gone, there = (client_of(sockets, "127.0.0.1", mailbox) for _ in range(2))
    gone.send(b"a")
    message = take(mailbox)
    gone.close()
    message.reply(b"into the void")
    message.reply(b"and again")
    there.send(b"b")
    assert take(mailbox).data == b"b"
    assert mailbox.take_nowait() is None


# ── Datagrams: both kinds pass the same ──────────────────────────────────────────────────────────────────────────────


async def ask_and_answer(
    server: BlockingDatagrams | EventDatagrams, client: BlockingDatagrams | EventDatagrams
) -> None:
    await client.send(b"question")
    message = await server.receive(timeout_s=5)
    assert message.data == b"question"
    assert message.peer == client.address
    await message.reply(b"a longer answer, nobody guards clients")
    assert (await client.receive()).data == b"a longer answer, nobody guards clients"
    assert isinstance(client.address, InternetAddress)
    await server.send(b"unasked", client.address)
    assert (await client.receive(timeout_s=5)).data == b"unasked"
    with pytest.raises(TimeoutError):
        await client.receive(timeout_s=0.01)
    with pytest.raises(ValueError, match="not connected"):
        await server.send(b"to nobody")
    address = server.address
    await server.close()
    await client.send(b"is anybody there?")
    with pytest.raises(NetworkError, match="refused"):
        await client.receive(timeout_s=5)
    assert client.address != address
    await client.close()
    with pytest.raises(ConnectionClosed):
        await client.receive()
    with pytest.raises(ConnectionClosed):
        await client.send(b"late")


def test_blocking_datagrams() -> None:
    async def conversation() -> None:
        server = await NETWORK.open_datagrams("udp://127.0.0.1:0")
        client = await NETWORK.open_datagrams(f"{server.address}", connect=True)
        await ask_and_answer(server, client)

    drive(conversation(), handler="test", model="iterative")


class Crowded(EventDatagrams):
    """A socket that has no room for the next so many attempts."""

    full = 0

    def _send_nowait(self, data: bytes, peer: InternetAddress | None) -> bool:
        self._check_open()
        self.full -= 1
        return self.full < 0 and super()._send_nowait(data, peer)


@pytest.mark.parametrize("loop_name", ["asyncio", "uvloop"])
def test_event_datagrams(loop_name: str) -> None:
    factory = pytest.importorskip("uvloop").new_event_loop if loop_name == "uvloop" else asyncio.new_event_loop

    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        sock = bind_datagrams(parse_endpoint("udp://127.0.0.1:0"))
        address = local_address(sock)
        assert isinstance(address, InternetAddress)
        server = EventDatagrams(sock, NETWORK, loop)
        client = EventDatagrams(connect_datagrams(parse_endpoint(f"udp://{address}"), [address]), NETWORK, loop)
        waiting = asyncio.create_task(server.receive())
        await asyncio.sleep(0)
        with pytest.raises(HandlerError, match="two tasks"):
            await server.receive()
        await client.send(b"first")
        assert (await waiting).data == b"first"
        cancelled = asyncio.create_task(server.receive())
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await ask_and_answer(server, client)

    async def closed_while_waiting() -> None:
        loop = asyncio.get_running_loop()
        server = EventDatagrams(bind_datagrams(parse_endpoint("udp://127.0.0.1:0")), NETWORK, loop)
        waiting = asyncio.create_task(server.receive())
        await asyncio.sleep(0)
        await server.close()
        with pytest.raises(ConnectionClosed):
            await waiting

    async def sent_when_there_is_room() -> None:
        loop = asyncio.get_running_loop()
        server = EventDatagrams(bind_datagrams(parse_endpoint("udp://127.0.0.1:0")), NETWORK, loop)
        assert isinstance(server.address, InternetAddress)
        client = Crowded(connect_datagrams(parse_endpoint("udp://127.0.0.1:1"), [server.address]), NETWORK, loop)
        client.full = 4
        await asyncio.gather(client.send(b"one"), client.send(b"other"))
        assert sorted([(await server.receive()).data for _ in range(2)]) == [b"one", b"other"]
        client.full = 1
        waiting = asyncio.create_task(client.send(b"never"))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ConnectionClosed):
            await waiting
        await server.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(conversation())
        runner.run(sent_when_there_is_room())
        runner.run(closed_while_waiting())


def test_only_udp_carries_datagrams() -> None:
    with pytest.raises(UsageError, match="udp://"):
        finish(NETWORK.open_datagrams("unix:/tmp/x"))
