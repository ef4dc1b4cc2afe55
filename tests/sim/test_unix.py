"""Unix sockets of a host: streams by paths that no file system knows, which another host does not have."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from portside.sim import World

PATH = "/run/echo"
Program = Coroutine[Any, Any, Any]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(handler: Any = echo) -> None:
    async with await asyncio.start_unix_server(handler, PATH) as server:
        await server.serve_forever()


def play(program: Callable[[World], Program]) -> Any:
    with World(seed=1) as world:
        world.link(world.host("alice"), world.host("bob"), delay="1ms")
        return world.play(program(world))


def on_alice(visit: Callable[[], Program], handler: Any = echo) -> Any:
    async def main(world: World) -> Any:
        world["alice"].spawn(serve(handler))
        await asyncio.sleep(1)
        return await world["alice"].spawn(visit())

    return play(main)


def test_a_stream_goes_both_ways_and_ends_each_for_itself() -> None:
    data = os.urandom(3_000_000)

    async def visit() -> bytes:
        reader, writer = await asyncio.open_unix_connection(PATH)
        assert (writer.get_extra_info("sockname"), writer.get_extra_info("peername")) == ("", PATH)
        answer = asyncio.create_task(reader.read())
        writer.write(data)
        await writer.drain()
        writer.write_eof()
        got = await answer
        writer.close()
        await writer.wait_closed()
        return got

    assert on_alice(visit) == data


def test_the_server_knows_its_path_and_no_name_of_the_client() -> None:
    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        names = writer.get_extra_info("sockname"), writer.get_extra_info("peername"), sock.family, sock.getsockname()
        writer.write(repr(names).encode())
        writer.close()

    async def visit() -> bytes:
        reader, writer = await asyncio.open_unix_connection(PATH)
        told = await reader.read()
        writer.close()
        return told

    assert on_alice(visit, tell).decode() == repr((PATH, "", socket.AF_UNIX, PATH))


def test_who_does_not_read_is_not_written_to_without_end() -> None:
    async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await asyncio.sleep(3_600)

    async def visit() -> int:
        _, writer = await asyncio.open_unix_connection(PATH)
        sent = 0

        async def send() -> None:
            nonlocal sent
            while True:
                writer.write(bytes(50_000))
                await writer.drain()
                sent += 50_000

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send(), 60)
        writer.transport.abort()
        return sent

    assert 200_000 < on_alice(visit, idle) < 500_000  # what the kernel of the host holds, and asyncio's own buffer


def test_the_path_is_the_hosts_own_and_gone_after_a_crash() -> None:
    async def visit() -> None:
        _, writer = await asyncio.open_unix_connection(PATH)
        writer.close()

    async def miss() -> None:
        with pytest.raises(FileNotFoundError):
            await visit()

    async def main(world: World) -> None:
        alice = world["alice"]
        await alice.spawn(miss())
        alice.spawn(serve())
        await asyncio.sleep(1)
        await alice.spawn(visit())
        await world["bob"].spawn(miss())
        alice.crash()
        alice.restart()
        await alice.spawn(miss())

    play(main)
    assert not os.path.exists(PATH)


def test_a_path_can_be_listened_at_once() -> None:
    async def visit() -> None:
        with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
            await asyncio.start_unix_server(echo, PATH)

    on_alice(visit)


def test_closing_with_something_unread_is_a_reset() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await asyncio.sleep(1)
        writer.transport.abort()

    async def visit() -> None:
        reader, writer = await asyncio.open_unix_connection(PATH)
        writer.write(b"hello")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    on_alice(visit, rude)


def test_blocking_sockets_talk_with_it() -> None:
    def visit() -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(PATH)
            assert sock.getpeername() == PATH
            sock.sendall(b"x" * 100_000)
            sock.shutdown(socket.SHUT_WR)
            got = b""
            while data := sock.recv(65_536):
                got += data
            return got

    async def main(world: World) -> bytes:
        world["alice"].spawn(serve())
        await asyncio.sleep(1)
        return await world["alice"].run_blocking(visit)

    assert play(main) == b"x" * 100_000


def test_a_blocking_socket_waits_for_room_no_longer_than_it_may() -> None:
    async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await asyncio.sleep(3_600)

    def visit() -> float:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(PATH)
            began_s = time.monotonic()
            with pytest.raises(TimeoutError):
                sock.sendall(bytes(1_000_000))
            return time.monotonic() - began_s

    async def main(world: World) -> float:
        world["alice"].spawn(serve(idle))
        await asyncio.sleep(1)
        return await world["alice"].run_blocking(visit)

    assert play(main) == 5.0


def test_a_socket_that_is_bound_can_be_given_to_the_server() -> None:
    async def main(world: World) -> bytes:
        async def serve_at() -> None:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(PATH)
            await (await asyncio.start_unix_server(echo, sock=sock)).serve_forever()

        async def visit() -> bytes:
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, PATH)
            reader, writer = await asyncio.open_unix_connection(sock=sock)
            writer.write(b"hello")
            got = await reader.readexactly(5)
            writer.close()
            return got

        world["alice"].spawn(serve_at())
        await asyncio.sleep(1)
        return await world["alice"].spawn(visit())

    assert play(main) == b"hello"


def test_a_pair_is_joined_without_a_path() -> None:
    async def main(world: World) -> bytes:
        async def both() -> bytes:
            one, other = socket.socketpair()
            for sock in (one, other):
                sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(one, b"hello")
            got = await loop.sock_recv(other, 100)
            one.close()
            assert await loop.sock_recv(other, 100) == b""
            return got

        return await world["alice"].spawn(both())

    assert play(main) == b"hello"
