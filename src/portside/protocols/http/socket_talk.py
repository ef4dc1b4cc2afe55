"""A WebSocket connection, as its application has it: messages each way, and the ways it ends.

The application runs in a task of its own. The conversation's handler goes on reading: it answers pings, queues a
bounded number of messages, and waits when the application is slower than its client.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from portside import events
from portside.errors import ConnectionLost, HandlerError
from portside.protocols.http.exchange import ClientGone, Unanswered, came_of_leaving, let_go_of_frames
from portside.protocols.http.frames import Closed, Frames, Ponged
from portside.protocols.http.handshake import Handshake, build_acceptance
from portside.protocols.http.refusals import RequestRefused, build_refusal
from portside.protocols.http.responses import ResponseWriter
from portside.protocols.http.spoken import words_of_response
from portside.protocols.http.waiting import Change
from portside.units import size_in_words

if TYPE_CHECKING:
    from portside.protocols.http.conversation import Conversation
    from portside.protocols.http.server import Message, Scope

MESSAGES_HELD_MAX: Final = 32  # that the application has not asked for yet …
HELD_BYTES_MAX: Final = 65_536  # … and their bytes, unless one has more

GOING_AWAY: Final = 1012  # the service restarts, of IANA's registry: clients come back after a while
ABNORMAL: Final = 1006  # RFC 6455 section 7.1.5: the end came without a word
INTERNAL_ERROR: Final = 1011


class SocketTalk:
    """One WebSocket connection. ``receive`` and ``send`` are the application's, the rest the conversation's."""

    task: asyncio.Task[None]

    def __init__(self, conversation: Conversation, handshake: Handshake, scope: Scope) -> None:
        self.conversation = conversation
        self.scope = scope
        self._handshake = handshake
        self._frames: Frames | None = None  # once the application has accepted
        self._denial: ResponseWriter | None = None  # once it has begun to answer with a response instead
        self._waiting: deque[Message] = deque([{"type": "websocket.connect"}])
        self._held_bytes = 0
        self._end: Message | None = None  # the last message, given again and again
        self._is_end_told = False
        self._has_closed = False  # the application has, by word
        self._change = Change()
        self._timer: asyncio.TimerHandle | None = None  # for the next ping, its pong, or the end of the handshake
        self._serials = itertools.count(1)
        self._ping = b""  # the payload of the one that is not answered yet
        self._pinging: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run the application. Raises nothing: what goes wrong is the conversation's to tell."""
        error: BaseException | None = None
        try:
            await self.conversation.server.application(self.scope, self.receive, self.send)
        except BaseException as raised:
            error = raised
        if error is None and self._frames is None and not self.is_answered and self._end is None:
            error = Unanswered("the application returned without having accepted or refused a WebSocket connection")
        if error is not None and self._is_end_told and came_of_leaving(error):
            let_go_of_frames(error)
            error = None
        self.conversation.talk_ended(self, error)
        del error  # as in an exchange

    # ── the conversation's side ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_answered(self) -> bool:
        """Whether the application owes nothing: it was told of the end, has closed, or has denied."""
        return self._has_closed or self._end is not None or (self._denial is not None and self._denial.is_over)

    def last_words(self, code: int = 1000, reason: str = "") -> bytes:
        """Return what is to be said when the talk ends from our side, before the connection closes."""
        self._finish(code, reason)
        if self._frames is not None:
            self._frames.close(code, reason)
            return self._frames.take()
        if self._denial is not None:
            return b""
        status, why = (503, "the service restarts") if code == GOING_AWAY else (500, "the server failed to answer")
        return build_refusal(status, why, self.conversation.server.dates.now())

    @property
    def awaits_close(self) -> bool:
        """Whether we have closed, and the peer's answer is still to come."""
        return self._frames is not None and self._frames.has_closed_first

    def go_away(self) -> None:
        """The server stops: say so, and end."""
        self.conversation.end_talk(self.last_words(GOING_AWAY))

    def leave(self, *, cut: bool = False) -> None:
        """Note that nothing comes from the client any more."""
        self._finish(ABNORMAL)

    def stop(self) -> None:
        """Let go of the timers."""
        if self._timer is not None:
            self._timer.cancel()
        if self._pinging is not None:
            self._pinging.cancel()

    async def take(self, data: bytes) -> None:
        """Take what the client says; done when the application has taken enough of it. Raises: RequestRefused."""
        frames = self._frames
        if frames is None:
            raise RequestRefused(400, "a client waits for the answer to its handshake")
        for received in frames.receive(data):
            match received:
                case str() | bytes():
                    await self._queue(received)
                case Ponged(payload):
                    self._note_pong(payload)
                case Closed():
                    self._note_close(received)
        await self._write(frames.take())

    async def _queue(self, message: str | bytes) -> None:
        size = len(message)
        self._tell("in", message)
        self._held_bytes += size
        as_text = isinstance(message, str)
        self._waiting.append(
            {"type": "websocket.receive", "text": message}
            if as_text
            else {"type": "websocket.receive", "bytes": message}
        )
        self._change.wake()
        while self._is_full and self._end is None:
            await self.conversation.wait()

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= MESSAGES_HELD_MAX or self._held_bytes >= HELD_BYTES_MAX

    def _note_close(self, closed: Closed) -> None:
        self._finish(closed.code, closed.reason)
        words = b"" if self._frames is None else self._frames.take()
        self.conversation.end_talk(words)

    def _finish(self, code: int, reason: str = "") -> None:
        """The application's last message is that the talk is over; the first such counts."""
        if self._end is None:
            self._end = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._change.wake()

    # ── receiving and sending ────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> Message:
        """Return the next message; ``websocket.disconnect`` when there are no more."""
        while not self._waiting:
            if self._end is not None:
                self._is_end_told = True
                return self._end
            await self._change.wait()
        message = self._waiting.popleft()
        self._held_bytes -= len(message.get("text") or message.get("bytes") or ())
        self.conversation.wake()
        return message

    async def send(self, message: Message) -> None:
        """Send a message; done when the kernel has taken it. Raises: ClientGone, HandlerError."""
        kind = message["type"]
        if self._has_closed:
            raise HandlerError(f"{kind} was sent after websocket.close")
        if self._end is not None:
            self._is_end_told = True
            raise ClientGone("the WebSocket connection is over")
        if self._frames is not None:
            await self._send_open(self._frames, kind, message)
        elif kind == "websocket.accept" and self._denial is None:
            await self._accept(message)
        elif kind == "websocket.close" and self._denial is None:
            await self._deny(403)
        elif kind.startswith("websocket.http.response."):
            await self._send_denial(kind, message)
        else:
            raise HandlerError(f"{kind} cannot be sent before websocket.accept")

    async def _send_open(self, frames: Frames, kind: str, message: Message) -> None:
        if kind == "websocket.send":
            text, data = message.get("text"), message.get("bytes")
            content = text if text is not None else b"" if data is None else bytes(data)
            frames.message(content)
            self._tell("out", content)
        elif kind == "websocket.close":
            code, reason = message.get("code") or 1000, message.get("reason") or ""
            frames.close(code, reason)
            self._has_closed = True
            self._finish(code, reason)
            self._set_timer(self.conversation.server.websocket_limits.close_s, self._close_is_late)
        else:
            raise HandlerError(f"{kind} is nothing that can be sent here")
        await self._write(frames.take())

    async def _accept(self, message: Message) -> None:
        server = self.conversation.server
        limits = server.websocket_limits
        fields = message.get("headers") or ()
        head = build_acceptance(self._handshake, message.get("subprotocol"), fields, server.dates.now())
        self._frames = Frames(self._handshake.extensions, message_bytes_max=limits.message_bytes)
        if events.listening(events.Spoke):
            self.conversation.tell("out", words_of_response(101, 0), len(head))
        self.conversation.count(101)
        self.conversation.connection.keeps_time = limits.ping_s > 0  # without pings it is idle when nothing comes
        self._set_timer(limits.ping_s, self._send_ping)
        await self._write(head)

    async def _deny(self, status: int) -> None:
        await self._send_denial("websocket.http.response.start", {"status": status})
        await self._send_denial("websocket.http.response.body", {})

    async def _send_denial(self, kind: str, message: Message) -> None:
        if kind == "websocket.http.response.start" and self._denial is None:
            self._denial = ResponseWriter("1.1", is_head=False, keeps_alive=False)
            self._denial.start(message["status"], message.get("headers") or (), self.conversation.server.dates.now())
        elif kind == "websocket.http.response.body" and self._denial is not None and not self._denial.is_over:
            body = message.get("body", b"")
            before, after, carries = self._denial.frame(len(body), more=message.get("more_body", False))
            await self._write(b"".join((before, body, after)) if carries else before + after)
            if self._denial.is_over:
                self._finish(ABNORMAL)
                self.conversation.end_talk(b"")
        else:
            raise HandlerError(f"{kind} was sent at the wrong moment")

    async def _write(self, data: bytes) -> None:
        if data:
            try:
                await self.conversation.connection.write(data)
            except ConnectionLost as error:
                self._finish(ABNORMAL)
                self._is_end_told = True
                raise ClientGone(str(error)) from error

    def _tell(self, direction: Literal["in", "out"], message: str | bytes) -> None:
        if events.listening(events.Spoke):
            kind, size = ("text" if isinstance(message, str) else "binary"), len(message)
            self.conversation.tell(direction, f"{kind} {size_in_words(size)}", size)

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _set_timer(self, seconds: float, act: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds > 0:
            self._timer = asyncio.get_running_loop().call_later(seconds, act)  # type: ignore[arg-type]

    def _send_ping(self) -> None:
        assert self._frames is not None
        self._ping = next(self._serials).to_bytes(8, "big")
        self._frames.ping(self._ping)
        self._pinging = asyncio.get_running_loop().create_task(self._write_ping(self._frames.take()))
        self._set_timer(self.conversation.server.websocket_limits.pong_s, self._pong_is_late)

    async def _write_ping(self, ping: bytes) -> None:
        try:
            await self._write(ping)
        except ClientGone:
            return  # the handler hears of it too

    def _note_pong(self, payload: bytes) -> None:
        if payload == self._ping and not self._has_closed:
            self._ping = b""
            self._set_timer(self.conversation.server.websocket_limits.ping_s, self._send_ping)

    def _pong_is_late(self) -> None:
        limits = self.conversation.server.websocket_limits
        if self._is_full:  # nobody has read as far as it may have come: the application is slow, not the client
            self._set_timer(limits.pong_s, self._pong_is_late)
            return
        verdict = TimeoutError(f"the client has not answered a ping for {limits.pong_s:g} s")
        self.conversation.end_talk(self.last_words(INTERNAL_ERROR, "no answer to a ping"), verdict)

    def _close_is_late(self) -> None:
        self.conversation.end_talk(b"")
