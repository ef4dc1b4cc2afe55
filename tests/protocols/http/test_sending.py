"""What applications send: files, trailers, hints, and what cannot be sent; and what is told of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from portside import events
from portside.errors import EndOfStream, HandlerError
from portside.protocols.http.exchange import Unanswered
from portside.protocols.http.responses import MalformedResponse
from portside.protocols.http.server import Receive, Scope, Send
from support.asgi import Recorder, request, respond, visiting
from support.virtual_time import run

BIG_BYTES = 1_000_000


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=[0, 1, 16_384, 16_385, 300_000])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(request.param))
    return path


@pytest.mark.parametrize("fields", [(), ((b"transfer-encoding", b"chunked"),)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_path_is_sent(file: Path, method: str, fields: Any) -> None:
    content = b"" if method == "HEAD" else file.read_bytes()

    async def send_path(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.pathsend", "path": str(file)})

    async def main() -> None:
        async with visiting(send_path) as visit:
            for _ in range(2):
                response = await visit.ask(request(method), method=method)
                assert response.body == content  # type: ignore[attr-defined]
        assert visit.error is None

    run(main())


def test_parts_of_an_open_file_are_sent(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(content := os.urandom(100_000))

    async def main() -> None:
        with path.open("rb") as opened:
            opened.seek(99_990)

            async def parts(scope: Scope, receive: Receive, send: Send) -> None:
                await send({"type": "http.response.start", "status": 206})
                for file, offset, count in ((opened, 5, 10), (opened.fileno(), 1_000, 50_000), (opened, 7, 0)):
                    await send(
                        {
                            "type": "http.response.zerocopysend",
                            "file": file,
                            "offset": offset,
                            "count": count,
                            "more_body": True,
                        }
                    )
                await send({"type": "http.response.body", "body": b"|", "more_body": True})
                await send({"type": "http.response.zerocopysend", "file": opened})

            async with visiting(parts) as visit:
                body = (await visit.ask(request())).body  # type: ignore[attr-defined]
            assert not opened.closed
        assert body == content[5:15] + content[1_000:51_000] + b"|" + content[99_990:]
        assert visit.error is None

    run(main())


def test_what_is_no_regular_file_is_not_sent_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "fifo")
    refused: list[OSError] = []

    async def send_path(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for path in (fifo, tmp_path, tmp_path / "missing", Path("/dev/zero")):
            try:
                await send({"type": "http.response.pathsend", "path": path})
            except OSError as error:
                refused.append(error)
        await send({"type": "http.response.body", "body": b"else"})

    async def main() -> None:
        async with visiting(send_path) as visit:
            assert (await visit.ask(request())).body == b"else"  # type: ignore[attr-defined]

    run(main())
    assert len(refused) == 4


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_file_that_is_shorter_than_was_said_ends_the_connection(tmp_path: Path, size: int) -> None:
    (path := tmp_path / "file").write_bytes(b"x" * size)

    async def send_more(scope: Scope, receive: Receive, send: Send) -> None:
        with path.open("rb") as file:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.zerocopysend", "file": file, "offset": 0, "count": size + 1})

    async def main() -> None:
        async with visiting(send_more) as visit:
            await visit.say(request())
            assert len((await visit.rest()).partition(b"\r\n\r\n")[2]) < size + 1
        assert isinstance(visit.error, EndOfStream)

    run(main())


# ── trailers, hints, and what cannot be said ─────────────────────────────────────────────────────────────────────────


def test_trailers_and_early_hints() -> None:
    async def all_of_it(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body", "body": b"hello"})
        await send({"type": "http.response.trailers", "headers": [(b"digest", b"x")]})

    async def main(version: str) -> bytes:
        async with visiting(all_of_it) as visit:
            await visit.say(request("GET", "/", b"Connection: close", version=version))
            return await visit.rest()

    said = run(main("1.1"))
    assert said.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert said.endswith(b"5\r\nhello\r\n0\r\ndigest: x\r\n\r\n")
    old = run(main("1.0"))
    assert old.startswith(b"HTTP/1.1 200 OK\r\n")
    assert old.endswith(b"\r\n\r\nhello")


START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body"}
MORE = {"type": "http.response.body", "more_body": True}


@pytest.mark.parametrize(
    "messages",
    [
        [BODY],
        [START, START],
        [START, {"type": "http.response.trailers"}],
        [START, {"type": "http.response.early_hint", "links": []}],
        [START, {"type": "http.response.push"}],
        [{"type": "websocket.accept"}],
        [START, MORE, START],
    ],
)
def test_what_is_sent_at_the_wrong_moment_is_a_failure(messages: list[Any]) -> None:
    async def confused(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def main() -> None:
        async with visiting(confused) as visit:
            await visit.say(request())
            await visit.rest()
        assert isinstance(visit.error, HandlerError)
        assert messages[-1]["type"] in str(visit.error)

    run(main())


def test_nothing_can_be_sent_behind_the_end() -> None:
    async def main() -> None:
        raised: list[str] = []

        async def eager(scope: Scope, receive: Receive, send: Send) -> None:
            await respond(send)
            with pytest.raises(HandlerError) as caught:
                await send(BODY)
            raised.append(str(caught.value))

        async with visiting(eager) as visit:
            assert (await visit.ask(request())).status == 200
            assert (await visit.ask(request())).status == 200
        assert raised == ["http.response.body was sent after the response was over"] * 2

    run(main())


@pytest.mark.parametrize(
    ("messages", "status"),
    [([], 500), ([START], 500), ([START, MORE], 200)],
)
def test_an_application_that_returns_too_early_has_failed(messages: list[Any], status: int) -> None:
    async def forgetful(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def main() -> None:
        async with visiting(forgetful) as visit:
            await visit.say(request())
            assert (await visit.rest()).startswith(b"HTTP/1.1 %d " % status)
        assert isinstance(visit.error, Unanswered)

    run(main())


def test_a_header_that_would_break_out_is_answered_by_500() -> None:
    async def split(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, fields=[(b"location", b"/\r\nset-cookie: a=b")])

    async def main() -> None:
        async with visiting(split) as visit:
            response = await visit.ask(request())
            assert response.status == 500
            assert response.getheader("set-cookie") is None
        assert isinstance(visit.error, MalformedResponse)

    run(main())


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_whoever_watches_hears_requests_and_responses_and_no_secrets() -> None:
    heard: list[events.Event] = []

    async def main() -> None:
        async with visiting(Recorder(), service="shop") as visit:
            secrets = (b"Authorization: Basic c2VjcmV0", b"Cookie: secret")
            await visit.ask(request("POST", "/x?token=secret", *secrets, body=b"secret"))
            await visit.ask(request("HEAD", "/y"), method="HEAD")

    unsubscribe = events.subscribe(heard.append, events.Spoke)
    run(main())
    unsubscribe()
    told = [(event.direction, event.words, event.size_bytes) for event in heard]  # type: ignore[union-attr]
    assert told == [
        ("in", "POST /x?…", 108),
        ("out", "200 OK 6 B", 6),
        ("in", "HEAD /y", 29),
        ("out", "200 OK", 0),
    ]
    assert {event.service for event in heard} == {"shop"}
    assert "secret" not in repr(heard)
