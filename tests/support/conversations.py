"""Conversations without sockets, loops or threads: what the visitor says is a script, what the battery says is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from portside.address import Address, InternetAddress
from portside.contracts import Connection, Message, Network, StreamHandler
from portside.errors import ConnectionLost
from portside.events import EndReason
from portside.net.stream import State, Stream

VISITOR = InternetAddress("192.0.2.7", 40_123)
SERVER = InternetAddress("198.51.100.1", 80)


@dataclass
class ScriptedNetwork:
    """A world with one clock that moves when somebody sleeps, and names from a dictionary."""

    names: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[Address, float | None]] = field(default_factory=list)
    now: float = 0.0
    failure: Exception | None = None

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None:
        self.asked.append((address, timeout_s))
        if self.failure:
            raise self.failure
        return self.names.get(getattr(address, "host", ""))


class ScriptedStream(Stream):
    """A visitor who says the pieces, one a read and ``pause_s`` apart, half-closes, and leaves after ``room`` bytes."""

    __slots__ = ("heard", "pause_s", "room", "said")

    def __init__(
        self, network: ScriptedNetwork, pieces: Iterable[bytes], *, peer: Address, room: int, pause_s: float
    ) -> None:
        super().__init__(cast(Network, network), local=SERVER, peer=peer)
        self.said = list(pieces)
        self.heard = bytearray()
        self.room = room
        self.pause_s = pause_s

    async def _pull(self, limit: int, timeout_s: float | None) -> bytes:
        if timeout_s is not None and timeout_s < self.pause_s:
            raise TimeoutError
        await self.network.sleep(self.pause_s)
        piece = self.said.pop(0) if self.said else b""
        if len(piece) > limit:
            self.said.insert(0, piece[limit:])
        return piece[:limit]

    async def write(self, *chunks: bytes | bytearray | memoryview) -> None:
        for chunk in chunks:
            self.heard += chunk
        if len(self.heard) > self.room:
            raise ConnectionLost("the visitor left")

    async def close(self) -> None: ...

    async def write_eof(self) -> None: ...

    def abort(self) -> None: ...

    def end(self, reason: EndReason, farewell: bytes = b"") -> None: ...

    @property
    def state(self) -> State:
        return "busy"

    def _find_local(self) -> Address:
        return SERVER

    def _find_peer(self) -> Address:
        return VISITOR

    async def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        raise NotImplementedError

    async def receive_file(self, file: BinaryIO, count: int | None = None) -> int:
        raise NotImplementedError

    async def start_tls(self, context: Any, *, server_side: bool = True, server_name: str | None = None) -> None:
        raise NotImplementedError


def run(awaitable: Awaitable[None]) -> None:
    """Drive a coroutine that has nothing to wait for to its end."""
    for _ in awaitable.__await__():
        raise AssertionError("there is nothing here to wait for")


class Conversations:
    """Plays visitors to handlers. ``network`` is the world they come from, ``heard`` what the last one heard.

    ``pause_s`` is how long a visitor takes for each piece.
    """

    def __init__(self) -> None:
        self.network = ScriptedNetwork()
        self.heard = bytearray()
        self.pause_s = 0.0

    def stream(
        self, handler: StreamHandler | None, *pieces: bytes, peer: Address = VISITOR, room: int = 10**9
    ) -> bytes:
        """Return what the handler says to a visitor who says the pieces and leaves after ``room`` bytes."""
        assert handler is not None
        stream = ScriptedStream(self.network, pieces, peer=peer, room=room, pause_s=self.pause_s)
        self.heard = stream.heard

        async def visit() -> None:
            try:
                await cast("Callable[[Connection], Awaitable[None]]", handler)(cast(Connection, stream))
            except ConnectionLost:
                assert len(stream.heard) > room

        run(visit())
        return bytes(stream.heard)

    def datagram(self, handler: Any, data: bytes) -> list[bytes]:
        """Return the handler's replies to one datagram."""
        message = ScriptedMessage(data)
        run(handler(cast(Message, message)))
        return message.replies


@dataclass
class ScriptedMessage:
    data: bytes
    peer: Address = VISITOR
    local: Address = SERVER
    replies: list[bytes] = field(default_factory=list)

    async def reply(self, data: bytes) -> None:
        self.replies.append(data)
