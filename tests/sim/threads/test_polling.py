"""``select``, ``poll``, ``epoll`` and ``selectors`` over sockets of a host, in the world's time."""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import socket
import time
from typing import Any

import pytest

from portside.sim import World
from portside.sim.environment.escape import Escape

KINDS = ["DefaultSelector", "EpollSelector", "PollSelector", "SelectSelector"]


async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(5)
    await asyncio.sleep(3)
    writer.write(b"hello")
    await asyncio.sleep(2)
    writer.close()


def against(program: Any, handler: Any = answer_late) -> Any:
    """Run a blocking program on alice, who has a server on bob, port 7."""

    async def serve() -> None:
        await (await asyncio.start_server(handler, port=7)).serve_forever()

    async def main(world: World) -> Any:
        world["bob"].spawn(serve())
        await asyncio.sleep(1)
        return await world["alice"].run_blocking(program)

    with World(seed=1) as world:
        world.link(world.host("alice"), world.host("bob"), delay="10ms")
        return world.play(main(world))


@pytest.mark.parametrize("kind", KINDS)
def test_a_selector_tells_what_is_ready_when_it_is(kind: str) -> None:
    def program() -> list[Any]:
        said: list[Any] = []
        with getattr(selectors, kind)() as selector, socket.create_connection(("bob", 7)) as sock:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, "data")
            ((key, events),) = selector.select()
            said.append((key.data, events == selectors.EVENT_WRITE))
            sock.send(b"hello")
            selector.modify(sock, selectors.EVENT_READ)
            began_s = time.monotonic()
            said.extend([selector.select(1), selector.select(0), round(time.monotonic() - began_s, 3)])
            ((key, events),) = selector.select(60)
            said.append((events, sock.recv(100), round(time.monotonic() - began_s, 1)))
            ((key, events),) = selector.select()
            said.append((events, sock.recv(100), round(time.monotonic() - began_s, 1)))
            selector.unregister(sock)
        return said

    read = selectors.EVENT_READ
    assert against(program) == [("data", True), [], [], 1.0, (read, b"hello", 3.0), (read, b"", 5.0)]


def test_select_takes_sockets_and_numbers() -> None:
    def program() -> None:
        with socket.create_connection(("bob", 7)) as sock:
            assert select.select([sock], [sock.fileno()], [], 5) == ([], [sock.fileno()], [])
            sock.sendall(b"hello")
            assert select.select([sock], [], [], 1) == ([], [], [])
            assert select.select([sock], [], []) == ([sock], [], [])
            with pytest.raises(ValueError, match="non-negative"):
                select.select([sock], [], [], -1)
        with pytest.raises(ValueError, match="negative"):
            select.select([sock], [], [], 0)

    against(program)


def test_a_server_of_one_thread_serves_many_by_a_selector() -> None:
    """The loop of every textbook: Stevens, "UNIX Network Programming" I, section 6.8."""

    def serve() -> None:
        listener = socket.create_server(("", 9))
        listener.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is listener:
                        sock, _ = listener.accept()
                        sock.setblocking(False)
                        selector.register(sock, selectors.EVENT_READ)
                    elif data := key.fileobj.recv(4_096):  # type: ignore[union-attr]
                        key.fileobj.sendall(data)  # type: ignore[union-attr]
                    else:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]

    async def visit(number: int) -> bytes:
        reader, writer = await asyncio.open_connection("bob", 9)
        got = b""
        for _ in range(5):
            writer.write(b"%d" % number)
            got += await reader.readexactly(1)
            await asyncio.sleep(1)
        writer.close()
        return got

    async def main(world: World) -> Any:
        serving = world["bob"].run_blocking(serve)
        await asyncio.sleep(1)
        got = await asyncio.gather(*(world["alice"].spawn(visit(number)) for number in range(5)))
        serving.cancel()
        return got

    with World(seed=1) as world:
        world.link(world.host("alice"), world.host("bob"), delay="10ms", loss="5%")
        assert world.play(main(world)) == [b"%d" % number * 5 for number in range(5)]


def test_epoll_says_what_is_registered_twice_or_not_at_all() -> None:
    def program() -> None:
        with select.epoll() as epoll, socket.create_connection(("bob", 7)) as sock:
            epoll.register(sock, select.EPOLLOUT)
            with pytest.raises(FileExistsError):
                epoll.register(sock)
            assert epoll.poll(1, 5) == [(sock.fileno(), select.EPOLLOUT)]
            epoll.unregister(sock)
            for refused in (epoll.unregister, lambda one: epoll.modify(one, 0)):
                with pytest.raises(FileNotFoundError):
                    refused(sock)

    against(program)


def test_what_is_no_socket_of_the_host_is_refused() -> None:
    def program() -> None:
        read_fd, write_fd = os.pipe()
        try:
            with pytest.raises(Escape, match="only sockets of the host"):
                select.poll().register(read_fd)
            with socket.socket() as sock, pytest.raises(Escape, match="only sockets of the host"):
                select.select([read_fd, sock], [], [], 1)
        finally:
            os.close(read_fd)
            os.close(write_fd)

    against(program)


def test_on_a_loop_one_may_look_and_not_wait() -> None:
    async def program() -> None:
        _, writer = await asyncio.open_connection("bob", 7)
        sock = writer.get_extra_info("socket")
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        assert poll.poll(0) == []
        with pytest.raises(Escape, match="waiting for sockets on the loop"):
            poll.poll(1_000)
        writer.write(b"hello")
        await asyncio.sleep(4)
        writer.close()

    async def serve() -> None:
        await (await asyncio.start_server(answer_late, port=7)).serve_forever()

    async def main(world: World) -> None:
        world["bob"].spawn(serve())
        await asyncio.sleep(1)
        await world["alice"].spawn(program())

    with World(seed=1) as world:
        world.link(world.host("alice"), world.host("bob"), delay="10ms")
        world.play(main(world))


def test_outside_of_worlds_they_are_what_they_were() -> None:
    read_fd, write_fd = os.pipe()
    try:
        os.write(write_fd, b"x")
        assert select.select([read_fd], [], [], 1) == ([read_fd], [], [])
        with selectors.DefaultSelector() as selector:
            selector.register(read_fd, selectors.EVENT_READ)
            assert len(selector.select(1)) == 1
    finally:
        os.close(read_fd)
        os.close(write_fd)
