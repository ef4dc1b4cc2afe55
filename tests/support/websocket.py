"""A WebSocket client over a connection in memory: the protocol is another's, the bytes are ours to cut."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from support.asgi import Visit, visiting


class SocketVisit:
    """A client that speaks WebSocket over the visit's connection."""

    def __init__(self, visit: Visit, *, subprotocols: Sequence[str] = (), compresses: bool = False) -> None:
        self.visit = visit
        extensions = [ClientPerMessageDeflateFactory(client_max_window_bits=True)] if compresses else None
        self.protocol = ClientProtocol(
            parse_uri("ws://a/chat?x=y"),
            subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]
            extensions=extensions,
        )
        self.frames: list[Frame] = []

    async def ask(self, **fields: str) -> Response:
        """Ask to speak WebSocket, and return the answer to that."""
        request = self.protocol.connect()
        for name, value in fields.items():
            request.headers[name.replace("_", "-")] = value
        self.protocol.send_request(request)
        await self.flush()
        return await self.answer()

    async def answer(self) -> Response:
        while not (events := self.protocol.events_received()):
            await self._feed()
        response, *frames = events
        assert isinstance(response, Response)
        self.frames += frames  # type: ignore[arg-type]
        return response

    async def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                await self.visit.say(data)

    async def _feed(self) -> None:
        data = await self.visit.client.read()
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()

    def framed(self, message: str | bytes) -> bytes:
        """Return the bytes that say the message."""
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        return b"".join(self.protocol.data_to_send())

    async def send(self, message: str | bytes) -> None:
        await self.visit.say(self.framed(message))

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        self.protocol.send_close(code, reason)
        await self.flush()

    async def frame(self) -> Frame:
        """Return the server's next frame; pings are answered only by ``flush``."""
        while not self.frames:
            self.frames += self.protocol.events_received()  # type: ignore[arg-type]
            if not self.frames:
                await self._feed()
        return self.frames.pop(0)

    async def message(self) -> str | bytes:
        frame = await self.frame()
        assert frame.fin
        assert frame.opcode in (Opcode.TEXT, Opcode.BINARY), frame
        return bytes(frame.data).decode() if frame.opcode is Opcode.TEXT else bytes(frame.data)

    async def closed(self) -> tuple[int, str]:
        """Return code and reason of the server's close, after which the stream ends."""
        while (frame := await self.frame()).opcode is not Opcode.CLOSE:
            pass
        assert frame.opcode is Opcode.CLOSE
        close = self.protocol.close_rcvd
        assert close is not None
        with contextlib.suppress(Exception):
            await self.flush()
        assert await self.visit.rest() == b""
        return int(close.code), close.reason


@contextlib.asynccontextmanager
async def speaking(
    application: Any, *, client: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[SocketVisit]:
    """Give a client that has asked to speak WebSocket, and was let."""
    async with visiting(application, **settings) as visit:
        talk = SocketVisit(visit, **(client or {}))
        response = await talk.ask()
        assert response.status_code == 101, response
        yield talk
