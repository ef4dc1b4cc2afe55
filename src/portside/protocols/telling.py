"""Telling whoever watches what is said over a connection, in words. Nothing is made of them where nobody listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from portside import events
from portside.contracts import Connection

Tell = Callable[[Connection, Literal["in", "out"], bytes], None]
"""Told each message that came in or went out: its bytes, which are its words as well."""


def teller(service: str) -> Tell:
    """Return who tells of a service whose messages are lines of text, and no secrets."""

    def tell(visitor: Connection, direction: Literal["in", "out"], message: bytes) -> None:
        if events.listening(events.Spoke):
            words = message.rstrip(b"\r\n").decode("utf-8", "replace")
            events.emit(events.Spoke(service, visitor.id, direction, words, len(message)))

    return tell
