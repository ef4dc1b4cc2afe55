"""What transports and servers promise to protocols: the order of calls, flow control, and how things end."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import pytest

from support.two_loops import HERE, on_both_loops


class Recorder(asyncio.Protocol):
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.transport: Any = None
        self.made = asyncio.Event()
        self.ended = asyncio.Event()
        self.lost = asyncio.Event()
        self.data = b""
        self.keeps_open = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.calls.append("made")
        self.made.set()

    def data_received(self, data: bytes) -> None:
        if not self.data:
            self.calls.append("data")
        self.data += data

    def eof_received(self) -> bool:
        self.calls.append("eof")
        self.ended.set()
        return self.keeps_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(("lost", type(exc)))
        self.lost.set()

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


async def met(make: Any = Recorder) -> tuple[Any, Any, asyncio.AbstractServer]:
    """Return the protocols of both ends of a connection, the server's first, and the server."""
    loop = asyncio.get_running_loop()
    made: list[Any] = []

    def factory() -> Any:
        made.append(make())
        return made[-1]

    server = await loop.create_server(factory, HERE, 0)
    _, client = await loop.create_connection(Recorder, *server.sockets[0].getsockname()[:2])
    await asyncio.sleep(0.01)
    await made[0].made.wait()
    return made[0], client, server


@on_both_loops
async def test_a_protocol_is_called_in_order() -> None:
    there, here, server = await met()
    here.transport.writelines([b"one ", bytearray(b"two "), memoryview(b"three")])
    assert here.transport.can_write_eof()
    here.transport.write_eof()
    await there.lost.wait()
    assert there.calls == ["made", "data", "eof", ("lost", type(None))]
    assert there.data == b"one two three"
    await here.lost.wait()
    assert here.calls == ["made", "eof", ("lost", type(None))]
    server.close()
    await server.wait_closed()


@on_both_loops
async def test_one_side_may_go_on_after_the_other_has_ended() -> None:
    there, here, server = await met()
    there.keeps_open = True
    here.transport.write_eof()
    await there.ended.wait()
    there.transport.write(b"and yet")
    there.transport.close()
    await here.lost.wait()
    assert here.data == b"and yet"
    _, half, second = await met()
    half.transport.write_eof()
    with pytest.raises(RuntimeError, match="write_eof"):
        half.transport.write(b"x")
    half.transport.abort()
    await half.lost.wait()
    for one in (server, second):
        one.close()


@on_both_loops
async def test_writing_pauses_above_the_high_mark_and_resumes_below_the_low_one() -> None:
    there, here, server = await met()
    there.transport.pause_reading()
    assert not there.transport.is_reading()
    here.transport.set_write_buffer_limits(high=200_000, low=50_000)
    assert here.transport.get_write_buffer_limits() == (50_000, 200_000)
    total = 30_000_000  # more than what any kernel takes
    here.transport.write(bytes(total))
    assert here.calls == ["made", "pause"]
    assert here.transport.get_write_buffer_size() > 200_000
    there.transport.resume_reading()
    assert there.transport.is_reading()
    here.transport.write_eof()
    await there.ended.wait()
    assert len(there.data) == total
    assert here.calls[:3] == ["made", "pause", "resume"]
    assert here.transport.get_write_buffer_size() == 0
    with pytest.raises(ValueError, match="must be"):
        here.transport.set_write_buffer_limits(high=1, low=2)
    here.transport.abort()
    server.close()


@on_both_loops
async def test_what_is_written_before_the_close_arrives_and_an_abort_throws_it_away() -> None:
    there, here, server = await met()
    here.transport.write(bytes(3_000_000))
    here.transport.close()
    assert here.transport.is_closing()
    await there.lost.wait()
    assert len(there.data) == 3_000_000
    there, here, second = await met()
    there.transport.pause_reading()
    here.transport.write(bytes(30_000_000))
    here.transport.abort()
    await here.lost.wait()
    assert here.calls[-1] == ("lost", type(None))
    there.transport.resume_reading()
    await there.lost.wait()
    assert len(there.data) < 30_000_000
    for one in (server, second):
        one.close()


@on_both_loops
async def test_a_reset_is_told() -> None:
    there, here, server = await met()
    sock = here.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    here.transport.abort()
    await there.lost.wait()
    assert there.calls[-1] == ("lost", ConnectionResetError)
    server.close()


