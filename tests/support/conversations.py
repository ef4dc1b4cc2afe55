"""Conversations with batteries without sockets or a loop: the visitor's words are given, the battery's are kept."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any, cast

from portside.address import Address, InternetAddress
from portside.contracts import Message, StreamHandler
from portside.net.drive import drive
from portside.testing.memory import UNBOUNDED_BYTES, MemoryNetwork, Stalled, pair

VISITOR = InternetAddress("192.0.2.7", 40_123)
SERVER = InternetAddress("198.51.100.1", 80)


class World(MemoryNetwork):
    """Knows the names of visitors, and who asked for them; or fails when it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.host_names: dict[str, str] = {}
        self.asked: list[tuple[Address, float | None]] = []
        self.failure: Exception | None = None

    async def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None:
        self.asked.append((address, timeout_s))
        if self.failure:
            raise self.failure
        return self.host_names.get(getattr(address, "host", ""))


@dataclass
class ScriptedMessage:
    """A datagram whose replies are kept."""

    data: bytes
    peer: Address = VISITOR
    local: Address = SERVER
    replies: list[bytes] = field(default_factory=list)

    async def reply(self, data: bytes) -> None:
        self.replies.append(data)


class Conversations:
    """Plays visitors to handlers. ``network`` is the world they come from, ``heard`` what the last one heard."""

    def __init__(self) -> None:
        self.network = World()
        self.heard = b""

    def stream(
        self,
        handler: StreamHandler | None,
        *pieces: bytes,
        peer: Address = VISITOR,
        room: int = UNBOUNDED_BYTES,
        ends: bool = True,
    ) -> bytes:
        """Return what the handler says to a visitor who says the pieces, one a read, and ends the stream or does not.

        The visitor has room for ``room`` bytes and never reads: when it is used up, or when the handler waits for more
        than was said, the conversation is over.
        """
        server, client = pair(capacity_bytes=room, network=self.network, server=SERVER, client=peer)
        client._outgoing.capacity_bytes = UNBOUNDED_BYTES
        for piece in pieces:
            client._outgoing.put(piece)
        if ends:
            client._outgoing.finish()
        with contextlib.nullcontext() if ends and room == UNBOUNDED_BYTES else contextlib.suppress(Stalled):
            try:
                drive(cast("Any", handler)(server), handler="handler", model="test")
            finally:
                self.heard = b"".join(client._incoming.chunks)
        return self.heard

    def datagram(self, handler: Any, data: bytes) -> list[bytes]:
        """Return the handler's replies to one datagram."""
        message = ScriptedMessage(data)
        drive(handler(cast(Message, message)), handler="handler", model="test")
        return message.replies
