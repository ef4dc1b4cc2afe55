"""Requests as applications have them: bodies with backpressure, waiting to continue, and clients that leave."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from portside.errors import ConnectionLost
from portside.protocols.http.exchange import ClientGone
from portside.protocols.http.server import Receive, Scope, Send
from support.asgi import Recorder, body_of, request, respond, settle, visiting
from support.virtual_time import run

BIG_BYTES = 1_000_000


# ── bodies in ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_application_receives_a_body_as_it_comes_and_then_waits_for_the_client_to_leave() -> None:
    async def main() -> None:
        application = Recorder()

        async def listen(scope: Scope, receive: Receive, send: Send) -> None:
            for _ in range(4):
                await receive()
            await respond(send)

        application.act = listen
        async with visiting(application) as visit:
            await visit.say(request("POST", "/", b"Content-Length: 10", body=b"hello"))
            await settle()
            assert application.told == [{"type": "http.request", "body": b"hello", "more_body": True}]
            await visit.say(b" you")
            await settle()
            await visit.say(b"!")
            await settle()
            assert [told["body"] for told in application.told] == [b"hello", b" you", b"!"]
            assert [told["more_body"] for told in application.told] == [True, True, False]
            await visit.client.write_eof()
            assert (await visit.response()).status == 200, "a client that has half-closed hears its answer"
        assert application.told[3:] == [{"type": "http.disconnect"}]

    run(main())


def test_a_request_without_a_body_has_an_empty_one() -> None:
    async def main() -> None:
        application = Recorder()
        async with visiting(application) as visit:
            await visit.ask(request())
        assert application.told == [{"type": "http.request", "body": b"", "more_body": False}]

    run(main())


def test_a_body_waits_with_the_client_until_the_application_takes_it() -> None:
    async def main() -> None:
        taken = 0
        go_on = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal taken
            more = True
            while more:
                await go_on.wait()
                message = await receive()
                taken += len(message["body"])
                more = message["more_body"]
            await respond(send)

        async with visiting(slow) as visit:
            sending = asyncio.ensure_future(visit.say(request("POST", body=b"x" * BIG_BYTES)))
            await settle()
            assert not sending.done()
            assert visit.connection.bytes_in < 400_000
            assert taken == 0
            go_on.set()
            assert (await visit.response()).status == 200
            await sending
        assert taken == BIG_BYTES

    run(main())


def test_a_body_nobody_wants_is_read_for_the_next_request_s_sake() -> None:
    async def main() -> None:
        async with visiting(Recorder(lambda scope, receive, send: respond(send, b"fine"))) as visit:
            for _ in range(2):
                await visit.say(request("POST", body=b"x" * 200_000))
                assert not (await visit.response()).will_close
            await visit.say(request("POST", "/", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"))
            assert not (await visit.response()).will_close
            await visit.say(b"0\r\n\r\n")
            assert (await visit.ask(request())).status == 200
        assert visit.error is None

    run(main())


def test_a_body_nobody_wants_that_is_too_long_costs_the_connection() -> None:
    async def main() -> None:
        async with visiting(Recorder(lambda scope, receive, send: respond(send, b"fine"))) as visit:
            await visit.say(request("POST", "/", b"Content-Length: 300000"))
            assert (await visit.response()).will_close
            assert await visit.rest() == b""
        assert visit.error is None

    run(main())


def test_an_endless_body_that_nobody_wants_costs_the_connection_too() -> None:
    async def main() -> None:
        async with visiting(Recorder(lambda scope, receive, send: respond(send, b"fine"))) as visit:
            await visit.say(request("POST", "/", b"Transfer-Encoding: chunked"))
            assert not (await visit.response()).will_close
            sending = asyncio.ensure_future(visit.say(b"a\r\n0123456789\r\n" * 100_000))
            with pytest.raises(ConnectionLost):
                await sending
        assert visit.connection.bytes_in < 700_000
        assert visit.error is None

    run(main())


# ── 100-continue ─────────────────────────────────────────────────────────────────────────────────────────────────────

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTING = request("POST", "/", b"Expect: 100-continue", b"Content-Length: 5")


def test_a_client_is_told_to_continue_when_the_application_reads() -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def later(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()
            await respond(send, await body_of(receive))

        async with visiting(later) as visit:
            await visit.say(EXPECTING)
            await settle()
            assert visit.connection.bytes_out == 0
            go_on.set()
            assert await visit.client.read_exactly(len(CONTINUE)) == CONTINUE
            assert (await visit.ask(b"hello")).body == b"hello"  # type: ignore[attr-defined]
            assert (await visit.ask(request())).status == 200
        assert visit.error is None

    run(main())


def test_a_client_that_did_not_wait_is_not_told() -> None:
    async def main() -> None:
        async with visiting(Recorder()) as visit:
            assert (await visit.ask(EXPECTING, b"hello")).body == b"hello"  # type: ignore[attr-defined]

    run(main())


def test_a_client_whose_body_nobody_wants_is_answered_and_its_connection_ended() -> None:
    async def main() -> None:
        async with visiting(Recorder(lambda scope, receive, send: respond(send, b"no", status=403))) as visit:
            response = await visit.ask(EXPECTING)
            assert (response.status, response.will_close) == (403, True)
            assert await visit.rest() == b""

    run(main())


# ── the client leaves ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["write_eof", "abort"])
def test_an_application_that_listens_hears_at_once_that_the_client_has_left(how: str) -> None:
    async def main() -> None:
        heard: list[Any] = []

        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            async def listen() -> None:
                while not heard:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        heard.append(asyncio.get_running_loop().time())

            listening = asyncio.ensure_future(listen())
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await listening

        async with visiting(stream) as visit:
            await visit.say(request())
            await visit.client.read_until(b"a\r\n")
            await asyncio.sleep(5_000)
            left_s = asyncio.get_running_loop().time()
            result = getattr(visit.client, how)()
            if result is not None:
                await result
            await settle()
            assert heard == [left_s]

    run(main())


def test_a_client_that_has_sent_ahead_is_missed_too() -> None:
    async def main() -> None:
        heard: list[float] = []

        async def listen(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            heard.append(asyncio.get_running_loop().time())

        async with visiting(listen) as visit:
            await visit.say(request(), request())
            await asyncio.sleep(100)
            assert heard == []
            visit.client.abort()
            left_s = asyncio.get_running_loop().time()
            await asyncio.sleep(10)
            assert left_s <= heard[0] <= left_s + 5

    run(main())


def test_everybody_who_listens_hears_of_it_and_hears_it_again() -> None:
    async def main() -> None:
        application = Recorder()

        async def listen(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            first = asyncio.ensure_future(receive())
            others = [asyncio.ensure_future(receive()) for _ in range(3)]
            await asyncio.sleep(1)
            first.cancel()  # whoever gives up takes nothing from the others
            assert [await other for other in others] == [{"type": "http.disconnect"}] * 3
            assert await receive() == {"type": "http.disconnect"}

        application.act = listen
        async with visiting(application) as visit:
            await visit.say(request())
            await asyncio.sleep(2)
            await visit.client.write_eof()
            assert await visit.rest() == b""
        assert visit.error is None

    run(main())


def test_sending_to_a_client_that_has_left_fails_and_that_is_nobody_s_failure() -> None:
    failures: list[BaseException] = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
        except OSError as error:
            failures.append(error)
            raise RuntimeError("the stream broke") from error

    async def main() -> None:
        async with visiting(endless) as visit:
            await visit.say(request())
            await visit.client.read(1)
            visit.client.abort()
        assert not isinstance(visit.error, RuntimeError)

    run(main())
    assert isinstance(failures[0], ClientGone)


class ClientDisconnect(Exception):
    """As Starlette's is called."""


