"""The observer in a worker: hears what is said and what fails, keeps the one, tells of the other.

It listens to three kinds of events. A battery without words emits none of the first, and costs nothing here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any, Final, Literal, TypeAlias

from portside import events
from portside.observe.conversation import Conversations, Message
from portside.observe.log import address_fields, error_text, traceback_of
from portside.units import size_in_words

Sight: TypeAlias = dict[str, Any]
"""What was seen, as an object of JSON: what a child tells its worker, and a worker whoever asks."""

FAILURES_PER_S: Final = 10  # of a worker; a handler that fails at everything must not keep the supervisor busy
SHOWN_BYTES: Final = 60  # of a piece of text that nobody has words for, …
SHOWN_HEX_BYTES: Final = 20  # … and of other bytes
TRACEBACK_CHARACTERS_MAX: Final = 16_384  # the end of it, which says what failed


class Witness:
    """See ``serve.observing.Observer``, whose contract this keeps."""

    def __init__(
        self,
        conversations: Conversations | None = None,
        *,
        now_s: Callable[[], float] = time,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._conversations = conversations or Conversations()
        self._now_s = now_s
        self._clock = clock
        self._lock = threading.Lock()
        self._tell_failure: Callable[[Sight], None] = _to_nobody
        self._tell: Callable[[Sight], None] | None = None  # in a child, which has one connection
        self._has_told = False
        self._second_s = 0.0  # the second in which failures are counted, …
        self._failures = 0  # … how many it had
        self._ends: tuple[Callable[[], None], ...] = ()

    def begin(self, tell_failure: Callable[[Sight], None]) -> None:
        """Listen from now on, and tell of failures."""
        self._tell_failure = tell_failure
        self._ends = (
            events.subscribe(self._hear_message, events.Spoke),
            events.subscribe(self._hear, events.ConnectionClosed, events.HandlerFailed),
        )

    def end(self) -> None:
        """Hear no more."""
        for end in self._ends:
            end()

    def begin_in_child(self, tell: Callable[[Sight], None]) -> None:
        """Tell what is heard from now on, instead of keeping it."""
        self._tell = tell

    def take(self, sight: Sight) -> None:
        """Keep, or tell of, what the observer of a child has told."""
        match sight:
            case {"saw": "message", "said": said}:
                self._keep(*said)
            case {"saw": "end", "connection": connection, "how": how}:
                with self._lock:
                    self._conversations.end(connection, how)
            case {"saw": "failure", "failure": failure}:
                self._failed(failure)

    def moved(self, connection: str, direction: Literal["in", "out"], data: bytes, at_s: float) -> None:
        """Keep bytes as a message, in the words for them."""
        self._see_message(connection, at_s, direction, words_of_bytes(data), len(data), "")

    def conversation(self, connection: str, after: int, limit: int) -> Sight | None:
        """Return what is kept of it, newer than ``after``; None if nothing ever was."""
        with self._lock:
            conversation = self._conversations.of(connection)
            if conversation is None:
                return None
            messages, lost = conversation.newer_than(after, limit)
            ended = conversation.ended
        return {"messages": [shown_message(message) for message in messages], "lost": lost, "ended": ended}

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _hear_message(self, event: events.Event) -> None:
        assert isinstance(event, events.Spoke)
        self._see_message(event.connection, self._now_s(), event.direction, event.words, event.size_bytes, event.lane)

    def _hear(self, event: events.Event) -> None:
        match event:
            case events.ConnectionClosed() if self._has_heard_of(event.connection):
                self._see({"saw": "end", "connection": event.connection, "how": shown_end(event, self._now_s())})
            case events.HandlerFailed():
                self._see({"saw": "failure", "failure": shown_failure(event, self._now_s())})

    def _has_heard_of(self, connection: str) -> bool:
        """Whether anything was said over it: the end of others is nothing to remember."""
        return self._has_told if self._tell is not None else self._conversations.of(connection) is not None

    def _see_message(self, *said: Any) -> None:
        """Keep or tell a message, given as ``Conversations.add`` takes it."""
        if self._tell is None:
            self._keep(*said)
        else:
            self._has_told = True
            self._tell({"saw": "message", "said": said})

    def _see(self, sight: Sight) -> None:
        if self._tell is None:
            self.take(sight)
        else:
            self._tell(sight)

    def _keep(self, *said: Any) -> None:
        with self._lock:
            self._conversations.add(*said)

    def _failed(self, failure: Sight) -> None:
        """Tell of a failure, unless there are too many of them: the ledger counts them all."""
        now_s = self._clock()
        with self._lock:
            if now_s - self._second_s >= 1.0:
                self._second_s, self._failures = now_s, 0
            self._failures += 1
            is_heard = self._failures <= FAILURES_PER_S
        if is_heard:
            self._tell_failure(failure)


# ── bytes without words ──────────────────────────────────────────────────────────────────────────────────────────────


def words_of_bytes(data: bytes) -> str:
    """Return what to say of bytes that nobody has words for: text in quotation marks, or hexadecimal digits."""
    if not data:
        return "end of the stream"
    start = data[:SHOWN_BYTES]
    text = start.decode("utf-8", "replace")
    strange = sum(not (character.isprintable() or character in "\r\n\t") or character == "\ufffd" for character in text)
    shown = start[:SHOWN_HEX_BYTES].hex(" ") if 4 * strange > len(text) else f"“{text.translate(_CONTROLS)}”"
    is_whole = len(data) <= (SHOWN_HEX_BYTES if shown[0] != "“" else SHOWN_BYTES)
    return shown if is_whole else f"{shown} … {size_in_words(len(data))}"


_CONTROLS: Final = {ord("\r"): "␍", ord("\n"): "␊", ord("\t"): "␉"}  # the pictures that Unicode has for them


# ── as it is shown ───────────────────────────────────────────────────────────────────────────────────────────────────


def shown_message(message: Message) -> Sight:
    """Return the message as the control socket gives it."""
    return {
        "seq": message.seq,
        "time": shown_time(message.time_s),
        "direction": message.direction,
        "lane": message.lane,
        "words": message.words,
        "bytes": message.size_bytes,
    }


def shown_end(event: events.ConnectionClosed, at_s: float) -> Sight:
    """Return how a connection ended, and between whom it was: nobody else knows that any more."""
    return {
        "time": shown_time(at_s),
        "reason": event.reason,
        "detail": event.detail,
        "local": address_fields(event.local),
        "peer": address_fields(event.peer),
        "bytes_in": event.bytes_in,
        "bytes_out": event.bytes_out,
        "duration_s": round(event.duration_s, 6),
    }


def shown_failure(event: events.HandlerFailed, at_s: float) -> Sight:
    """Return the failure with the end of its traceback."""
    traceback = traceback_of(event.error)
    if len(traceback) > TRACEBACK_CHARACTERS_MAX:
        traceback = "…" + traceback[1 - TRACEBACK_CHARACTERS_MAX :]
    return {
        "time": shown_time(at_s),
        "connection": event.connection or None,
        "peer": address_fields(event.peer),
        "error": error_text(event.error),
        "traceback": traceback,
    }


def shown_time(at_s: float) -> str:
    """Return the time in ISO 8601 to the microsecond, in UTC."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="microseconds")


def _to_nobody(sight: Sight) -> None:
    pass
