"""Conversations: requests one after the other on one connection, however they come."""

from __future__ import annotations

import asyncio

import pytest

from portside.protocols.http.server import Receive, Scope, Send
from portside.testing.conversations import cuttings
from support.asgi import DATE, Recorder, request, respond, settle, visiting
from support.virtual_time import run

LONG_S = 3_600.0


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"hello")


# ── one request ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_is_answered_to_the_byte() -> None:
    async def main() -> None:
        async with visiting(hello) as visit:
            await visit.say(request("GET", "/", b"Connection: close"))
            assert await visit.rest() == (
                b"HTTP/1.1 200 OK\r\n" + DATE + b"content-length: 5\r\nconnection: close\r\n\r\nhello"
            )
        assert visit.error is None

    run(main())


def test_any_stream_of_requests_is_answered_the_same_however_it_is_cut() -> None:
    stream = (
        request("GET", "/1")
        + request("POST", "/2", body=b"hello")
        + request("POST", "/3", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n")
        + request("HEAD", "/4")
        + request("GET", "/5", version="1.0")
    )

    async def main(pieces: list[bytes]) -> tuple[bytes, list[str]]:
        application = Recorder()
        async with visiting(application) as visit:
            for piece in pieces:
                await visit.say(piece)
                await settle()
            answer = await visit.rest()
        assert visit.error is None
        return answer, [scope["path"] for scope in application.scopes]

    answers = {run(main(pieces))[0] for pieces in cuttings(stream)}
    assert len(answers) == 1
    (answer,) = answers
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 5
    assert answer.index(b"\r\n\r\nhello") < answer.index(b"\r\n\r\nabcde")
    assert run(main([stream]))[1] == ["/1", "/2", "/3", "/4", "/5"]


def test_an_empty_connection_is_over_without_a_word() -> None:
    async def main() -> None:
        async with visiting(hello) as visit:
            await visit.client.write_eof()
            assert await visit.rest() == b""
        assert visit.error is None

    run(main())


@pytest.mark.parametrize("words", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n"])
def test_half_a_request_is_answered_by_nothing(words: bytes) -> None:
    async def main() -> None:
        application = Recorder()
        async with visiting(application) as visit:
            await visit.say(words)
            await visit.client.write_eof()
            assert await visit.rest() == b""
        assert visit.error is None
        assert application.scopes == []

    run(main())


# ── one after the other ──────────────────────────────────────────────────────────────────────────────────────────────


def test_requests_sent_at_once_are_answered_one_at_a_time_in_their_order() -> None:
    at_work: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        at_work.append(scope["path"])
        assert at_work == [scope["path"]]
        await asyncio.sleep(1)
        await respond(send, scope["path"].encode())
        at_work.clear()

    async def main() -> None:
        async with visiting(slow) as visit:
            await visit.say(*(request("GET", f"/{number}") for number in range(50)))
            for number in range(50):
                assert (await visit.response()).body == b"/%d" % number  # type: ignore[attr-defined]
        assert visit.error is None

    run(main())


def test_what_a_client_sends_ahead_is_bounded() -> None:
    async def main() -> None:
        forever = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await forever.wait()
            await respond(send)

        async with visiting(slow) as visit:
            flooding = asyncio.ensure_future(visit.say(request() * 10_000))
            await settle()
            assert not flooding.done()
            assert visit.connection.bytes_in < 200_000
            forever.set()
            for _ in range(10_000):
                await visit.client.read_until(b"\r\n\r\n")
            await flooding
        assert visit.error is None

    run(main())


def test_a_client_that_has_said_its_last_is_answered_still() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1)
        await respond(send, scope["path"].encode())

    async def main() -> None:
        async with visiting(slow) as visit:
            await visit.say(request("GET", "/1"), request("GET", "/2"))
            await visit.client.write_eof()
            assert [(await visit.response()).body for _ in range(2)] == [b"/1", b"/2"]  # type: ignore[attr-defined]
            assert await visit.rest() == b""
        assert visit.error is None

    run(main())


def test_the_next_request_does_not_wait_for_what_an_application_does_behind_its_response() -> None:
    done: list[str] = []

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, scope["path"].encode())
        await asyncio.sleep(LONG_S)
        done.append(scope["path"])

    async def main() -> None:
        async with visiting(busy) as visit:
            for path in ("/1", "/2"):
                assert (await visit.ask(request("GET", path))).body == path.encode()  # type: ignore[attr-defined]
            assert done == []
            await visit.client.write_eof()
            assert await visit.rest() == b"", "the connection does not wait either"
            assert done == []
        assert done == ["/1", "/2"], "but the handler does"
        assert visit.error is None

    run(main())


def test_context_variables_and_tasks_are_each_request_s_own() -> None:
    from contextvars import ContextVar

    visitor: ContextVar[str] = ContextVar("visitor", default="nobody")
    seen: list[str] = []
    tasks: set[object] = set()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(visitor.get())
        tasks.add(asyncio.current_task())
        visitor.set(scope["path"])
        await respond(send)

    async def main() -> None:
        async with visiting(application) as visit:
            await visit.ask(request("GET", "/1"))
            await visit.ask(request("GET", "/2"))

    run(main())
    assert seen == ["nobody", "nobody"]
    assert len(tasks) == 2


@pytest.mark.parametrize(
    ("version", "fields", "stays"),
    [
        ("1.1", (), True),
        ("1.1", (b"Connection: close",), False),
        ("1.0", (), False),
        ("1.0", (b"Connection: keep-alive",), True),
    ],
)
def test_a_connection_lasts_as_long_as_its_client_wants(version: str, fields: tuple[bytes, ...], stays: bool) -> None:
    async def main() -> None:
        async with visiting(hello) as visit:
            response = await visit.ask(request("GET", "/", *fields, version=version))
            assert response.will_close is not stays
            if stays:
                assert (await visit.ask(request())).status == 200
            else:
                assert await visit.rest() == b""
        assert visit.error is None

    run(main())


def test_an_application_may_end_the_connection_with_its_response() -> None:
    async def last(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, fields=[(b"connection", b"close")])

    async def main() -> None:
        async with visiting(last) as visit:
            assert (await visit.ask(request())).will_close
            assert await visit.rest() == b""
        assert visit.error is None

    run(main())


def test_a_server_that_is_leaving_ends_connections_with_their_next_response() -> None:
    async def main() -> None:
        async with visiting(hello) as visit:
            assert not (await visit.ask(request())).will_close
            visit.server.is_leaving = True
            assert (await visit.ask(request())).will_close
            assert await visit.rest() == b""
        assert visit.error is None

    run(main())


# ── keeping time, for the runtime ────────────────────────────────────────────────────────────────────────────────────


def test_only_between_requests_is_a_connection_idle() -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def wait(scope: Scope, receive: Receive, send: Send) -> None:
            await release.wait()
            await respond(send, b"done")

        async with visiting(wait) as visit:
            await settle()
            assert visit.connection.state == "reading"
            await visit.say(request()[:9])
            await settle()
            assert visit.connection.state == "busy", "in the middle of a head"
            await visit.say(request()[9:])
            await settle()
            assert visit.connection.state == "busy"
            release.set()
            await visit.response()
            await settle()
            assert visit.connection.state == "reading"

    run(main())
