"""WebSocket connections as applications have them: the handshake, messages each way, and every way they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.frames import Opcode

from portside.protocols.http.limits import WebSocketLimits
from portside.protocols.http.refusals import RequestRefused
from portside.protocols.http.responses import MalformedResponse
from portside.protocols.http.server import Message, Receive, Scope, Send
from support.asgi import DATE, Recorder, request, settle, visiting
from support.virtual_time import run
from support.websocket import SocketVisit, speaking

ACCEPT: Message = {"type": "websocket.accept"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept, and give every message back."""
    assert (await receive()) == {"type": "websocket.connect"}
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


HANDSHAKE = (
    *(b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


# ── the handshake ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_handshake_is_answered_to_the_byte() -> None:
    async def accept(scope: Scope, receive: Receive, send: Send) -> None:
        fields = [(b"X-One", b"1"), (b"Sec-WebSocket-Accept", b"mine")]
        await send({**ACCEPT, "subprotocol": "chat", "headers": fields})
        await receive()
        await receive()

    async def main() -> None:
        async with visiting(accept) as visit:
            await visit.say(request("GET", "/", *HANDSHAKE))
            assert await visit.client.read_until(b"\r\n\r\n") == (
                b"HTTP/1.1 101 Switching Protocols\r\n"
                b"upgrade: websocket\r\nconnection: Upgrade\r\n"
                b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"  # the example of RFC 6455 section 1.3
                b"x-one: 1\r\nsec-websocket-protocol: chat\r\n" + DATE + b"\r\n"
            )

    run(main())


def test_an_application_chooses_among_the_client_s_subprotocols() -> None:
    application = Recorder()

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**ACCEPT, "subprotocol": scope["subprotocols"][1]})

    application.act = choose

    async def main() -> None:
        async with speaking(application, client={"subprotocols": ["a", "b"]}) as talk:
            assert talk.protocol.subprotocol == "b"

    run(main())
    assert application.scopes[0]["path"] == "/chat"
    assert application.scopes[0]["query_string"] == b"x=y"


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("POST", HANDSHAKE, 405),
        ("GET", HANDSHAKE[:3], 400),
        ("GET", (*HANDSHAKE[:2], b"Sec-WebSocket-Version: 8", HANDSHAKE[3]), 400),
        ("GET", (*HANDSHAKE[:3], b"Sec-WebSocket-Key: short"), 400),
        ("GET", (*HANDSHAKE, b"Content-Length: 5"), 400),
        ("GET", (*HANDSHAKE, b"Sec-WebSocket-Extensions: ,;="), 400),
    ],
)
def test_a_handshake_that_is_not_right_is_refused(method: str, fields: tuple[bytes, ...], status: int) -> None:
    async def main() -> None:
        application = Recorder(echo)
        async with visiting(application) as visit:
            assert (await visit.ask(request(method, "/", *fields))).status == status
        assert application.scopes == []
        assert isinstance(visit.error, RequestRefused)

    run(main())


def test_other_upgrades_are_declined_by_answering() -> None:
    async def main() -> None:
        async with visiting(Recorder()) as visit:
            for _ in range(2):
                fields = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQ")
                response = await visit.ask(request("POST", "/", *fields, body=b"hello"))
                assert (response.status, response.body) == (200, b"hello")  # type: ignore[attr-defined]

    run(main())


def test_a_client_that_does_not_wait_for_the_answer_is_refused() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1)
        await send(ACCEPT)

    async def main(*words: bytes) -> None:
        async with visiting(slow) as visit:
            for word in words:
                await visit.say(word)
                await settle()
            assert (await visit.response()).status == 400
        assert isinstance(visit.error, RequestRefused)

    handshake = request("GET", "/", *HANDSHAKE)
    run(main(handshake + b"\x81\x85"))
    run(main(handshake, b"\x81\x85"))


def test_an_application_may_close_before_it_has_accepted() -> None:
    told: list[Message] = []

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close"})
        told.append(await receive())

    async def main() -> None:
        async with visiting(refuse) as visit:
            response = await SocketVisit(visit).ask()
            assert response.status_code == 403
            assert await visit.rest() == b""
        assert visit.error is None

    run(main())
    assert told == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


def test_an_application_may_answer_with_a_response_instead() -> None:
    async def deny(scope: Scope, receive: Receive, send: Send) -> None:
        assert "websocket.http.response" in scope["extensions"]
        fields = [(b"www-authenticate", b"Basic")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": fields})
        await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"are you?"})

    async def main() -> None:
        async with visiting(deny) as visit:
            response = await SocketVisit(visit).ask()
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Basic")
            assert response.body == b"who are you?"
        assert visit.error is None

    run(main())


@pytest.mark.parametrize("fields", [{"headers": [(b"x", b"a\r\nb")]}, {"subprotocol": "a\r\nb"}, {"subprotocol": "ä"}])
def test_what_would_break_out_of_the_handshake_is_answered_by_500(fields: Any) -> None:
    async def main() -> None:
        async with visiting(Recorder(lambda scope, receive, send: send({**ACCEPT, **fields}))) as visit:
            assert (await SocketVisit(visit).ask()).status_code == 500
        assert isinstance(visit.error, MalformedResponse)

    run(main())


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────

