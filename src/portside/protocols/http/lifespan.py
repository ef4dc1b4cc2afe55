"""The application's own beginning and end in a worker. Source: the ASGI specification, Lifespan 2.0."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal, TypeAlias

from portside.errors import HandlerError, LocalError
from portside.protocols.http.scopes import LIFESPAN_ASGI
from portside.protocols.http.server import Message, Server

log = logging.getLogger("portside")

Mode: TypeAlias = Literal["auto", "on", "off"]


class Lifespan:
    """Runs the application's lifespan beside its requests: one call, from before the first to behind the last.

    In the mode ``auto`` an application that raises before it has begun is taken for one that has no lifespan.
    """

    def __init__(self, server: Server, mode: Mode) -> None:
        self._server = server
        self._mode = mode
        self._task: asyncio.Task[None] | None = None
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._begun: asyncio.Future[str | None] | None = None  # None, or why it failed
        self._ended: asyncio.Future[str | None] | None = None

    async def begin(self) -> None:
        """Let the application begin. Raises: LocalError with its reason when it cannot."""
        if self._mode == "off":
            return
        loop = asyncio.get_running_loop()
        self._begun, self._ended = loop.create_future(), loop.create_future()
        self._task = loop.create_task(self._run())
        self._messages.put_nowait({"type": "lifespan.startup"})
        try:
            failure = await self._begun
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if failure is not None:
            await asyncio.wait((self._task,))
            raise LocalError(f"the application did not start: {self._in_a_line(failure)}")

    def _in_a_line(self, failure: str) -> str:
        """Return the failure's first line; of a traceback the last, which says what it was, and the rest to the log."""
        lines = failure.strip().splitlines()
        if not lines[0].startswith("Traceback"):
            return lines[0]
        log.error("%s: the application did not start: %s", self._server.service, failure.strip())
        return lines[-1].strip()

    async def finish(self) -> None:
        """Let the application end, and wait for it."""
        if self._task is None or self._task.done() or self._ended is None:
            return
        self._messages.put_nowait({"type": "lifespan.shutdown"})
        failure = await self._ended
        if failure is not None:
            log.error("%s: the application did not end well: %s", self._server.service, failure)
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": LIFESPAN_ASGI, "state": self._server.state}
        failure = None
        try:
            await self._server.application(scope, self._messages.get, self._send)
        except Exception as error:
            failure = self._failure_of(error)
        for moment in (self._begun, self._ended):
            if moment is not None and not moment.done():
                moment.set_result(failure)

    def _failure_of(self, error: Exception) -> str | None:
        """Return why the lifespan failed; None where there simply is none."""
        has_begun = self._begun is not None and self._begun.done()
        if not has_begun and self._mode == "auto":
            log.debug("%s: the application has no lifespan", self._server.service, exc_info=error)
            self._server.state.clear()
            return None
        if not (self._ended is not None and self._ended.done()) and not self._has_failed:
            log.error("%s: the application's lifespan failed", self._server.service, exc_info=error)
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

    @property
    def _has_failed(self) -> bool:
        return self._begun is not None and self._begun.done() and self._begun.result() is not None

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        moment = {"startup": self._begun, "shutdown": self._ended}.get(kind.split(".")[1]) if kind.count(".") else None
        if moment is None or not kind.startswith("lifespan.") or not kind.endswith((".complete", ".failed")):
            raise HandlerError(f"{kind} is nothing that can be sent in a lifespan")
        if moment.done():
            raise HandlerError(f"{kind} was sent at the wrong moment")
        moment.set_result(
            (message.get("message", "").strip() or "it says no more") if kind.endswith(".failed") else None
        )
