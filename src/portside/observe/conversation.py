"""The last messages of each conversation, in bounded memory: of those that go on, and of those that ended lately.

No events, clocks or processes here: whoever hears of a message adds it, with its time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

MESSAGES_KEPT: Final = 50  # of one conversation
ENDED_KEPT: Final = 100  # conversations that are over
LIVE_KEPT: Final = 20_000  # those that go on, or whose end nobody told
BYTES_MAX: Final = 4 * 1_048_576  # of all messages together, as ``cost_bytes`` has it
WORDS_MAX: Final = 240  # characters of one message: a longer one is cut, and says so

_MESSAGE_BYTES: Final = 250  # what a message takes beside its words: a tuple, three numbers and a place in a deque


class Message(NamedTuple):
    """One message. ``seq`` counts the conversation's from 1; the time is in seconds since the epoch."""

    seq: int
    time_s: float
    direction: Literal["in", "out"]
    lane: str
    words: str
    size_bytes: int

    @property
    def cost_bytes(self) -> int:
        """About what it takes in memory."""
        return _MESSAGE_BYTES + len(self.words)


@dataclass(eq=False, slots=True)
class Conversation:
    """What is kept of one conversation. ``said`` counts all its messages; ``ended`` is how it ended, once it has."""

    messages: deque[Message] = field(default_factory=deque)
    said: int = 0
    ended: dict[str, Any] | None = None

    def newer_than(self, seq: int, limit: int) -> tuple[list[Message], int]:
        """Return at most ``limit`` messages with higher numbers, the oldest first, and how many of those are lost."""
        found = [message for message in self.messages if message.seq > seq]
        first = found[0].seq if found else self.said + 1
        return found[:limit], max(0, first - 1 - seq)


class Conversations:
    """All of one process. Whoever has not spoken for the longest time gives way when memory is short."""

    def __init__(
        self,
        *,
        messages_kept: int = MESSAGES_KEPT,
        ended_kept: int = ENDED_KEPT,
        live_kept: int = LIVE_KEPT,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        self._messages_kept = messages_kept
        self._ended_kept = ended_kept
        self._live_kept = live_kept
        self._bytes_max = bytes_max
        self._live: OrderedDict[str, Conversation] = OrderedDict()  # who spoke last is last
        self._ended: OrderedDict[str, Conversation] = OrderedDict()
        self.cost_bytes = 0

    def add(  # noqa: PLR0917 - once for each message that is said: names would cost as much as all the rest
        self,
        connection: str,
        time_s: float,
        direction: Literal["in", "out"],
        words: str,
        size_bytes: int,
        lane: str = "",
    ) -> None:
        """Keep a message; the first one begins its conversation, and one that is told late goes to its end."""
        conversation = self._live.get(connection)
        if conversation is not None:
            self._live.move_to_end(connection)
        elif (conversation := self._ended.get(connection)) is None:
            conversation = self._begin(connection)
        conversation.said += 1
        if len(words) > WORDS_MAX:
            words = words[: WORDS_MAX - 1] + "…"
        message = Message(conversation.said, time_s, direction, lane, words, size_bytes)
        conversation.messages.append(message)
        self.cost_bytes += _MESSAGE_BYTES + len(words)
        if len(conversation.messages) > self._messages_kept:
            self._forget_first_of(conversation)
        while self.cost_bytes > self._bytes_max:
            self._make_room()

    def _begin(self, connection: str) -> Conversation:
        if len(self._live) >= self._live_kept:
            self._forget(self._live.popitem(last=False)[1])
        conversation = self._live[connection] = Conversation()
        return conversation

    def end(self, connection: str, how: dict[str, Any]) -> None:
        """Note how a conversation ended. One in which nothing was said is not kept."""
        conversation = self._live.pop(connection, None)
        if conversation is None:
            return
        conversation.ended = how
        self._ended[connection] = conversation
        if len(self._ended) > self._ended_kept:
            self._forget(self._ended.popitem(last=False)[1])

    def of(self, connection: str) -> Conversation | None:
        """Return the conversation of that connection, None if nothing of it is kept."""
        return self._live.get(connection) or self._ended.get(connection)

    def _make_room(self) -> None:
        if self._ended:
            self._forget(self._ended.popitem(last=False)[1])
            return
        # The conversation itself stays, however little of it: it goes on, and what comes will be numbered right.
        silent = next(conversation for conversation in self._live.values() if conversation.messages)
        self._forget_first_of(silent)

    def _forget_first_of(self, conversation: Conversation) -> None:
        self.cost_bytes -= conversation.messages.popleft().cost_bytes

    def _forget(self, conversation: Conversation) -> None:
        self.cost_bytes -= sum(message.cost_bytes for message in conversation.messages)
