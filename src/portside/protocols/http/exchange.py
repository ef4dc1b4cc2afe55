"""One request and its response, as the application has them: what it receives, what it sends, and how it ends.

The application runs in a task of its own, and may go on when its response is over (background tasks): the connection
does not wait for it with the next request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from portside import events
from portside.errors import ConnectionLost, HandlerError
from portside.protocols.http import files
from portside.protocols.http.bodies import RequestBody
from portside.protocols.http.requests import RequestHead
from portside.protocols.http.responses import CONTINUE, Frame, ResponseWriter, build_early_hints
from portside.protocols.http.spoken import words_of_response
from portside.protocols.http.waiting import Change

if TYPE_CHECKING:
    from portside.protocols.http.conversation import Conversation
    from portside.protocols.http.server import Message, Scope


log = logging.getLogger("portside")


class ClientGone(ConnectionLost, OSError):
    """The client left before it had its answer. An OSError, as the ASGI specification asks for since HTTP 2.4."""


class Unanswered(HandlerError):
    """The application ended without having answered, or in the middle of its answer."""


class Exchange:
    """One request and its response. ``receive`` and ``send`` are the application's, the rest the conversation's."""

    __slots__ = (
        "_bytes_out",
        "_change",
        "_is_body_told",
        "_is_leaving_told",
        "body",
        "conversation",
        "is_answered",
        "is_cut",
        "is_left",
        "scope",
        "task",
        "writer",
    )

    task: asyncio.Task[None]

    def __init__(self, conversation: Conversation, head: RequestHead, scope: Scope) -> None:
        framing = head.framing
        self.conversation = conversation
        self.scope = scope
        self.body = None if framing.length == 0 else RequestBody(head, conversation.server.limits)
        self.writer = ResponseWriter(head.version, is_head=head.method == "HEAD", keeps_alive=framing.keeps_alive)
        self.is_answered = False  # all of the response was sent
        self.is_left = False  # the client has ended its stream, and is not going to say more
        self.is_cut = False  # nothing more can be sent
        self._is_body_told = False
        self._is_leaving_told = False
        self._bytes_out = 0  # of the response's body
        self._change: Change | None = None

    async def run(self) -> None:
        """Run the application. Raises nothing: what goes wrong is the conversation's to tell."""
        error: BaseException | None = None
        try:
            await self.conversation.server.application(self.scope, self.receive, self.send)
        except BaseException as raised:
            error = raised
        if error is None and not self.is_answered and not self.is_left:
            said = "in the middle of its response" if self.writer.is_sent else "without a response"
            error = Unanswered(f"the application returned {said}")
        if error is not None and self._is_peers_doing(error):
            log.debug("an application ended when its client had left", exc_info=error)
            let_go_of_frames(error)
            error = None
        self.conversation.application_ended(self, error)
        del error  # its traceback holds this frame: together they would stay until a collection

    def _is_peers_doing(self, error: BaseException) -> bool:
        """Whether the application ended like this because it was told that the client has left."""
        return self._is_leaving_told and came_of_leaving(error)

    # ── the conversation's side ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_full(self) -> bool:
        """Whether the application is to take of the body first before more of it is read."""
        return self.body is not None and self.body.is_full

    def feed(self, piece: bytes, *, is_last: bool) -> bool:
        """Take what came of the body; False if nobody wants it, and it is too much to be read for nothing."""
        assert self.body is not None
        if self.is_answered:
            return self.body.drop(piece, is_last=is_last)
        self.body.feed(piece, is_last=is_last)
        self._wake()
        return True

    def leave(self, *, cut: bool = False) -> None:
        """Note that the client says no more, or with ``cut`` that nothing more can be sent to it."""
        self.is_left = True
        self.is_cut = self.is_cut or cut
        self._wake()

    def _wake(self) -> None:
        if self._change is not None:
            self._change.wake()

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> Message:
        """Return the body's next piece as it comes; ``http.disconnect`` when the client left or has its response."""
        body = self.body
        if body is None:
            if not self._is_body_told and not self.is_answered:
                self._is_body_told = True
                return {"type": "http.request", "body": b"", "more_body": False}
        elif body.wants_continue:
            await self._let_continue(body)
        while not self.is_answered:
            if body is not None and body.is_there:
                piece = body.take()
                self.conversation.wake()
                return {"type": "http.request", "body": piece, "more_body": not body.is_whole}
            if self.is_left:
                break
            await self._wait(body)
        self._is_leaving_told = True
        return {"type": "http.disconnect"}

    async def _let_continue(self, body: RequestBody) -> None:
        body.wants_continue = False
        if not self.writer.is_sent and not self.is_cut:
            await self._write(CONTINUE)

    async def _wait(self, body: RequestBody | None) -> None:
        if self._change is None:
            self._change = Change()
        if body is None or body.is_whole:
            await self._change.wait()  # for the client's leaving: as long as the application likes
            return
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        timer = loop.call_later(max(0.0, body.patience_s), self.conversation.body_is_late, self)
        try:
            await self._change.wait()
        finally:
            timer.cancel()
            body.waited_s += loop.time() - began_s

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, message: Message) -> None:
        """Send the next part of the response; done when the kernel has taken it.

        Raises: ClientGone; HandlerError for what cannot be said at this moment, or not at all.
        """
        kind = message["type"]
        writer = self.writer
        if writer.is_over:
            raise HandlerError(f"{kind} was sent after the response was over")
        if kind == "http.response.start":
            if writer.status:
                raise HandlerError("http.response.start was sent twice")
            date = self.conversation.server.dates.now()
            fields = message.get("headers", ())
            writer.start(message["status"], fields, date, trailers=message.get("trailers", False))
        elif kind == "http.response.body" and writer.status:
            body = message.get("body", b"")
            before, after, carries = self._frame(len(body), more=message.get("more_body", False))
            await self._write(b"".join((before, body, after)) if carries else before + after)
            if writer.is_over:
                self._finish()
        else:
            await self._send_other(kind, message)

    async def _send_other(self, kind: str, message: Message) -> None:
        if kind == "http.response.early_hint":
            await self._send_hints(message)
        elif not self.writer.status:
            raise HandlerError(f"{kind} was sent before http.response.start")
        elif kind == "http.response.pathsend":
            with files.open_regular(message["path"]) as (file, size):
                await self._send_file(file, 0, size, more=False)
        elif kind == "http.response.zerocopysend":
            with files.borrowed(message["file"]) as file:
                offset, count = files.part_of(file, message.get("offset"), message.get("count"))
                await self._send_file(file, offset, count, more=message.get("more_body", False))
        elif kind == "http.response.trailers" and self.writer.is_sent:
            more = message.get("more_trailers", False)
            await self._write(self.writer.trailers(message.get("headers", ()), more=more))
            if self.writer.is_over:
                self._finish()
        else:
            raise HandlerError(f"{kind} is nothing that can be sent here")

    def _frame(self, size: int, *, more: bool) -> Frame:
        writer = self.writer
        if self.conversation.server.is_leaving or (self.body is not None and self.body.bars_the_way):
            writer.keeps_alive = writer.keeps_alive and writer.is_sent  # once it is sent, it is said
        frame = writer.frame(size, more=more)
        if frame[2]:
            self._bytes_out += size
        return frame

    async def _send_file(self, file: Any, offset: int, count: int, *, more: bool) -> None:
        part = files.read_part(file, offset, count) if count <= files.SMALL_BYTES else None
        before, after, carries = self._frame(count, more=more)
        if part is not None:
            await self._write(b"".join((before, part, after)) if carries else before + after)
        else:
            await self._write(before)
            if carries:
                await self._copy(file, offset, count)
            await self._write(after)
        if self.writer.is_over:
            self._finish()

    async def _copy(self, file: Any, offset: int, count: int) -> None:
        try:
            await self.conversation.connection.send_file(file, offset, count)
        except ConnectionLost as error:
            raise self._gone(error) from error

    async def _send_hints(self, message: Message) -> None:
        if self.writer.status:
            raise HandlerError("http.response.early_hint was sent after http.response.start")
        hints = build_early_hints(message.get("links", ()))
        if self.scope["http_version"] == "1.1":  # others do not expect more than one response
            await self._write(hints)

    async def _write(self, data: bytes) -> None:
        if self.is_cut:
            raise self._gone(None)
        if data:
            try:
                await self.conversation.connection.write(data)
            except ConnectionLost as error:
                raise self._gone(error) from error

    def _gone(self, error: ConnectionLost | None) -> ClientGone:
        self._is_leaving_told = True
        self.leave(cut=True)
        return ClientGone("the client has left" if error is None else str(error))

    def _finish(self) -> None:
        """The response is over."""
        self.is_answered = True
        if self.body is not None:
            self.body.drop(is_last=self.body.is_whole)
        self._wake()
        if events.listening(events.Spoke):
            words = words_of_response(self.writer.status, self._bytes_out)
            self.conversation.tell("out", words, self._bytes_out)
        self.conversation.count(self.writer.status)
        self.conversation.answered(self)


def came_of_leaving(error: BaseException) -> bool:
    """Whether the error is, or came of, the client's leaving: ours, or one that frameworks make of ``http.disconnect``.

    Those have no class in common: Starlette has ClientDisconnect and WebSocketDisconnect, others call theirs alike.
    """
    return any(isinstance(one, ClientGone) or "Disconnect" in type(one).__name__ for one in _chain(error))


def let_go_of_frames(error: BaseException) -> None:
    """Let go of what the error's tracebacks hold: an application's generators end when nobody holds them any more.

    The connection keeps what broke it, and with it all that was under way then.
    """
    for one in _chain(error):
        one.__traceback__ = None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, what it came of, and in a group all of its members."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += (one.__cause__, one.__context__)
            if isinstance(one, BaseExceptionGroup):
                waiting += one.exceptions