@pytest.mark.parametrize(("error", "is_failure"), [(ClientDisconnect, False), (LookupError, True)])
def test_what_frameworks_make_of_it_is_nobody_s_failure_but_a_failure_is(
    error: type[Exception], is_failure: bool
) -> None:
    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        raise error("in the middle")

    async def main() -> None:
        async with visiting(read) as visit:
            await visit.say(request("POST", "/", b"Content-Length: 5", body=b"he"))
            await settle()
            await visit.client.write_eof()
            assert (await visit.rest()).startswith(b"HTTP/1.1 500 ") is is_failure
        assert isinstance(visit.error, LookupError) is is_failure

    run(main())


def test_a_slow_client_makes_the_application_wait() -> None:
    async def main() -> None:
        sent = 0

        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200})
            for _ in range(100):
                await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
                sent += 10_000
            await send({"type": "http.response.body"})

        async with visiting(stream) as visit:
            await visit.say(request())
            await settle()
            assert 0 < sent < 100_000
            assert len((await visit.response()).body) == BIG_BYTES  # type: ignore[attr-defined]

    run(main())


def test_receive_says_that_the_response_is_over() -> None:
    async def main() -> None:
        application = Recorder()

        async def act(scope: Scope, receive: Receive, send: Send) -> None:
            waiting = asyncio.ensure_future(asyncio.gather(receive(), receive()))
            await asyncio.sleep(1)
            await respond(send)
            await waiting
            await receive()

        application.act = act
        async with visiting(application) as visit:
            await visit.ask(request())
            await settle()
            assert [told["type"] for told in application.told] == ["http.request", "http.disconnect", "http.disconnect"]
            assert (await visit.ask(request())).status == 200
        assert visit.error is None

    run(main())


def test_what_an_application_was_at_is_let_go_of_when_its_client_has_left() -> None:
    ended: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            ended.append("the generator")

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        try:
            iterator = pieces()
            async for piece in iterator:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except OSError as raised:
            error = raised  # a frame and its error that hold each other, as in many a framework
            raise error from None

    async def main() -> None:
        async with visiting(stream) as visit:
            await visit.say(request())
            await visit.client.read(1)
            visit.client.abort()
            await settle()
            assert ended == ["the generator"]

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()
