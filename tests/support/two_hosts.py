"""Two hosts and a router between them, for programs that shall not notice that their internet is simulated."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, NamedTuple

import trustme

from portside.sim import World

SERVER, PORT = "server.test", 8_000
LIMIT = "10min"  # of the world's time

Program = Callable[[], Coroutine[Any, Any, Any]]


class Pair(NamedTuple):
    """A server and a client; ``visit`` returns what ``expected`` is."""

    serve: Any
    visit: Any
    expected: Any


def world_of_two(seed: int, loss: str) -> World:
    """Return a world of ``client`` and ``server.test``, with so much lost on the way between them."""
    world = World(seed=seed)
    client, server = world.host("client", "10.0.1.2/24"), world.host(SERVER, "10.0.2.2/24")
    router = world.router("router", "10.0.1.1/24", "10.0.2.1/24")
    world.link(client, router, delay="5ms", rate="100Mbit/s")
    world.link(router, server, delay="5ms", rate="100Mbit/s", loss=loss)
    return world


def meet(serve: Program, visit: Program, *, seed: int = 1, loss: str = "0%") -> tuple[Any, str]:
    """Run ``visit`` on the client while ``serve`` runs on the server; return its result, and the run's digest.

    The server has a second to begin to listen in.
    """
    with world_of_two(seed, loss) as world:

        async def main() -> Any:
            server = world[SERVER].spawn(serve())
            await asyncio.sleep(1)
            result = await world["client"].spawn(visit())
            assert not server.done()
            return result

        return world.play(main(), limit=LIMIT), world.digest()


def check(pair: Pair, loss: str, *, repeats: bool = True) -> None:
    """Check that a pair gets what it shall by two seeds, and that a seed repeats every frame."""
    result, digest = meet(pair.serve, pair.visit, seed=1, loss=loss)
    assert result == pair.expected
    if repeats:
        assert meet(pair.serve, pair.visit, seed=1, loss=loss) == (result, digest)
    other, _ = meet(pair.serve, pair.visit, seed=2, loss=loss)
    assert other == pair.expected


@cache
def authority() -> trustme.CA:
    """Return who certifies, by RSA: signatures are as long in every run (ECDSA's are not)."""
    return trustme.CA(key_type=trustme.KeyType.RSA)


@cache
def server_tls() -> ssl.SSLContext:
    """Return what a server on ``server.test`` shows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(SERVER, key_type=trustme.KeyType.RSA).configure_cert(context)
    return context


@cache
def client_tls() -> ssl.SSLContext:
    """Return what a client believes."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context
