"""A client's connection: its requests one after the other, each with its exchange, until one side has had enough.

The handler reads all the time, so that a client that leaves is noticed while the application computes, and begins an
exchange when a request's head is whole. Who wants to end the conversation from an application's task says so by
``_stop``; the handler then writes what is to be said last, and closes, which waits for the peer's end.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import copy_context
from typing import Final, Literal

from portside import events
from portside.contracts import Connection
from portside.errors import ConnectionLost, HandlerError
from portside.protocols.http.exchange import Exchange
from portside.protocols.http.handshake import check, wants_websocket
from portside.protocols.http.refusals import RequestRefused, build_refusal
from portside.protocols.http.requests import RequestHead, RequestReader
from portside.protocols.http.scopes import Scopes
from portside.protocols.http.server import Server
from portside.protocols.http.socket_talk import INTERNAL_ERROR, SocketTalk
from portside.protocols.http.spoken import words_of_request, words_of_response
from portside.protocols.http.waiting import Change

LOOK_S: Final = 5.0  # how often a client is looked for from which nothing is read


class Conversation:
    """One client's connection."""

    __slots__ = (
        "_change",
        "_context",
        "_exchange",
        "_head_timer",
        "_is_listening",
        "_is_over",
        "_last_words",
        "_loop",
        "_reader",
        "_running",
        "_scopes",
        "_talk",
        "_task",
        "_verdict",
        "connection",
        "server",
    )

    _task: asyncio.Task[None]

    def __init__(self, server: Server, connection: Connection) -> None:
        self.server = server
        self.connection = connection
        self._reader = RequestReader(server.limits)
        self._scopes = Scopes(connection, server.root_path, server.proxies)
        self._exchange: Exchange | None = None  # the one that is owed to the client
        self._talk: SocketTalk | None = None  # once the client speaks WebSocket
        self._running: set[Exchange | SocketTalk] = set()  # those whose application has not ended
        self._change = Change()  # for the handler, while it does not read
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_listening = False  # the handler waits for its peer
        self._is_over = False  # no more requests, and nothing more to say but the last words
        self._last_words = b""
        self._verdict: BaseException | None = None  # what the conversation ended of
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # every request starts from the same

    async def run(self) -> None:
        """Converse until the end. Raises: ConnectionLost, RequestRefused, TimeoutError, and what applications raise."""
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        try:
            await self._listen()
            if self._last_words:
                with contextlib.suppress(ConnectionLost):
                    await self.connection.write(self._last_words)
        except ConnectionLost:
            self._abandon(cancel=not self.connection.peer_has_ended)
            raise
        except asyncio.CancelledError:
            self._abandon(cancel=True)
            raise
        finally:
            await self._leave()
        verdict, self._verdict = self._verdict, None
        if verdict is not None:
            try:
                raise verdict
            finally:
                del verdict  # its traceback holds this frame

    async def _listen(self) -> None:
        try:
            self._is_listening = True
            async for data in self.connection:
                self._is_listening = False
                if self._talk is None:
                    self._reader.receive(data)
                    while self._must_wait():
                        await self._wait_with_an_eye_on_the_client()
                else:
                    await self._talk.take(data)
                if self._is_over:
                    return
                self._is_listening = True
            self._is_listening = False
            if self._talk is None:
                await self._answer_what_is_owed()
            else:
                self._talk.leave()
        except RequestRefused as refusal:
            self._refuse(refusal)
        except asyncio.CancelledError:
            if not (self._is_over and self._is_listening) or self._task.uncancel():
                raise

    async def _answer_what_is_owed(self) -> None:
        """The client has ended its stream: what it has asked before is answered still."""
        while True:
            self._must_wait()
            exchange = self._exchange
            if self._is_over or exchange is None or exchange.is_answered:
                return
            exchange.leave()
            await self._change.wait()

    async def _wait_with_an_eye_on_the_client(self) -> None:
        """Wait for a change. Nothing is read meanwhile, so that a client that leaves is looked for now and then."""
        timer = self._loop.call_later(LOOK_S, self._change.wake)
        try:
            await self._change.wait()
        finally:
            timer.cancel()
        if self._exchange is not None and self.connection.peer_has_ended:
            self._exchange.leave()

    def _must_wait(self) -> bool:
        """Take what has come as far as it goes; return whether something must change before more is read."""
        reader, exchange = self._reader, self._exchange
        while not self._is_over:
            if exchange is not None:
                if not reader.body_is_over:
                    piece = reader.next_body()
                    if not exchange.feed(piece, is_last=reader.body_is_over):
                        self._is_over = True
                        return False
                if not reader.body_is_over:
                    return exchange.is_full
                if not exchange.is_answered:
                    return reader.pending_bytes > 0
                self._exchange = exchange = None
            head = reader.next_head()
            if head is None:
                self._watch_head()
                return False
            self._note_request(head)
            if wants_websocket(head):
                self._begin_talk(head)
                return False
            exchange = self._exchange = self._begin(head)
        return False

    def _watch_head(self) -> None:
        """See to it that a head that has begun comes to its end."""
        if self._head_timer is None and self._reader.is_in_head:
            self.connection.keeps_time = True
            self._head_timer = self._loop.call_later(self.server.limits.head_s, self._head_is_late)

    def _note_request(self, head: RequestHead) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self.connection.keeps_time = True
        if events.listening(events.Spoke):
            self.tell("in", words_of_request(head.method, head.path, head.query), head.size_bytes)

    def _begin(self, head: RequestHead) -> Exchange:
        exchange = Exchange(self, head, self._scopes.http(head, self.server.state))
        self._running.add(exchange)
        exchange.task = asyncio.Task(exchange.run(), loop=self._loop, context=self._context.copy())
        return exchange

    def _begin_talk(self, head: RequestHead) -> None:
        handshake = check(head, compresses=self.server.websocket_limits.compresses)
        if self._reader.take_pending():
            raise RequestRefused(400, "a client waits for the answer to its handshake")
        talk = self._talk = SocketTalk(self, handshake, self._scopes.websocket(head, self.server.state))
        self._running.add(talk)
        self.server.talks.add(talk)
        talk.task = asyncio.Task(talk.run(), loop=self._loop, context=self._context.copy())
        if self.server.is_leaving:
            talk.go_away()

    # ── what exchanges tell ──────────────────────────────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        """There is room again, or something else the handler may wait for."""
        self._change.wake()

    def answered(self, exchange: Exchange) -> None:
        """A response is over."""
        self.connection.keeps_time = False
        if exchange.writer.keeps_alive:
            self._change.wake()
        else:
            self._stop()

    def application_ended(self, exchange: Exchange, error: BaseException | None) -> None:
        """An application has returned, or raised what it should not."""
        self._running.discard(exchange)
        if error is not None:
            self._fail(exchange, error)
        elif not exchange.is_answered:
            self._stop()

    def body_is_late(self, exchange: Exchange) -> None:
        """An application has waited for its request's body for too long."""
        words = self._build_refusal(408, "the request's body came too slowly") if not exchange.writer.is_sent else b""
        exchange.leave(cut=True)
        self._stop(TimeoutError("the client sent its request's body too slowly"), words)

    def talk_ended(self, talk: SocketTalk, error: BaseException | None) -> None:
        """The application of a WebSocket connection has returned, or raised what it should not."""
        self._running.discard(talk)
        if error is not None and not (isinstance(error, asyncio.CancelledError) and self._is_over):
            self._stop(_as_failure(error), talk.last_words(INTERNAL_ERROR))
        elif not talk.awaits_close:
            self._stop(None, talk.last_words())

    def end_talk(self, last_words: bytes, verdict: BaseException | None = None) -> None:
        """A WebSocket connection is over."""
        self._stop(verdict, last_words)

    async def wait(self) -> None:
        """Return when something has changed: for the handler, in the middle of a message."""
        await self._change.wait()

    def tell(self, direction: Literal["in", "out"], words: str, size_bytes: int) -> None:
        events.emit(events.Spoke(self.server.service, self.connection.id, direction, words, size_bytes))

    def count(self, status: int) -> None:
        """Have an answer counted by its status."""
        if events.listening(events.Answered):
            events.emit(events.Answered(self.server.service, status))

    def _head_is_late(self) -> None:
        seconds = self.server.limits.head_s
        self._stop(
            TimeoutError(f"the client's request took more than {seconds:g} s to come"),
            self._build_refusal(408, f"the header of a request may take {seconds:g} s"),
        )

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _stop(self, verdict: BaseException | None = None, last_words: bytes = b"") -> None:
        """Have the handler say its last words, and end with the verdict. Called from outside of it; once counts."""
        if self._is_over:
            return
        self._is_over = True
        self._verdict = verdict
        self._last_words = last_words
        if self._is_listening:
            self._task.cancel()
        else:
            self._change.wake()

    def _refuse(self, refusal: RequestRefused) -> None:
        self._is_over = True
        self._verdict = refusal
        exchange = self._exchange
        if exchange is None or not exchange.writer.is_sent:
            self._last_words = self._build_refusal(refusal.status, refusal.why)
        if exchange is not None:
            exchange.leave(cut=True)

    def _build_refusal(self, status: int, why: str) -> bytes:
        words = build_refusal(status, why, self.server.dates.now())
        if events.listening(events.Spoke):
            self.tell("out", words_of_response(status, 0), len(words))
        self.count(status)
        return words

    def _fail(self, exchange: Exchange, error: BaseException) -> None:
        """Answer for an application that failed."""
        if isinstance(error, asyncio.CancelledError) and self._is_over:
            return  # it was us
        error = _as_failure(error)
        words = b""
        if exchange.is_answered:  # what it did behind its response is no affair of the client's
            events.emit(events.HandlerFailed(self.server.service, self.connection.id, self.connection.peer, error))
            return
        if not exchange.writer.is_sent:
            words = self._build_refusal(500, "the server failed to answer")
        elif exchange.writer.ends_with_connection:
            self.connection.abort()  # an end in good order would pass for the whole
        self._stop(error, words)

    def _abandon(self, *, cancel: bool) -> None:
        """The connection is gone: tell the applications, or with ``cancel`` have those end that owe a response."""
        self._is_over = True
        for exchange in self._running:
            exchange.leave(cut=True)
            if cancel and not exchange.is_answered:
                exchange.task.cancel()

    async def _leave(self) -> None:
        """Close, and wait for applications that go on without their client."""
        self._is_over = True
        self.connection.keeps_time = False
        self._reader.close()
        self._exchange = None
        if self._talk is not None:
            self._talk.stop()
            self._talk.leave()
            self.server.talks.discard(self._talk)
        if self._head_timer is not None:
            self._head_timer.cancel()
        try:
            await self.connection.close()
        finally:
            await self._wait_for_applications()

    async def _wait_for_applications(self) -> None:
        tasks = [exchange.task for exchange in self._running]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise


def _as_failure(error: BaseException) -> BaseException:
    """Return the error that a handler may raise without ending more than its connection."""
    if isinstance(error, Exception):
        return error
    failure = HandlerError(f"the application ended with {type(error).__name__}")
    failure.__cause__ = error
    return failure
