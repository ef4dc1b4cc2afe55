"""A home behind a NAT, and the internet, for tests of what passes between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from portside.sim import World

OUTER = "203.0.113.5"
WEB, GAME = "198.51.100.2", "198.51.100.3"


def home(seed: int = 1, **nat: Any) -> World:
    """Return a world with ann and ben behind a NAT, and web and game on the internet behind a router."""
    world = World(seed=seed)
    ann, ben = world.host("ann", "192.168.1.2/24"), world.host("ben", "192.168.1.3/24")
    box = world.nat("box", inside="192.168.1.1/24", outside=f"{OUTER}/24", **nat)
    provider = world.router("provider", "203.0.113.1/24", "198.51.100.1/24")
    web, game = world.host("web", f"{WEB}/24"), world.host("game", f"{GAME}/24")
    world.lan("at-home", ann, ben, box, delay="1ms")
    world.link(box, provider, delay="5ms")
    world.lan("internet", provider, web, game, delay="5ms")
    return world


class Datagrams(asyncio.DatagramProtocol):
    """Keeps what comes, and from whom; answers questions."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, Any]] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.append((data, addr[:2]))
        if data.endswith(b"?"):
            self.transport.sendto(f"you are {addr[0]} {addr[1]}".encode(), addr)


async def socket_on(world: World, host: str, port: int = 0, address: str = "0.0.0.0") -> Datagrams:
    async def make() -> Datagrams:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(Datagrams, local_addr=(address, port))
        return protocol

    made: Datagrams = await world[host].spawn(make())
    return made


async def settle(seconds: float = 1) -> None:
    await asyncio.sleep(seconds)


def play(world: World, main: Callable[[], Any]) -> Any:
    with world:
        return world.play(main(), limit="10h")


def seen_by(world: World, name: str) -> list[Any]:
    """Note every packet that comes to a host."""
    seen: list[Any] = []
    for port in world[name].ports.values():
        port.tap(lambda way, frame: seen.append(frame) if way == "in" else None)
    return seen


async def serve(port: int = 80, handler: Any = None) -> None:
    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(f"you are {writer.get_extra_info('peername')[0]}".encode())
        writer.close()

    await (await asyncio.start_server(handler or tell, port=port)).serve_forever()


async def ask(host: str, port: int = 80, local: tuple[str, int] | None = None) -> str:
    reader, writer = await asyncio.open_connection(host, port, local_addr=local)
    writer.write(b"who am I?\n")
    answer = await reader.read()
    writer.close()
    return answer.decode()
