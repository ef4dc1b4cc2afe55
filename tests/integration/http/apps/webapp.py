"""The application that real clients visit: it knows a few paths, each for one thing that a server does."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer whatever is asked; the state is what its lifespan made."""
    if scope["type"] == "lifespan":
        await live(scope, receive, send)
    elif scope["type"] == "websocket":
        await talk(receive, send)
    else:
        await PATHS.get(scope["path"], nothing)(scope, receive, send)


async def live(scope: Message, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["began_in"] = os.getpid()
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def talk(receive: Receive, send: Send) -> None:
    """Say back what is said, and leave when told to."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "leave":
            await send({"type": "websocket.close", "code": 4000, "reason": "as told"})
            return
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def pieces_of(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def begin(send: Send, status: int = 200, *fields: tuple[bytes, bytes]) -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *fields]}
    )


async def hello(scope: Message, receive: Receive, send: Send) -> None:
    await begin(send)
    await send({"type": "http.response.body", "body": b"hello"})


async def who(scope: Message, receive: Receive, send: Send) -> None:
    told = {name: scope[name] for name in ("client", "scheme", "server", "http_version", "root_path", "path", "state")}
    await begin(send)
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Send what comes while it comes."""
    await begin(send)
    async for piece in pieces_of(receive):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def count(scope: Message, receive: Receive, send: Send) -> None:
    """Take it all, and say how much it was."""
    size = 0
    async for piece in pieces_of(receive):
        size += len(piece)
    await begin(send)
    await send({"type": "http.response.body", "body": b"%d" % size})


async def refuse(scope: Message, receive: Receive, send: Send) -> None:
    """Answer without having read a byte."""
    await begin(send, 403)
    await send({"type": "http.response.body", "body": b"no"})


async def file(scope: Message, receive: Receive, send: Send) -> None:
    path = os.environ["WEBAPP_FILE"]
    await begin(send, 200, (b"content-length", b"%d" % os.stat(path).st_size))
    await send({"type": "http.response.pathsend", "path": path})


async def nothing(scope: Message, receive: Receive, send: Send) -> None:
    await begin(send, 404)
    await send({"type": "http.response.body", "body": b"nothing"})


PATHS = {
    "/hello": hello,
    "/who": who,
    "/echo": echo,
    "/count": count,
    "/refuse": refuse,
    "/file": file,
}
