"""What is drawn, whatever it is drawn with: lifelines, and messages that go from one to another in their order.

Made of what the control socket answers to ``{"do": "conversation"}``. The server stands in the middle: its client to
the left, and to the right whom it talks to on other lanes, such as the client's end of FTP's data connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from portside.units import size_in_words

CLIENT: Final = 0
SERVER: Final = 1

PAUSE_S: Final = 1.0  # between two messages, from which on a diagram shows that time has passed

_ENDINGS: Final = {  # events.EndReason
    "done": "the server was done",
    "peer": "the client broke it off",
    "idle": "idle for too long",
    "life": "connected for too long",
    "stopped": "closed by the operator",
    "drained": "the server shut down",
    "handler": "the handler failed",
    "tls": "TLS failed",
    "timeout": "a time of the handler's own passed",
}


@dataclass(frozen=True, slots=True)
class Lifeline:
    """One who talks: what it is called, and where it is."""

    name: str
    place: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message from one lifeline to another, by their numbers; the time is in seconds since the connection began."""

    seq: int
    at_s: float
    source: int
    target: int
    words: str
    size_bytes: int

    @property
    def is_refusal(self) -> bool:
        """Whether it says that something failed, as FTP, HTTP and their like do: 4 or 5, and two more digits."""
        code = self.words[:3]
        return code.isascii() and code.isdigit() and code[0] in "45" and self.words[3:4] in ("", " ")


@dataclass(frozen=True, slots=True)
class Diagram:
    """A conversation as it is drawn. ``lost`` messages came before the first arrow and are not kept any more."""

    title: str
    began: str
    lifelines: tuple[Lifeline, ...]
    arrows: tuple[Arrow, ...]
    lost: int = 0
    ending: str | None = None


def diagram_of(conversation: Mapping[str, Any], lanes: Sequence[str] | None = None) -> Diagram:
    """Return the diagram of a conversation as the control socket has it.

    ``lanes`` are those that it has; without them, those of the messages that are there.
    """
    messages, row, ended = conversation["messages"], conversation["row"], conversation["ended"]
    ends = row or ended or {"peer": None, "local": None}
    if lanes is None:
        lanes = list(dict.fromkeys(message["lane"] for message in messages if message["lane"]))
    began = _beginning(conversation)
    return Diagram(
        title=f"{conversation['service']}: connection {conversation['connection']}",
        began=f"{began.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ', timespec='milliseconds')} UTC"
        if began
        else "",
        lifelines=(
            Lifeline("client", shown_place(ends["peer"])),
            Lifeline(conversation["service"], shown_place(ends["local"])),
            *(Lifeline("client", f"{lane} connection") for lane in lanes),
        ),
        arrows=tuple(_arrow(message, began, lanes) for message in messages),
        lost=conversation["lost"],
        ending=_ending(ended) if ended else None,
    )


def _arrow(message: Mapping[str, Any], began: datetime | None, lanes: Sequence[str]) -> Arrow:
    other = 2 + lanes.index(message["lane"]) if message["lane"] else CLIENT
    comes = message["direction"] == "in"
    at = datetime.fromisoformat(message["time"])
    return Arrow(
        seq=message["seq"],
        at_s=max(0.0, (at - began).total_seconds()) if began else 0.0,
        source=other if comes else SERVER,
        target=SERVER if comes else other,
        words=message["words"],
        size_bytes=message["bytes"],
    )


def _beginning(conversation: Mapping[str, Any]) -> datetime | None:
    messages, row, ended = conversation["messages"], conversation["row"], conversation["ended"]
    if row:
        return datetime.fromisoformat(row["started_at"])
    if ended:
        return datetime.fromisoformat(ended["time"]) - timedelta(seconds=ended["duration_s"])
    return datetime.fromisoformat(messages[0]["time"]) if messages else None


def _ending(ended: Mapping[str, Any]) -> str:
    why = _ENDINGS.get(ended["reason"], ended["reason"])
    detail = f" ({ended['detail']})" if ended["detail"] else ""
    moved = f"{size_in_words(ended['bytes_in'])} came, {size_in_words(ended['bytes_out'])} went"
    return f"over after {shown_seconds(ended['duration_s'])} s: {why}{detail}; {moved}"


def shown_place(address: Mapping[str, Any] | None) -> str:
    """Return the address of a listing as people write it."""
    if address is None:
        return ""
    if "path" in address:
        return f"unix:{address['path']}"
    host = f"[{address['host']}]" if ":" in address["host"] else address["host"]
    return f"{host}:{address['port']}"


def shown_seconds(seconds: float) -> str:
    """Return the seconds as they stand beside a diagram: to the millisecond."""
    return f"{seconds:.3f}"
