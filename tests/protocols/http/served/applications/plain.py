"""Applications in plain ASGI, for real servers; what they tell of themselves goes to stderr."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


async def respond(send: Any, body: bytes, *fields: tuple[bytes, bytes], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(fields)})
    await send({"type": "http.response.body", "body": body})


async def body_of(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["greeting"] = "hello"
    tell("startup")
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    tell("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    if scope["type"] == "websocket":
        await talk(scope, receive, send)
        return
    match scope["path"].removeprefix(scope["root_path"]):
        case "/echo":
            await respond(send, await body_of(receive))
        case "/scope":
            told = {key: str(value) for key, value in scope.items()}
            told |= {key: scope[key] for key in ("client", "server", "root_path", "path", "state")}
            await respond(send, json.dumps(told).encode())
        case "/fail":
            raise LookupError("no such thing")
        case "/wait":
            tell("waiting")
            while (await receive())["type"] != "http.disconnect":
                pass
            tell("the client has left")
        case "/slow":
            tell("slow begins")
            await asyncio.sleep(0.3)
            await respond(send, b"slow but sure")
        case path:
            await respond(send, path.encode())


async def talk(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    tell(f"closed with {message['code']}")


async def fails_to_start(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database is away"})


def make() -> Any:
    return app


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


class Version2:
    def __init__(self, scope: Any) -> None:
        """As ASGI once was."""


not_callable = 7
