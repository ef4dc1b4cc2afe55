"""What a loop does with socket objects: ``sock_…``, readers and writers, and sockets that are handed over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from typing import Any

import pytest

from support.two_loops import HERE, on_both_loops


def listening() -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HERE, 0))
    sock.listen(5)
    sock.setblocking(False)
    return sock


async def joined() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a TCP connection."""
    loop = asyncio.get_running_loop()
    with listening() as listener:
        near = socket.socket()
        near.setblocking(False)
        connecting = asyncio.create_task(loop.sock_connect(near, listener.getsockname()))
        far, address = await loop.sock_accept(listener)
        await connecting
    assert address == near.getsockname()
    assert far.getpeername() == address
    assert not far.getblocking()
    return near, far


@on_both_loops
async def test_bytes_go_through_socket_objects() -> None:
    loop = asyncio.get_running_loop()
    near, far = await joined()
    with near, far:
        data = bytes(range(256)) * 8_000
        sending = asyncio.create_task(loop.sock_sendall(near, data))
        got = bytearray()
        buffer = bytearray(100_000)
        while len(got) < len(data):
            count = await loop.sock_recv_into(far, buffer)
            got += buffer[:count]
        await sending
        assert got == data
        near.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(far, 100) == b""
        await loop.sock_sendall(far, b"still")
        assert await loop.sock_recv(near, 3) == b"sti"
        assert await loop.sock_recv(near, 100) == b"ll"


@on_both_loops
async def test_datagrams_go_through_socket_objects() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        for sock in (one, other):
            sock.setblocking(False)
            sock.bind((HERE, 0))
        assert await loop.sock_sendto(one, b"hello", other.getsockname()) == 5
        assert await loop.sock_recvfrom(other, 100) == (b"hello", one.getsockname())
        await loop.sock_sendto(other, b"back", one.getsockname())
        buffer = bytearray(10)
        assert await loop.sock_recvfrom_into(one, buffer) == (4, other.getsockname())
        assert buffer[:4] == b"back"


@on_both_loops
async def test_a_socket_that_blocks_is_refused() -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)  # asyncio looks only then
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="non-blocking"):
            await loop.sock_recv(sock, 1)
        with pytest.raises(ValueError, match="non-blocking"):
            await loop.sock_accept(sock)


@on_both_loops
async def test_nobody_who_listens_refuses() -> None:
    loop = asyncio.get_running_loop()
    with listening() as gone:
        address = gone.getsockname()
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(ConnectionRefusedError):
            await loop.sock_connect(sock, address)


@on_both_loops
async def test_readers_are_called_as_long_as_there_is_something_and_then_removed() -> None:
    loop = asyncio.get_running_loop()
    near, far = await joined()
    with near, far:
        called: list[str] = []
        enough = asyncio.Event()

        def look(word: str) -> None:
            called.append(word)
            if len(called) == 3:
                loop.remove_reader(far)
                enough.set()

        loop.add_reader(far, look, "readable")
        await asyncio.sleep(0)
        assert called == []
        near.send(b"hello")
        await enough.wait()
        assert called == ["readable"] * 3  # nothing was read: it is ready still
        assert not loop.remove_reader(far)
        assert far.recv(100) == b"hello"


@on_both_loops
async def test_writers_are_called_when_there_is_room_again() -> None:
    loop = asyncio.get_running_loop()
    near, far = await joined()
    with near, far:
        await fill(near)
        writable = asyncio.Event()
        loop.add_writer(near, writable.set)
        await asyncio.sleep(0.05)
        assert not writable.is_set()
        draining = asyncio.create_task(drain(far))
        await writable.wait()
        draining.cancel()
        assert loop.remove_writer(near)
        assert not loop.remove_writer(near)
        assert near.send(b"x") == 1


async def drain(sock: socket.socket) -> None:
    while True:
        await asyncio.get_running_loop().sock_recv(sock, 1 << 20)


async def fill(sock: socket.socket) -> None:
    """Send until nothing more is taken, however long one waits."""
    sent = 1
    while sent:
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += sock.send(bytes(100_000))
        await asyncio.sleep(0.05)


@on_both_loops
async def test_a_writer_that_has_nothing_to_write_does_not_stop_the_time() -> None:
    loop = asyncio.get_running_loop()
    near, far = await joined()
    with near, far:
        calls = [0]

        def idle() -> None:
            calls[0] += 1

        loop.add_writer(near, idle)
        await asyncio.sleep(0.01)
        loop.remove_writer(near)
        assert calls[0] > 10


@on_both_loops
async def test_a_socket_that_was_accepted_becomes_a_transport() -> None:
    loop = asyncio.get_running_loop()
    with listening() as listener:
        client = asyncio.create_task(asyncio.open_connection(*listener.getsockname()))
        sock, _ = await loop.sock_accept(listener)
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_accepted_socket(lambda: asyncio.StreamReaderProtocol(reader), sock)
    _, writer = await client
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    assert transport.get_extra_info("peername") == writer.get_extra_info("sockname")
    writer.close()
    assert await reader.read() == b""
    transport.close()


@on_both_loops
async def test_a_connected_socket_becomes_a_stream_and_a_bound_one_a_server() -> None:
    loop = asyncio.get_running_loop()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    bound = socket.socket()
    bound.bind((HERE, 0))
    async with await asyncio.start_server(echo, sock=bound) as server:
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockets[0].getsockname())
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"hello")
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()


@on_both_loops
async def test_files_are_sent_by_transports_and_by_sockets() -> None:
    loop = asyncio.get_running_loop()
    near, far = await joined()
    reader, writer = await asyncio.open_connection(sock=far)
    with tempfile.TemporaryFile() as file, near:
        data = bytes(range(256)) * 4_000
        file.write(data)
        file.flush()
        receiving = asyncio.create_task(received(near, len(data) - 100))
        assert await loop.sendfile(writer.transport, file, 100) == len(data) - 100
        assert file.tell() == len(data)
        assert await receiving == data[100:]
        receiving = asyncio.create_task(received(near, 500))
        assert await loop.sendfile(writer.transport, file, 10, 500) == 500
        assert await receiving == data[10:510]
        assert await loop.sock_sendfile(near, file, 20, 300) == 300
        assert await reader.readexactly(300) == data[20:320]
        assert file.tell() == 320
        writer.close()
        with pytest.raises(RuntimeError, match="closing"):
            await loop.sendfile(writer.transport, file)


async def received(sock: socket.socket, count: int) -> bytes:
    loop, got = asyncio.get_running_loop(), b""
    while len(got) < count:
        got += await loop.sock_recv(sock, 1 << 16)
    return got


@on_both_loops
async def test_what_is_set_about_a_socket_can_be_asked() -> None:
    near, far = await joined()
    with near, far:
        assert (near.family, near.type) == (socket.AF_INET, socket.SOCK_STREAM)
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert near.fileno() >= 0
        assert near.fileno() != far.fileno()
    assert near.fileno() == -1


@on_both_loops
async def test_names_are_looked_up_both_ways() -> None:
    loop = asyncio.get_running_loop()
    found: Any = await loop.getaddrinfo(HERE, 80, type=socket.SOCK_STREAM)
    assert found == [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (HERE, 80))]
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert await loop.getnameinfo((HERE, 80), numeric) == (HERE, "80")
    local: Any = await loop.getaddrinfo("localhost", None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    assert local[0][4] == (HERE, 0)
    with pytest.raises(socket.gaierror):
        await loop.getaddrinfo("no-such-host.invalid", 80, flags=socket.AI_NUMERICHOST)
