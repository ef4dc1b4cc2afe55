"""Conversations as the control socket gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PEER, LOCAL = {"host": "192.0.2.7", "port": 40_123}, {"host": "2001:db8::1", "port": 21}


def a_message(
    seq: int, direction: Literal["in", "out"], words: str, *, at_s: float = 0.0, lane: str = ""
) -> dict[str, Any]:
    """A message that came or went so many seconds after the beginning."""
    time = (BEGAN + timedelta(seconds=at_s)).isoformat(timespec="microseconds")
    return {"seq": seq, "time": time, "direction": direction, "lane": lane, "words": words, "bytes": len(words)}


def a_conversation(*messages: dict[str, Any], lost: int = 0, is_over: bool = False) -> dict[str, Any]:
    """A conversation with these messages; one that is over lasted four seconds."""
    ended = {
        "time": (BEGAN + timedelta(seconds=4)).isoformat(),
        "reason": "peer",
        "detail": "reset by the peer",
        "local": LOCAL,
        "peer": PEER,
        "bytes_in": 11,
        "bytes_out": 1_500,
        "duration_s": 4.0,
    }
    row = {"id": "7-1", "peer": PEER, "local": LOCAL, "started_at": BEGAN.isoformat(), "age_s": 3.0}
    return {
        "connection": "7-1",
        "service": "files",
        "worker": 7,
        "row": None if is_over else row,
        "messages": list(messages),
        "lost": lost,
        "ended": ended if is_over else None,
    }
