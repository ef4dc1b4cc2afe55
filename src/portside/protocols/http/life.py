"""An HTTP server's part in its worker's life: the application's lifespan, and how connections end in good order."""

from __future__ import annotations

from portside.protocols.http.lifespan import Lifespan, Mode
from portside.protocols.http.server import Server


class HttpLife:
    """See ``contracts.Life``.

    When the worker retires, each connection ends with its next response; when it drains, the runtime ends those that
    wait for a request, and WebSocket connections are told that the service restarts.
    """

    def __init__(self, server: Server, lifespan: Mode) -> None:
        self._server = server
        self._lifespan = Lifespan(server, lifespan)

    async def begin(self) -> None:
        await self._lifespan.begin()

    def retire(self) -> None:
        self._server.is_leaving = True

    def drain(self) -> None:
        self._server.is_leaving = True
        for talk in tuple(self._server.talks):
            talk.go_away()

    async def finish(self) -> None:
        await self._lifespan.finish()
