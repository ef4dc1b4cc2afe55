"""Libraries that know nothing of the simulation: as they are, as server and client, over a good line and a bad one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.two_hosts import PORT, SERVER, Pair, check, client_tls, server_tls

DATA = bytes(range(256)) * 400  # 100 KiB


# ── asyncio's own streams ────────────────────────────────────────────────────────────────────────────────────────────


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


def streams(tls: bool = False) -> Pair:
    async def serve() -> None:
        server = await asyncio.start_server(echo, port=PORT, ssl=server_tls() if tls else None)
        await server.serve_forever()

    async def visit() -> bytes:
        reader, writer = await asyncio.open_connection(SERVER, PORT, ssl=client_tls() if tls else None)
        async with asyncio.TaskGroup() as group:
            got = group.create_task(reader.readexactly(len(DATA)))
            writer.write(DATA)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        return got.result()

    return Pair(serve, visit, DATA)


def streams_upgraded() -> Pair:
    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"ready\n")
        await writer.drain()
        await writer.start_tls(server_tls())
        writer.write(await reader.readline())
        writer.close()

    async def serve() -> None:
        await (await asyncio.start_server(upgrade, port=PORT)).serve_forever()

    async def visit() -> bytes:
        reader, writer = await asyncio.open_connection(SERVER, PORT)
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"ready\n"
        await writer.start_tls(client_tls(), server_hostname=SERVER)
        writer.write(b"secret\n")
        line = await reader.readline()
        writer.close()
        return line

    return Pair(serve, visit, b"secret\n")


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def mirror(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the request's body: an ASGI application."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/x")]})
    await send({"type": "http.response.body", "body": body})


async def serve_uvicorn() -> None:
    import uvicorn

    config = uvicorn.Config(mirror, host="0.0.0.0", port=PORT, loop="none", lifespan="off", log_level="warning")
    await uvicorn.Server(config).serve()


async def serve_hypercorn() -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"0.0.0.0:{PORT}"]
    await serve(mirror, config, shutdown_trigger=asyncio.Event().wait)  # type: ignore[arg-type]


async def visit_httpx() -> list[bytes]:
    import httpx

    async with httpx.AsyncClient(base_url=f"http://{SERVER}:{PORT}", timeout=60) as client:
        answers = await asyncio.gather(*(client.post("/", content=DATA + bytes([n])) for n in range(5)))
        last = await client.post("/", content=b"again")
    return [answer.content for answer in (*answers, last)]


BODIES = [*(DATA + bytes([n]) for n in range(5)), b"again"]


def aiohttp_both() -> Pair:
    async def serve() -> None:
        from aiohttp import web

        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=await request.read())

        application = web.Application()
        application.router.add_post("/", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", PORT).start()
        await asyncio.Event().wait()

    async def visit() -> list[bytes]:
        import aiohttp

        async with aiohttp.ClientSession(f"http://{SERVER}:{PORT}") as session:
            got = []
            for body in BODIES:
                async with session.post("/", data=body) as answer:
                    got.append(await answer.read())
        return got

    return Pair(serve, visit, BODIES)


def websockets_both() -> Pair:
    async def serve() -> None:
        from websockets.asyncio.server import serve

        async def talk(socket: Any) -> None:
            async for message in socket:
                await socket.send(message)

        async with serve(talk, "0.0.0.0", PORT) as server:
            await server.serve_forever()

    async def visit() -> list[Any]:
        from websockets.asyncio.client import connect

        async with connect(f"ws://{SERVER}:{PORT}") as socket:
            await socket.ping()
            await socket.send("text")
            await socket.send(DATA)
            return [await socket.recv(), await socket.recv()]

    return Pair(serve, visit, ["text", DATA])


def anyio_both() -> Pair:
    async def serve() -> None:
        import anyio

        async def handle(stream: Any) -> None:
            async with stream:
                async for data in stream:
                    await stream.send(data)

        listener = await anyio.create_tcp_listener(local_host="0.0.0.0", local_port=PORT)
        await listener.serve(handle)

    async def visit() -> bytes:
        import anyio

        got = b""
        async with await anyio.connect_tcp(SERVER, PORT) as stream, anyio.create_task_group() as group:
            group.start_soon(stream.send, DATA)
            with anyio.fail_after(300):
                while len(got) < len(DATA):
                    got += await stream.receive()
        return got

    return Pair(serve, visit, DATA)


PAIRS = {
    "streams": streams(),
    "streams-tls": streams(tls=True),
    "streams-start_tls": streams_upgraded(),
    "httpx-uvicorn": Pair(serve_uvicorn, visit_httpx, BODIES),
    "httpx-hypercorn": Pair(serve_hypercorn, visit_httpx, BODIES),
    "aiohttp": aiohttp_both(),
    "websockets": websockets_both(),
    "anyio": anyio_both(),
}


@pytest.mark.parametrize("loss", ["0%", "2%"])
@pytest.mark.parametrize("name", PAIRS)
def test_it_runs_unmodified_and_the_same_again(name: str, loss: str) -> None:
    check(PAIRS[name], loss)
