"""What a client may ask of the server: how long, how large and how slow its requests and messages may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNREAD_BYTES_MAX: Final = 262_144  # of a body nobody wants: read and thrown away for the next request's sake
BODY_HELD_BYTES_MAX: Final = 65_536  # of a body the application has not asked for yet, and what one read adds to it


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The limits of one service's requests. ``None`` sets none.

    A body may rest ``body_s`` seconds in all while the application waits for it, and a second more for each
    ``body_bytes_per_s`` bytes that have come.
    """

    target_bytes: int = 8_192  # RFC 9112 section 3 asks for at least 8,000
    headers: int = 100
    head_bytes: int = 65_536
    head_s: float = 30.0  # from a head's first byte to its last
    body_bytes: int | None = 104_857_600
    body_s: float = 30.0
    body_bytes_per_s: int = 500


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """The limits of WebSocket connections. ``ping_s`` of 0 sends no pings."""

    message_bytes: int = 16_777_216
    ping_s: float = 20.0  # between pings …
    pong_s: float = 20.0  # … and how long the answer to one may take
    close_s: float = 10.0  # for the peer's answer to our close
    compresses: bool = True  # permessage-deflate, RFC 7692
