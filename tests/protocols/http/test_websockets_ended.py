"""WebSocket connections that end: by either side, by a failure, by silence, and because the server leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.frames import Opcode

from portside import events
from portside.errors import ConnectionLost, HandlerError
from portside.protocols.http.exchange import ClientGone, Unanswered
from portside.protocols.http.life import HttpLife
from portside.protocols.http.limits import WebSocketLimits
from portside.protocols.http.server import Message, Receive, Scope, Send
from protocols.http.test_websockets import ACCEPT, echo
from support.asgi import Recorder, settle, visiting
from support.virtual_time import run
from support.websocket import SocketVisit, speaking

# ── by either side ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "told"), [((1000, "bye"), (1000, "bye")), ((4_999, "ä"), (4_999, "ä")), ((None, ""), (1005, ""))]
)
def test_a_client_that_closes(said: tuple[Any, str], told: tuple[int, str]) -> None:
    application = Recorder(echo)

    async def main() -> None:
        async with speaking(application) as talk:
            await talk.send("hello")
            assert await talk.message() == "hello"
            await talk.close(*said)
            assert await talk.closed() == told
        assert talk.visit.error is None

    run(main())
    assert application.told[-1] == {"type": "websocket.disconnect", "code": told[0], "reason": told[1]}


@pytest.mark.parametrize("message", [{}, {"code": 1000, "reason": None}, {"code": 4_000, "reason": "x" * 200}])
def test_an_application_that_closes(message: Message) -> None:
    application = Recorder()
    expected = (message.get("code", 1000), (message.get("reason") or "")[:123])

    async def close(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close", **message})
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(HandlerError):
            await send({"type": "websocket.send", "text": "more"})

    application.act = close

    async def main() -> None:
        async with speaking(application) as talk:
            assert await talk.closed() == expected
        assert talk.visit.error is None
        assert application.told[-1]["code"] == expected[0]

    run(main())


def test_a_client_that_does_not_answer_a_close_is_left_after_a_while() -> None:
    async def close(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.close"})

    async def main() -> None:
        async with speaking(close, websocket_limits=WebSocketLimits(close_s=10)) as talk:
            before_s = asyncio.get_running_loop().time()
            assert await talk.frame()
            assert await talk.visit.rest() == b""
            assert asyncio.get_running_loop().time() - before_s == pytest.approx(10, abs=1)
        assert talk.visit.error is None

    run(main())


def test_an_application_that_returns_has_closed() -> None:
    async def main() -> None:
        async with speaking(Recorder(lambda scope, receive, send: send(ACCEPT))) as talk:
            assert await talk.closed() == (1000, "")
        assert talk.visit.error is None

    run(main())


@pytest.mark.parametrize("how", ["write_eof", "abort"])
def test_a_client_that_vanishes(how: str) -> None:
    application = Recorder(echo)

    async def main() -> None:
        async with speaking(application) as talk:
            await settle()
            result = getattr(talk.visit.client, how)()
            if result is not None:
                await result
            await settle()
            assert application.told[-1] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    run(main())


def test_sending_to_a_client_that_has_closed_is_an_error_and_nobody_s_failure() -> None:
    raised: list[BaseException] = []

    async def talkative(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        while True:
            try:
                await send({"type": "websocket.send", "text": "news"})
            except OSError as error:
                raised.append(error)
                raise
            await asyncio.sleep(1)

    async def main() -> None:
        async with speaking(talkative) as talk:
            await talk.message()
            await talk.close()
            assert (await talk.closed())[0] == 1000
        assert talk.visit.error is None

    run(main())
    assert isinstance(raised[0], ClientGone)


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("no such thing")


async def forgets(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


@pytest.mark.parametrize(("application", "error"), [(fails, LookupError), (forgets, Unanswered)])
def test_a_failure_before_the_handshake_is_answered_by_500(application: Any, error: type[Exception]) -> None:
    async def main() -> None:
        async with visiting(application) as visit:
            assert (await SocketVisit(visit).ask()).status_code == 500
        assert isinstance(visit.error, error)

    run(main())


def test_a_failure_behind_it_closes_with_its_code() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await receive()
        await receive()
        raise LookupError("no such thing")

    async def main() -> None:
        async with speaking(fail) as talk:
            await talk.send("hello")
            assert await talk.closed() == (1011, "")
        assert isinstance(talk.visit.error, LookupError)

    run(main())


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "websocket.send", "text": "early"}],
        [ACCEPT, ACCEPT],
        [ACCEPT, {"type": "http.response.start"}],
        [{"type": "websocket.http.response.body"}],
        [ACCEPT, {"type": "websocket.http.response.start", "status": 200}],
        [ACCEPT, {"type": "websocket.close", "code": 1005}],
        [ACCEPT, {"type": "websocket.close", "code": 999}],
    ],
)
def test_what_is_sent_at_the_wrong_moment_is_a_failure(messages: list[Any]) -> None:
    async def confused(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def main() -> None:
        async with visiting(confused) as visit:
            response = await SocketVisit(visit).ask()
            assert response.status_code == (101 if messages[0] is ACCEPT else 500)
        assert isinstance(visit.error, HandlerError | ValueError)

    run(main())


# ── pings ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_client_s_ping_is_answered_while_the_application_does_something_else() -> None:
    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await asyncio.sleep(100)

    async def main() -> None:
        async with speaking(busy) as talk:
            talk.protocol.send_ping(b"are you there?")
            await talk.flush()
            frame = await talk.frame()
            assert (frame.opcode, bytes(frame.data)) == (Opcode.PONG, b"are you there?")

    run(main())


def test_a_silent_client_is_asked_and_stays_as_long_as_it_answers() -> None:
    async def main() -> None:
        async with speaking(echo, websocket_limits=WebSocketLimits(ping_s=20, pong_s=20)) as talk:
            for _ in range(5):
                before_s = asyncio.get_running_loop().time()
                assert (await talk.frame()).opcode is Opcode.PING
                assert asyncio.get_running_loop().time() - before_s == pytest.approx(20, abs=1)
                assert talk.visit.connection.state == "busy", "the runtime does not take it for idle"
                await talk.flush()
            talk.protocol.send_pong(b"unasked")
            await talk.flush()
            await talk.send("still here")
            assert await talk.message() == "still here"

    run(main())


def test_a_client_that_does_not_answer_is_left() -> None:
    application = Recorder(echo)

    async def main() -> None:
        async with speaking(application, websocket_limits=WebSocketLimits(ping_s=20, pong_s=5)) as talk:
            before_s = asyncio.get_running_loop().time()
            assert (await talk.closed())[0] == 1011
            assert asyncio.get_running_loop().time() - before_s == pytest.approx(25, abs=1)
        assert isinstance(talk.visit.error, TimeoutError)
        assert application.told[-1]["code"] == 1011

    run(main())


def test_a_client_whose_answer_nobody_has_read_yet_is_not_left() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await asyncio.sleep(200)
        while (await receive())["type"] == "websocket.receive":
            pass

    async def main() -> None:
        async with speaking(slow, websocket_limits=WebSocketLimits(ping_s=20, pong_s=5)) as talk:
            for _ in range(100):
                talk.protocol.send_text(b"x")
            await talk.flush()
            await asyncio.sleep(199)
            await talk.frame()
            await talk.flush()
            await talk.close()
        assert talk.visit.error is None

    run(main())


def test_without_pings_a_silent_client_is_the_runtime_s_affair() -> None:
    async def main() -> None:
        async with speaking(echo, websocket_limits=WebSocketLimits(ping_s=0)) as talk:
            await asyncio.sleep(10_000)
            assert talk.visit.connection.state == "reading"
            talk.visit.connection.end("idle")
        assert isinstance(talk.visit.error, ConnectionLost)

    run(main())


# ── the server leaves ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_drains_tells_its_clients_to_come_back() -> None:
    application = Recorder(echo)

    async def main() -> None:
        async with speaking(application) as talk:
            await settle()
            HttpLife(talk.visit.server, "off").drain()
            assert (await talk.closed())[0] == 1012
        assert talk.visit.error is None
        assert application.told[-1]["code"] == 1012
        assert not talk.visit.server.talks

    run(main())


def test_a_server_that_retires_lets_its_clients_stay_and_takes_no_new_ones() -> None:
    async def main() -> None:
        async with speaking(echo) as talk:
            HttpLife(talk.visit.server, "off").retire()
            await talk.send("still here")
            assert await talk.message() == "still here"
            async with visiting(talk.visit.server) as late:
                assert (await SocketVisit(late).ask()).status_code == 503
            await talk.close()
        assert talk.visit.error is None

    run(main())


def test_who_waits_for_the_handshake_in_a_drain_is_told() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def main() -> None:
        async with visiting(slow) as visit:
            asking = asyncio.ensure_future(SocketVisit(visit).ask())
            await settle()
            HttpLife(visit.server, "off").drain()
            assert (await asking).status_code == 503
        assert visit.error is None

    run(main())


def test_whoever_watches_hears_of_messages_and_not_what_they_say() -> None:
    heard: list[events.Event] = []

    async def main() -> None:
        async with speaking(echo) as talk:
            await talk.send("secret")
            await talk.message()
            await talk.send(b"x" * 2_000)
            await talk.message()

    unsubscribe = events.subscribe(heard.append, events.Spoke)
    run(main())
    unsubscribe()
    assert [(event.direction, event.words) for event in heard] == [  # type: ignore[union-attr]
        ("in", "GET /chat?…"),
        ("out", "101 Switching Protocols"),
        ("in", "text 6 B"),
        ("out", "text 6 B"),
        ("in", "binary 2.0 kB"),
        ("out", "binary 2.0 kB"),
    ]
