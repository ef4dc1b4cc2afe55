"""WebSocket without I/O: bytes in, messages out, and back; over the protocol of ``websockets``.

Source: RFC 6455 for frames, RFC 7692 for compression. Of messages in fragments the application sees nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from websockets.exceptions import InvalidState, ProtocolError
from websockets.extensions import Extension
from websockets.frames import CloseCode, Opcode
from websockets.protocol import Protocol, Side, State

# A few bytes may be a thousand times as many when they are unpacked: no more than these are, before their messages are
# taken away.
_PACKED_BYTES: Final = 8_192
REASON_BYTES_MAX: Final = 123  # RFC 6455 section 5.5


@dataclass(frozen=True, slots=True)
class Ponged:
    """The peer has answered a ping of ours."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The conversation is over for the peer, or it broke the protocol, and for us."""

    code: int
    reason: str
    is_failure: bool = False


Received: TypeAlias = str | bytes | Ponged | Closed


class Frames:
    """The server's end of a WebSocket connection whose handshake is over.

    ``receive`` what came, send with ``message``, ``ping`` and ``close``; after each of these, ``take`` what is to be
    written to the peer: answers to its pings and to its close are among it.
    """

    def __init__(self, extensions: Sequence[Extension], *, message_bytes_max: int) -> None:
        self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=message_bytes_max)
        self._protocol.extensions = list(extensions)
        self._is_text = False
        self._fragments: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether neither side has said that it closes."""
        return self._protocol.state is State.OPEN

    @property
    def has_closed_first(self) -> bool:
        """Whether we have said that we close, and the peer has not."""
        return self._protocol.close_sent is not None and self._protocol.close_rcvd is None

    def take(self) -> bytes:
        return b"".join(self._protocol.data_to_send())

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, data: bytes) -> Iterator[Received]:
        """Yield what the bytes complete, unpacking no more at a time than was asked for. Closed is the last."""
        size = _PACKED_BYTES if self._protocol.extensions else len(data)
        for start in range(0, len(data), size):
            self._protocol.receive_data(data[start : start + size])
            for frame in self._protocol.events_received():
                received = self._take_frame(frame.opcode, bytes(frame.data), is_last=frame.fin)  # type: ignore[union-attr]
                if received is not None:
                    yield received
                    if isinstance(received, Closed):
                        return
            failure = self._protocol.parser_exc
            if failure is not None:
                sent = self._protocol.close_sent
                yield Closed(1006, str(failure), True) if sent is None else Closed(sent.code, sent.reason, True)
                return

    def _take_frame(self, opcode: Opcode, data: bytes, *, is_last: bool) -> Received | None:
        match opcode:
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                if opcode is not Opcode.CONT:
                    self._is_text = opcode is Opcode.TEXT
                self._fragments.append(data)
                return self._take_message() if is_last else None
            case Opcode.PONG:
                return Ponged(data)
            case Opcode.CLOSE:
                close = self._protocol.close_rcvd
                return None if close is None else Closed(int(close.code), close.reason)
            case _:
                return None  # a ping, and answered

    def _take_message(self) -> Received:
        fragments, self._fragments = self._fragments, []
        data = fragments[0] if len(fragments) == 1 else b"".join(fragments)
        if not self._is_text:
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:
            self._protocol.fail(CloseCode.INVALID_DATA, "the text is not UTF-8")
            return Closed(CloseCode.INVALID_DATA, "the text is not UTF-8", True)

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def message(self, message: str | bytes) -> None:
        """Send a message. Only while ``is_open``."""
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)

    def ping(self, payload: bytes) -> None:
        with contextlib.suppress(InvalidState):
            self._protocol.send_ping(payload)

    def close(self, code: int, reason: str = "") -> None:
        """Say that we close; nothing where that was said. Raises: ValueError for a code that cannot be sent."""
        if not self.is_open:
            return
        try:
            self._protocol.send_close(code, cut_reason(reason))
        except ProtocolError as error:
            raise ValueError(f"{code} is no code to close with: {error}") from error


def cut_reason(reason: str) -> str:
    """Return as much of the reason as fits into a frame."""
    return reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