MESSAGES = ["hello", "", "ä" * 1_000, b"", b"\xff\0", b"x" * 70_000, "y" * 200_000]


@pytest.mark.parametrize("compresses", [False, True])
@pytest.mark.parametrize("size", [1, 1_000, 1_000_000])
def test_messages_go_each_way_however_they_are_cut(compresses: bool, size: int) -> None:
    async def main() -> None:
        application = Recorder(echo)
        async with speaking(application, client={"compresses": compresses}) as talk:
            for message in MESSAGES if size > 1 else MESSAGES[:5]:
                data = talk.framed(message)
                for start in range(0, len(data), size):
                    await talk.visit.say(data[start : start + size])
                    await asyncio.sleep(0)
                assert await talk.message() == message
            await talk.close()
        assert talk.visit.error is None
        assert bool(talk.protocol.extensions) is compresses

    run(main())


def test_both_keys_of_a_message_may_be_there() -> None:
    async def send_all(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "a", "bytes": None})
        await send({"type": "websocket.send", "text": None, "bytes": b"b"})
        await send({"type": "websocket.send", "bytes": memoryview(b"c")})

    async def main() -> None:
        async with speaking(send_all) as talk:
            assert [await talk.message() for _ in range(3)] == ["a", b"b", b"c"]

    run(main())


def test_fragments_are_one_message() -> None:
    async def main() -> None:
        async with speaking(echo) as talk:
            talk.protocol.send_text("ä".encode()[:1], fin=False)
            talk.protocol.send_ping(b"between")
            talk.protocol.send_continuation("ä".encode()[1:], fin=False)
            talk.protocol.send_continuation(b"!", fin=True)
            await talk.flush()
            assert (await talk.frame()).opcode is Opcode.PONG
            assert await talk.message() == "ä!"

    run(main())


def test_messages_wait_with_the_client_until_the_application_takes_them() -> None:
    async def main() -> None:
        go_on = asyncio.Event()
        taken = 0

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal taken
            await receive()
            await send(ACCEPT)
            await go_on.wait()
            while (await receive())["type"] == "websocket.receive":
                taken += 1

        async with speaking(slow) as talk:
            for _ in range(1_000):
                talk.protocol.send_binary(b"x" * 1_000)
            sending = asyncio.ensure_future(talk.flush())
            await settle()
            assert not sending.done()
            assert talk.visit.connection.bytes_in < 400_000
            go_on.set()
            await sending
            await talk.close()
        assert taken == 1_000
        assert talk.visit.error is None

    run(main())


def test_a_slow_client_makes_the_application_wait() -> None:
    async def main() -> None:
        sent = 0

        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal sent
            await send(ACCEPT)
            for _ in range(100):
                await send({"type": "websocket.send", "bytes": b"x" * 10_000})
                sent += 1

        async with speaking(stream) as talk:
            await settle()
            assert 0 < sent < 20
            for _ in range(100):
                assert len(await talk.message()) == 10_000

    run(main())


@pytest.mark.parametrize("compresses", [False, True])
def test_a_message_that_is_too_large_ends_the_connection(compresses: bool) -> None:
    application = Recorder(echo)

    async def main() -> None:
        limits = WebSocketLimits(message_bytes=1_000)
        async with speaking(application, client={"compresses": compresses}, websocket_limits=limits) as talk:
            await talk.send("x" * 1_000)
            assert len(await talk.message()) == 1_000
            await talk.send("x" * 1_001)
            assert (await talk.closed())[0] == 1009
        assert application.told[-1]["code"] == 1009
        assert talk.visit.error is None

    run(main())


def test_a_bomb_is_not_unpacked_before_its_messages_are_taken() -> None:
    """A megabyte of zeros in a kilobyte: many of them at once are all memory there is."""

    async def main() -> None:
        async def idle(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            await asyncio.sleep(10)
            await receive()

        async with speaking(idle, client={"compresses": True}) as talk:
            for _ in range(30):
                talk.protocol.send_binary(bytes(1_000_000))
            sending = asyncio.ensure_future(talk.flush())
            await settle()
            (held,) = talk.visit.server.talks
            assert 0 < held._held_bytes <= 10_000_000
            talk.visit.client.abort()
            await asyncio.gather(sending, return_exceptions=True)

    run(main())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode nobody knows
        (b"\xc1\x80\0\0\0\0", 1002),  # a bit nobody has agreed on
        (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
        (b"\x09\x80\0\0\0\0", 1002),  # a ping in fragments
        (b"\x89\xfe\x00\x7e\0\0\0\0" + bytes(126), 1002),  # a ping that is too long
        (b"\x81\x81\0\0\0\0\xff", 1007),  # text that is none
        (b"\x88\x81\0\0\0\0\x03", 1002),  # half a code
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),  # a code that is never sent
    ],
)
def test_what_breaks_the_protocol_ends_the_connection(data: bytes, code: int) -> None:
    application = Recorder(echo)

    async def main() -> None:
        async with speaking(application) as talk:
            await talk.visit.say(data)
            assert (await talk.closed())[0] == code
        assert talk.visit.error is None
        assert application.told[-1]["type"] == "websocket.disconnect"

    run(main())