@on_both_loops
async def test_a_buffered_protocol_is_given_what_fits_its_buffer() -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.transport: Any = None
            self.made = asyncio.Event()
            self.buffer = bytearray(7)
            self.data = b""
            self.ended = asyncio.Event()

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.made.set()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            assert 0 < nbytes <= 7
            self.data += self.buffer[:nbytes]

        def eof_received(self) -> None:
            self.ended.set()

    there, here, server = await met(Buffered)
    here.transport.write(bytes(range(100)))
    here.transport.write_eof()
    await there.ended.wait()
    assert there.data == bytes(range(100))
    server.close()


@on_both_loops
async def test_both_ends_know_their_names() -> None:
    there, here, server = await met()
    for one, other in ((there, here), (here, there)):
        assert one.transport.get_extra_info("sockname") == other.transport.get_extra_info("peername")
        assert one.transport.get_extra_info("socket").getsockname() == one.transport.get_extra_info("sockname")
        assert one.transport.get_extra_info("nothing", 7) == 7
    assert there.transport.get_protocol() is there
    here.transport.abort()
    server.close()


@on_both_loops
async def test_a_server_serves_from_its_start_to_its_close() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Recorder, HERE, 0, start_serving=False)
    address = server.sockets[0].getsockname()
    assert not server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(Recorder, *address)
    await server.start_serving()
    assert server.is_serving()
    _, client = await loop.create_connection(Recorder, *address)
    server.close()
    assert not server.is_serving()
    assert server.sockets == ()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(Recorder, *address)
    client.transport.close()
    await client.lost.wait()


@on_both_loops
async def test_serving_for_ever_ends_when_it_is_cancelled() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Recorder, HERE, 0, reuse_address=True, backlog=3)
    serving = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not server.is_serving()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="servers have it since 3.13")
@on_both_loops
async def test_a_server_closes_its_clients() -> None:
    _, here, server = await met()
    server.close()
    server.close_clients()  # type: ignore[attr-defined]
    await here.lost.wait()
    _, here, server = await met()
    server.close()
    server.abort_clients()  # type: ignore[attr-defined]
    await here.lost.wait()


@on_both_loops
async def test_a_client_may_choose_its_address_and_is_told_all_that_failed() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Recorder, HERE, 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_connection(Recorder, HERE, port, local_addr=(HERE, 0))
    transport.abort()
    transport, _ = await loop.create_connection(
        Recorder, "localhost", port, family=socket.AF_INET, happy_eyeballs_delay=0.25
    )
    transport.abort()
    with pytest.raises(OSError, match="while attempting to bind"):
        await loop.create_connection(Recorder, HERE, port, local_addr=("192.0.2.1", 0))
    with socket.socket() as sock, pytest.raises(ValueError, match="host/port and sock"):
        await loop.create_connection(Recorder, HERE, port, sock=sock)
    with pytest.raises(ValueError, match="no sock specified"):
        await loop.create_connection(Recorder)
    server.close()


@on_both_loops
async def test_datagrams_have_a_peer_or_name_it_and_hear_that_nobody_is_there() -> None:
    loop = asyncio.get_running_loop()

    class Datagrams(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.got: asyncio.Queue[Any] = asyncio.Queue()
            self.lost = asyncio.Event()

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.got.put_nowait((data, addr))

        def error_received(self, exc: Exception) -> None:
            self.got.put_nowait(type(exc))

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set()

    server, there = await loop.create_datagram_endpoint(Datagrams, local_addr=(HERE, 0))
    address = server.get_extra_info("sockname")
    client, here = await loop.create_datagram_endpoint(Datagrams, remote_addr=address)
    client.sendto(b"hello")
    data, came_from = await there.got.get()
    assert data == b"hello"
    assert came_from == client.get_extra_info("sockname")
    server.sendto(b"back", came_from)
    assert await here.got.get() == (b"back", address)
    with pytest.raises(ValueError, match="Invalid address"):
        client.sendto(b"x", (HERE, 1))
    server.close()
    await there.lost.wait()
    client.sendto(b"anybody?")
    assert await here.got.get() is ConnectionRefusedError
    client.abort()
    await here.lost.wait()
