"""One page that somebody has open: its stream of events, and what it asked to be told beside the common news.

hello         the page's name, by which it says what it wants to see
server        the server, its services and workers, each second; or why there is no answer
connections   all at first, then what came, moved and went
errors        the failures of handlers that it does not know yet
conversation  what is said over the connection it watches, as it is said
sockets       the open files of the workers, while it shows them
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from portside.observe.dashboard.answers import Receive, Send, begin_events, build_event
from portside.observe.dashboard.asking import Ask, Refused, Silent
from portside.observe.dashboard.rows import COLUMNS, Row, events_of_all
from portside.observe.dashboard.watch import Watch

CONVERSATION_S: Final = 0.25  # how often what is said is looked at, while somebody watches
SOCKETS_S: Final = 2.0
PING_S: Final = 15.0
DESCRIPTOR_PAGES_MAX: Final = 4  # of each worker


class Page:
    """See the module. ``run`` returns when the page is closed, or was told to ``end``."""

    def __init__(self, ask: Ask, watch: Watch, send: Send, *, clock: Callable[[], float] = monotonic) -> None:
        self.name = secrets.token_urlsafe(12)
        self._ask = ask
        self._watch = watch
        self._send = send
        self._clock = clock
        self._bell = asyncio.Event()
        self._is_over = False
        self._looks = 0
        self._version = -1
        self._rows: dict[str, Row] = {}
        self._last_error = 0
        self._conversation: str | None = None
        self._last_message = 0
        self._is_told = False  # that it is looked at, though nothing may have been said
        self._conversation_due_s = 0.0
        self._wants_sockets = False
        self._sockets_due_s = 0.0

    def want(self, conversation: str | None, *, sockets: bool) -> None:
        """Tell of this conversation from its beginning, or of none, and of sockets or not."""
        if conversation != self._conversation:
            self._conversation, self._last_message, self._is_told = conversation, 0, False
            self._conversation_due_s = 0.0
        self._wants_sockets, self._sockets_due_s = sockets, 0.0
        self._bell.set()

    def end(self) -> None:
        """End the stream; the page comes back by itself, to whoever serves then."""
        self._is_over = True
        self._bell.set()

    async def run(self, receive: Receive) -> None:
        await begin_events(self._send)
        await self._say("hello", {"page": self.name, "columns": COLUMNS})
        leaving = asyncio.ensure_future(self._wait_for_leaving(receive))
        self._watch.attach(self._bell)
        try:
            while not self._is_over:
                self._bell.clear()
                await self._tell_news()
                await self._rest()
            if not leaving.done():
                await self._send({"type": "http.response.body", "body": b""})
        finally:
            self._watch.detach(self._bell)
            leaving.cancel()

    async def _wait_for_leaving(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end()

    async def _rest(self) -> None:
        """Wait for news, or until something is due."""
        due_s = self._clock() + PING_S
        if self._conversation is not None:
            due_s = min(due_s, self._conversation_due_s)
        if self._wants_sockets:
            due_s = min(due_s, self._sockets_due_s)
        try:
            async with asyncio.timeout(max(0.0, due_s - self._clock())):
                await self._bell.wait()
        except TimeoutError:
            if not (self._conversation or self._wants_sockets):
                await self._write(b": still here\n\n")

    # ── what there is to tell ────────────────────────────────────────────────────────────────────────────────────────

    async def _tell_news(self) -> None:
        watch = self._watch
        if watch.looks != self._looks and watch.server:
            self._looks = watch.looks
            await self._say("server", watch.server)
            await self._tell_errors()
        if watch.version != self._version and "services" in watch.server:
            await self._tell_connections()
        if self._conversation is not None and self._clock() >= self._conversation_due_s:
            await self._tell_conversation(self._conversation)
        if self._wants_sockets and self._clock() >= self._sockets_due_s:
            await self._tell_sockets()

    async def _tell_errors(self) -> None:
        news = [error for error in self._watch.errors if error["seq"] > self._last_error]
        if news:
            self._last_error = news[-1]["seq"]
            await self._say("errors", {"errors": news})

    async def _tell_connections(self) -> None:
        watch, before = self._watch, self._version
        rows, self._rows, self._version = self._rows, watch.rows, watch.version
        if before >= 0:
            await self._write(watch.change_since(before, rows))
        else:
            for event in events_of_all(watch.rows.values()):
                await self._say("connections", event)

    async def _tell_conversation(self, connection: str) -> None:
        self._conversation_due_s = self._clock() + CONVERSATION_S
        asked = {"do": "conversation", "connection": connection, "after": self._last_message}
        try:
            found = await self._ask(asked)
        except Refused as error:
            found = {"connection": connection, "missing": str(error)}
        except Silent:
            return  # the server's own event says so
        if connection != self._conversation:
            return  # it wants another by now
        messages = found.get("messages") or []
        is_first, self._is_told = not self._is_told, True
        if messages:
            self._last_message = messages[-1]["seq"]
        if "missing" in found or found.get("ended"):
            self._conversation = None  # it says no more
        if is_first or messages or self._conversation is None:
            await self._say("conversation", found)

    async def _tell_sockets(self) -> None:
        try:
            rows = await self._sockets()
        except (Refused, Silent):
            rows = None
        self._sockets_due_s = self._clock() + SOCKETS_S
        if rows is not None:
            await self._say("sockets", rows)

    async def _sockets(self) -> dict[str, Any]:
        """Return the first pages of every worker's open files."""
        answer = await self._ask({"do": "sockets"})
        workers = answer["workers"]
        for worker in workers:
            for _ in range(DESCRIPTOR_PAGES_MAX - 1):
                if worker["after"] is None:
                    break
                more = await self._ask({"do": "sockets", "worker": worker["pid"], "after": worker["after"]})
                if not more["workers"]:
                    break
                worker["sockets"] += more["workers"][0]["sockets"]
                worker["after"] = more["workers"][0]["after"]
        return {"workers": workers, "silent": answer["silent"]}

    async def _say(self, name: str, value: object) -> None:
        await self._write(build_event(name, value))

    async def _write(self, data: bytes) -> None:
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
