"""Portside itself on the simulated internet: its connections over a simulated loop, and its batteries."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from portside.cli.simulate import serve_battery
from portside.net.transport_network import TransportNetwork
from support.two_hosts import PORT, SERVER, Pair, check

DATA = bytes(range(256)) * 400
LOSSES = pytest.mark.parametrize("loss", ["0%", "2%"])


def serve(name: str, **arguments: object) -> Any:
    """Serve a battery as scenarios do."""
    return serve_battery(name, PORT, arguments)


@LOSSES
def test_connections_read_write_and_end(loss: str) -> None:
    async def visit() -> tuple[bytes, bytes]:
        async with TransportNetwork() as network:
            connection = await network.connect(f"tcp://{SERVER}:{PORT}")
            async with connection:
                sending = asyncio.ensure_future(connection.write(DATA))
                first = await connection.read_exactly(1_000)
                await sending
                await connection.write_eof()
                rest = b""
                while data := await connection.read():
                    rest += data
        return first, rest

    check(Pair(lambda: serve("echo"), visit, (DATA[:1_000], DATA[1_000:])), loss)


@LOSSES
def test_files_by_http(loss: str, tmp_path: Path) -> None:
    (tmp_path / "page.bin").write_bytes(DATA)

    async def visit() -> list[Any]:
        import httpx

        async with httpx.AsyncClient(base_url=f"http://{SERVER}:{PORT}", timeout=60) as client:
            whole = await client.get("/page.bin")
            part = await client.get("/page.bin", headers={"Range": "bytes=100-199"})
            missing = await client.get("/nothing")
        return [whole.content, part.status_code, part.content, missing.status_code]

    expected = [DATA, 206, DATA[100:200], 404]
    check(Pair(lambda: serve("http", root=str(tmp_path)), visit, expected), loss)


@LOSSES
def test_files_by_ftp(loss: str, tmp_path: Path) -> None:
    async def visit() -> tuple[bytes, list[str]]:
        import aioftp

        async with aioftp.Client.context(SERVER, PORT, "anna", "secret") as client:
            async with client.upload_stream("file") as stream:
                await stream.write(DATA)
            async with client.download_stream("file") as stream:
                got = await stream.read()
            names = [path.name async for path, _ in client.list()]
            await client.remove("file")
        return got, names

    pair = Pair(lambda: serve("ftp", root=str(tmp_path), login=("anna:secret",)), visit, (DATA, ["file"]))
    check(pair, loss)
