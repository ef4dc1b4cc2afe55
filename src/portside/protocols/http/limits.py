"""What a client may ask of the server: how long, how large and how slow its requests may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNREAD_BYTES_MAX: Final = 262_144  # of a body nobody wants: read and thrown away for the next request's sake


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The limits of one service. ``None`` sets none.

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
