"""A protocol of two connections: each conversation has another beside it that carries what it is about."""

from __future__ import annotations

from portside import Battery, Connection, ConnectionEnded
from portside.address import InternetAddress
from portside.serve import running

DATA_IDLE_S = 1.0


async def courier(visitor: Connection) -> None:
    """Tell a port, and count what comes there while lines are answered here."""
    async with await visitor.network.listen("tcp://127.0.0.1:0") as listener:
        assert isinstance(listener.address, InternetAddress)
        await visitor.write(f"{listener.address.port}\n".encode())
        data = await listener.accept(timeout_s=10.0)
    async with data:
        with visitor.accompany(data, idle_s=DATA_IDLE_S):
            counting = visitor.network.start(count(visitor, data))
            try:
                while (line := await visitor.read_line()) not in {b"done", None}:
                    await visitor.write(b"250 %b\r\n" % line)
            finally:
                await counting.wait()
    await visitor.write(b"221 bye\r\n")


async def count(visitor: Connection, data: Connection) -> None:
    """Tell how many bytes came, or why they stopped coming; from beside whoever reads the visitor's lines."""
    total = 0
    try:
        async for piece in data:
            total += len(piece)
    except ConnectionEnded as ended:
        await visitor.write(b"426 %b\r\n" % ended.reason.encode())
    else:
        await visitor.write(b"226 %d\r\n" % total)


battery = Battery("courier", stream=courier, refusal=lambda why: f"421 {why}\r\n".encode())


async def tally(visitor: Connection) -> None:
    """Tell what this worker has for its battery, and how many visitors there have been."""
    ours = running.given()
    assert ours.counters is not None
    number = ours.counters.add("visitors", 1, lasts_s=3_600.0)
    has_certificates = ours.tls is not None and ours.tls.new_context() is not ours.tls.context
    await visitor.write(f"{ours.service} {'with' if has_certificates else 'without'} certificates: {number}".encode())
