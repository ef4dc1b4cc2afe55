"""An application of Starlette's, as people write them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from plain import tell
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

HERE = Path(__file__).parent


@contextlib.asynccontextmanager
async def lifespan(application: Starlette) -> AsyncIterator[dict[str, str]]:
    yield {"greeting": "hello from lifespan"}
    tell("lifespan is over")


async def home(request: Request) -> Response:
    return PlainTextResponse(request.state.greeting)


async def form(request: Request) -> Response:
    return JSONResponse({"length": len(await request.body()), "query": dict(request.query_params)})


async def count(request: Request) -> Response:
    length = 0
    async for piece in request.stream():
        length += len(piece)
    return JSONResponse({"length": length})


async def ticks(request: Request) -> Response:
    async def tick() -> AsyncIterator[bytes]:
        try:
            number = 0
            while True:
                yield b"%d\n" % number
                number += 1
                await asyncio.sleep(0.01)
        finally:
            tell("the stream has ended")

    return StreamingResponse(tick())


async def quiet(request: Request) -> Response:
    async def wait() -> AsyncIterator[bytes]:
        yield b"one\n"
        try:
            await asyncio.Event().wait()
        finally:
            tell("the quiet stream has ended")

    return StreamingResponse(wait())


async def later(request: Request) -> Response:
    async def work() -> None:
        await asyncio.sleep(0.5)
        tell("the work is done")

    return PlainTextResponse("accepted", background=BackgroundTask(work))


async def file(request: Request) -> Response:
    return FileResponse(request.query_params["path"])


async def stop_reading(request: Request) -> Response:
    await request.body()
    return PlainTextResponse("never")


class Stamp(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-stamp"] = "stamped"
        return response


async def chat(socket: WebSocket) -> None:
    await socket.accept(subprotocol=next(iter(socket.scope["subprotocols"]), None))
    async for text in socket.iter_text():
        await socket.send_text(text.upper())


async def stubborn(socket: WebSocket) -> None:
    await socket.accept()
    await socket.receive_text()  # raises WebSocketDisconnect when the client leaves, and nobody catches it


app = Starlette(
    routes=[
        Route("/", home),
        Route("/form", form, methods=["POST"]),
        Route("/count", count, methods=["PUT"]),
        Route("/ticks", ticks),
        Route("/quiet", quiet),
        Route("/later", later),
        Route("/file", file),
        Route("/stop", stop_reading, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE)),
        WebSocketRoute("/chat", chat),
        WebSocketRoute("/stubborn", stubborn),
    ],
    lifespan=lifespan,
    middleware=[Middleware(Stamp), Middleware(GZipMiddleware, minimum_size=500)],
)
plain_app = Starlette(routes=app.routes, lifespan=lifespan)
