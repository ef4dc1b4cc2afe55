"""Conversations that are ended: refused, too slow, ended from outside, or by an application that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from portside.errors import ConnectionEnded, ConnectionLost, HandlerError
from portside.protocols.http.limits import HttpLimits
from portside.protocols.http.refusals import RequestRefused
from portside.protocols.http.server import Receive, Scope, Send
from support.asgi import Recorder, Visit, body_of, request, respond, settle, visiting
from support.virtual_time import run

LONG_S = 3_600.0


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"hello")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_malformed_request_is_answered_behind_those_before_it_and_ends_the_connection() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1)
        await respond(send, b"fine")

    async def main() -> None:
        async with visiting(slow) as visit:
            await visit.say(request(), b"nonsense\r\n\r\n", request())
            assert (await visit.response()).status == 200
            refusal = await visit.response()
            assert (refusal.status, refusal.will_close) == (400, True)
            assert await visit.rest() == b""
        assert isinstance(visit.error, RequestRefused)
        assert str(visit.error) == "400: the request line is malformed"

    run(main())


def test_a_body_that_turns_out_malformed_is_refused_and_its_application_told() -> None:
    async def main() -> None:
        application = Recorder()
        async with visiting(application) as visit:
            await visit.say(request("POST", "/", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\nnonsense"))
            assert (await visit.response()).status == 400
            assert await visit.rest() == b""
        assert application.told[-1] == {"type": "http.disconnect"}
        assert isinstance(visit.error, RequestRefused)

    run(main())


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (request("POST", "/", b"Content-Length: 11"), 413),
        (request("POST", "/", b"Transfer-Encoding: chunked", body=b"b\r\nhello world\r\n"), 413),
        (request("GET", "/" + "x" * 100), 414),
    ],
)
def test_what_is_too_large_is_refused(words: bytes, status: int) -> None:
    async def main() -> None:
        async with visiting(Recorder(), limits=HttpLimits(body_bytes=10, target_bytes=50)) as visit:
            assert (await visit.ask(words)).status == status

    run(main())


def test_a_body_that_turns_out_too_large_does_not_spoil_a_response_that_has_begun() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"so far", "more_body": True})
        await body_of(receive)
        await send({"type": "http.response.body", "body": b" so good"})

    async def main() -> None:
        async with visiting(early, limits=HttpLimits(body_bytes=10)) as visit:
            await visit.say(request("POST", "/", b"Transfer-Encoding: chunked"))
            await visit.client.read_until(b"so far\r\n")
            await visit.say(b"b\r\nhello world\r\n")
            assert await visit.rest() == b"", "an end that shows"
        assert isinstance(visit.error, RequestRefused)

    run(main())


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def elapsed_s(act: Callable[[], Awaitable[object]]) -> float:
    before_s = asyncio.get_running_loop().time()
    await act()
    return asyncio.get_running_loop().time() - before_s


def test_a_head_that_takes_too_long_is_refused() -> None:
    async def dribble(visit: Visit) -> None:
        for byte in request("GET", "/" + "x" * 100):
            await visit.say(bytes([byte]))
            await asyncio.sleep(1)

    async def main() -> None:
        async with visiting(hello, limits=HttpLimits(head_s=30)) as visit:
            await visit.ask(request())
            await asyncio.sleep(LONG_S)  # between requests it is the runtime that has patience or not
            dribbling = asyncio.ensure_future(dribble(visit))
            assert await elapsed_s(visit.response) == pytest.approx(30, abs=1)
            await asyncio.gather(dribbling, return_exceptions=True)
        assert isinstance(visit.error, TimeoutError)
        assert str(visit.error) == "the client's request took more than 30 s to come"

    run(main())


def test_a_head_in_time_is_served_and_its_time_forgotten() -> None:
    async def main() -> None:
        async with visiting(hello, limits=HttpLimits(head_s=30)) as visit:
            for _ in range(3):
                await visit.say(request()[:10])
                await asyncio.sleep(29)
                assert (await visit.ask(request()[10:])).status == 200
        assert visit.error is None

    run(main())


@pytest.mark.parametrize(
    ("body_bytes", "rate", "least_s", "most_s"),
    [
        (1_000, 1, 29, 31),  # too slow to win any time
        (1_000, 100, 160, 200),
    ],
)
def test_a_body_that_comes_too_slowly_is_refused(body_bytes: int, rate: int, least_s: float, most_s: float) -> None:
    async def dribble(visit: Visit) -> None:
        await visit.say(request("POST", "/", b"Content-Length: 100000"))
        for _ in range(body_bytes):
            await visit.say(b"x" * rate)
            await asyncio.sleep(1)

    async def main() -> None:
        application = Recorder()
        async with visiting(application, limits=HttpLimits(body_s=30, body_bytes_per_s=120)) as visit:
            dribbling = asyncio.ensure_future(dribble(visit))
            before_s = asyncio.get_running_loop().time()
            assert (await visit.response()).status == 408
            assert least_s <= asyncio.get_running_loop().time() - before_s <= most_s
            await asyncio.gather(dribbling, return_exceptions=True)
        assert application.told[-1] == {"type": "http.disconnect"}
        assert isinstance(visit.error, TimeoutError)

    run(main())


def test_a_body_at_a_fair_rate_may_take_for_ever() -> None:
    async def main() -> None:
        async with visiting(Recorder(), limits=HttpLimits(body_s=30, body_bytes_per_s=120)) as visit:
            await visit.say(request("POST", "/", b"Content-Length: 100000"))
            for _ in range(500):
                await visit.say(b"x" * 200)
                await asyncio.sleep(1)
            assert len((await visit.response()).body) == 100_000  # type: ignore[attr-defined]

    run(main())


def test_an_application_may_take_its_time_for_a_body() -> None:
    async def lazy(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(LONG_S)
        await body_of(receive)
        await respond(send, b"at last")

    async def main() -> None:
        async with visiting(lazy) as visit:
            await visit.say(request("POST", "/", b"Content-Length: 5", body=b"he"))
            await asyncio.sleep(1)
            assert (await visit.ask(b"llo")).body == b"at last"  # type: ignore[attr-defined]

    run(main())


# ── the end from outside ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_idle_connection_is_ended_without_more() -> None:
    async def main() -> None:
        async with visiting(hello) as visit:
            await visit.ask(request())
            await settle()
            visit.connection.end("drained", b"")
            assert await visit.rest() == b""
        assert isinstance(visit.error, ConnectionEnded)

    run(main())


def test_who_ends_a_connection_ends_the_application_that_owes_its_response_and_lets_others_finish() -> None:
    ended: list[str] = []

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/1":
            await respond(send)
        try:
            await asyncio.sleep(LONG_S)
            ended.append(f"{scope['path']} done")
        except asyncio.CancelledError:
            ended.append(f"{scope['path']} cancelled")
            raise

    async def main() -> None:
        async with visiting(busy) as visit:
            await visit.ask(request("GET", "/1"))
            await visit.say(request("GET", "/2"))
            await settle()
            visit.connection.end("stopped")
        assert isinstance(visit.error, ConnectionEnded)

    run(main())
    assert ended == ["/2 cancelled", "/1 done"]


def test_a_reset_is_told_to_the_application_and_is_no_failure_of_its_own() -> None:
    application = Recorder(lambda scope, receive, send: until_left(receive))

    async def until_left(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def main() -> None:
        async with visiting(application) as visit:
            await visit.say(request())
            await settle()
            visit.client.abort()
            await settle()
        assert isinstance(visit.error, ConnectionLost)

    run(main())
    assert application.told[-1] == {"type": "http.disconnect"}


def test_cancelling_the_handler_cancels_its_applications() -> None:
    ended: list[str] = []

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(LONG_S)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> None:
        async with visiting(busy) as visit:
            await visit.say(request())
            await settle()
            visit.handling.cancel()
        assert isinstance(visit.error, asyncio.CancelledError)

    run(main())
    assert ended == ["cancelled"]


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("no such thing")


async def fails_later(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(1)
    raise LookupError("no such thing")


async def fails_after_start(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    raise LookupError("no such thing")


@pytest.mark.parametrize("application", [fails, fails_later, fails_after_start])
@pytest.mark.parametrize("body", [b"", b"x" * 500_000])
def test_a_failure_is_answered_by_500_and_is_the_handler_s(application: Recorder, body: bytes) -> None:
    async def main() -> None:
        async with visiting(application) as visit:
            asking = asyncio.ensure_future(visit.say(request("POST", "/", body=body)))
            response = await visit.response()
            assert (response.status, response.will_close) == (500, True)
            assert b"no such thing" not in response.body  # type: ignore[attr-defined]
            assert await visit.rest() == b""
            await asyncio.gather(asking, return_exceptions=True)
        assert isinstance(visit.error, LookupError)

    run(main())


@pytest.mark.parametrize(
    ("version", "fields", "heard"),
    [
        ("1.1", (), b"6\r\nso far\r\n"),
        ("1.1", ((b"content-length", b"20"),), b"so far"),
        ("1.0", ((b"content-length", b"20"),), b"so far"),
    ],
)
def test_a_failure_in_the_middle_of_a_response_shows(
    version: str, fields: tuple[tuple[bytes, bytes], ...], heard: bytes
) -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"so far", "more_body": True})
        raise LookupError("no such thing")

    async def main() -> None:
        async with visiting(half) as visit:
            await visit.say(request(version=version))
            assert (await visit.rest()).partition(b"\r\n\r\n")[2] == heard
        assert isinstance(visit.error, LookupError)

    run(main())


def test_a_failure_is_not_taken_for_the_end_of_a_body_that_ends_with_the_connection() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"so far", "more_body": True})
        raise LookupError("no such thing")

    async def main() -> None:
        async with visiting(half) as visit:
            await visit.say(request(version="1.0"))
            with pytest.raises(ConnectionLost):
                await visit.rest()
        assert isinstance(visit.error, LookupError)

    run(main())


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError])
def test_an_application_cannot_end_more_than_its_connection(kind: type[BaseException]) -> None:
    async def leave(scope: Scope, receive: Receive, send: Send) -> None:
        raise kind

    async def main() -> None:
        async with visiting(leave) as visit:
            assert (await visit.ask(request())).status == 500
        assert isinstance(visit.error, HandlerError)
        assert isinstance(visit.error.__cause__, kind)

    run(main())


def test_a_failure_behind_a_response_is_told_and_costs_the_client_nothing() -> None:
    from portside import events

    heard: list[events.Event] = []

    async def main() -> None:
        async def careless(scope: Scope, receive: Receive, send: Send) -> None:
            await respond(send, b"fine")
            raise LookupError("no such thing")

        async with visiting(careless, service="shop") as visit:
            for _ in range(2):
                assert (await visit.ask(request())).body == b"fine"  # type: ignore[attr-defined]
        assert visit.error is None

    unsubscribe = events.subscribe(heard.append, events.HandlerFailed)
    run(main())
    unsubscribe()
    assert [(event.service, str(event.error)) for event in heard] == [("shop", "no such thing")] * 2  # type: ignore[union-attr]
