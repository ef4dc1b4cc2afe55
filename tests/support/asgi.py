"""An ASGI application served over a connection in memory, and a client that speaks byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from portside.protocols.http.battery import conversations_of
from portside.protocols.http.dates import Dates
from portside.protocols.http.server import Application, Message, Receive, Scope, Send, Server
from portside.testing.memory import CLIENT, MemoryConnection, pair

DATE = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def server_of(application: Application, **settings: Any) -> Server:
    return Server(application, dates=Dates(lambda: 784_111_777.0), **settings)


@dataclass
class Visit:
    """One client's connection. ``handling`` is the server's handler; what it raised is ``error`` in the end."""

    server: Server
    client: MemoryConnection
    connection: MemoryConnection
    handling: asyncio.Task[None]
    error: BaseException | None = None

    async def say(self, *words: bytes) -> None:
        await self.client.write(b"".join(words))

    async def ask(self, *words: bytes, method: str = "GET") -> http.client.HTTPResponse:
        """Say the words and return the response, read by another's hand."""
        await self.say(*words)
        return await self.response(method)

    async def response(self, method: str = "GET") -> http.client.HTTPResponse:
        head = await self.client.read_until(b"\r\n\r\n")
        response = parse(head, method)
        body = b""
        if response.chunked:
            while not body.endswith(b"0\r\n\r\n"):
                body += await self.client.read_until(b"\r\n", 1 << 30)
        elif response.length:
            body = await self.client.read_exactly(response.length)
        elif response.length is None:
            body = await self.rest()
        response = parse(head + body, method)
        response.body = response.read()  # type: ignore[attr-defined]
        return response

    async def rest(self) -> bytes:
        """Return everything until the server's end of stream."""
        return b"".join([data async for data in self.client])

    async def end(self) -> None:
        """Say that no more comes, wait until the handler is over, and keep what it raised."""
        with contextlib.suppress(Exception):
            await self.client.write_eof()
        (self.error,) = await asyncio.gather(self.handling, return_exceptions=True)


def parse(answer: bytes, method: str = "GET") -> http.client.HTTPResponse:
    class Socket:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(answer)

    response = http.client.HTTPResponse(Socket(), method=method)  # type: ignore[arg-type]
    response.begin()
    return response


@contextlib.asynccontextmanager
async def visiting(application: Application | Server, *, peer: Any = CLIENT, **settings: Any) -> AsyncIterator[Visit]:
    """Give a visit to the application; ``settings`` are those of ``Server``. It is ended at the end of the block."""
    server = application if isinstance(application, Server) else server_of(application, **settings)
    connection, client = pair(client=peer)

    async def handle() -> None:
        async with connection:
            await conversations_of(server)(connection)

    visit = Visit(server, client, connection, asyncio.ensure_future(handle()))
    try:
        yield visit
    finally:
        await visit.end()
        await client.close()


@dataclass
class Recorder:
    """An application that does what a test says, and keeps what it was told.

    ``act`` gets scope, receive and send; without one it answers 200 and the request's body.
    """

    act: Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]] | None = None
    scopes: list[Scope] = field(default_factory=list)
    told: list[Message] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)

        async def recording() -> Message:
            message = await receive()
            self.told.append(message)
            return message

        await (self.act or echo)(scope, recording, send)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the request's body."""
    await respond(send, await body_of(receive))


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def respond(send: Send, *pieces: bytes, status: int = 200, fields: Any = (), **more: Any) -> None:
    """Send a response whose body has these pieces."""
    await send({"type": "http.response.start", "status": status, "headers": fields, **more})
    for number, piece in enumerate(pieces or (b"",), 1):
        await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})


def request(method: str = "GET", path: str = "/", *fields: bytes, body: bytes = b"", version: str = "1.1") -> bytes:
    """Return a request; one with a body says its length unless the fields do."""
    lines = [f"{method} {path} HTTP/{version}".encode(), b"Host: a", *fields]
    if body and not any(field.lower().startswith((b"content-length:", b"transfer-encoding:")) for field in fields):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))


async def settle() -> None:
    """Let everybody go on until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)
