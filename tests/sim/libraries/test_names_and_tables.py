"""dnspython against simulated name servers, and asyncpg against a small server of PostgreSQL's protocol 3.0."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from portside.sim.nameserver import Authority, parse_zone
from portside.sim.nameserver import serve as serve_names
from support.two_hosts import PORT, SERVER, Pair, check, world_of_two

LOSSES = pytest.mark.parametrize("loss", ["0%", "2%"])
ZONE = """$ORIGIN example.test.
@ 3600 SOA ns admin 1 1 1 1 60
@ NS ns
ns A 10.0.2.2
web 300 A 10.0.0.80
web 300 AAAA 2001:db8::80
@ MX 10 mail
""" + "".join(f"many A 10.1.{at}.1\n" for at in range(100))


@LOSSES
def test_dnspython_asks_by_datagram_and_where_that_is_too_short_by_stream(loss: str) -> None:
    def run(seed: int) -> tuple[Any, str]:
        with world_of_two(seed, loss) as world:

            async def ask() -> list[Any]:
                import dns.asyncresolver

                resolver = dns.asyncresolver.Resolver(configure=False)
                resolver.nameservers, resolver.lifetime = ["10.0.2.2"], 120
                resolver.use_edns(-1)
                web = await resolver.resolve("web.example.test", "A")
                six = await resolver.resolve("web.example.test", "AAAA")
                mail = await resolver.resolve("example.test", "MX")
                many = await resolver.resolve("many.example.test", "A")
                return [web[0].address, web.rrset.ttl, six[0].address, str(mail[0].exchange), len(many)]

            async def main() -> Any:
                serve_names(world[SERVER].stack, Authority([parse_zone(ZONE, "example.test.")]))
                return await world["client"].spawn(ask())

            return world.play(main(), limit="10min"), world.digest()

    found = run(1)
    assert found[0] == ["10.0.0.80", 300, "2001:db8::80", "mail.example.test.", 100]
    assert run(1) == found


# ── asyncpg ──────────────────────────────────────────────────────────────────────────────────────────────────────────

TEXT, INT4 = 25, 23  # OIDs of pg_type


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def text(words: str) -> bytes:
    return words.encode() + b"\0"


ROW = message(b"T", struct.pack("!H", 1) + text("doubled") + struct.pack("!IHIhiH", 0, 0, INT4, 4, -1, 1))
READY = message(b"Z", b"I")


async def postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak as PostgreSQL does, of one statement: it doubles its argument."""
    size, code = struct.unpack("!II", await reader.readexactly(8))
    if code == 80_877_103:  # SSLRequest
        writer.write(b"N")
        size, code = struct.unpack("!II", await reader.readexactly(8))
    await reader.readexactly(size - 8)
    facts = {"server_version": "15.0", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
    told = b"".join(message(b"S", text(name) + text(value)) for name, value in facts.items())
    writer.write(message(b"R", bytes(4)) + told + message(b"K", bytes(8)) + READY)
    argument = 0
    while True:
        kind = await reader.readexactly(1)
        (size,) = struct.unpack("!I", await reader.readexactly(4))
        body = await reader.readexactly(size - 4)
        match kind:
            case b"P":
                writer.write(message(b"1"))
            case b"D":
                writer.write(message(b"t", struct.pack("!HI", 1, INT4)) + ROW)
            case b"B":
                (argument,) = struct.unpack("!i", body[-8:-4])  # the last parameter, before one format of results
                writer.write(message(b"2"))
            case b"E":
                row = struct.pack("!HIi", 1, 4, 2 * argument)
                writer.write(message(b"D", row) + message(b"C", text("SELECT 1")))
            case b"C":
                writer.write(message(b"3"))
            case b"S":
                writer.write(READY)
            case b"Q":
                writer.write(message(b"C", text("SET")) + READY)
            case b"X":
                break
    writer.close()


@LOSSES
def test_asyncpg_prepares_asks_and_pools(loss: str) -> None:
    async def serve() -> None:
        await (await asyncio.start_server(postgres, port=PORT)).serve_forever()

    async def visit() -> list[int]:
        import asyncpg

        where = {"host": SERVER, "port": PORT, "user": "ann", "database": "x", "password": ""}
        # Statements that are kept get names from a counter of the process, longer ones with every run.
        async with asyncpg.create_pool(**where, min_size=2, timeout=120, statement_cache_size=0) as pool:
            return list(await asyncio.gather(*(pool.fetchval("SELECT 2 * $1::int4", n) for n in range(20))))

    check(Pair(serve, visit, [2 * n for n in range(20)]), loss)
