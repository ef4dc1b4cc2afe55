"""Socket options: those that mean something to a simulated stack, and those that are only kept."""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

SECOND: Final = 1_000_000_000
_LINGER: Final = struct.Struct("ii")

_DEFAULTS: Final = {
    (socket.SOL_SOCKET, socket.SO_SNDBUF): 262_144,
    (socket.SOL_SOCKET, socket.SO_RCVBUF): 262_144,
    (socket.IPPROTO_TCP, socket.TCP_MAXSEG): 1_460,
    (socket.IPPROTO_IP, socket.IP_TTL): 64,
}


def apply(connection: Any, level: int, option: int, value: Any) -> None:
    """Let an option of TCP have its effect on a connection."""
    number = value if isinstance(value, int) else int.from_bytes(value[:4], "little")
    match level, option:
        case socket.IPPROTO_TCP, socket.TCP_NODELAY:
            connection.nodelay = bool(number)
        case socket.SOL_SOCKET, socket.SO_KEEPALIVE:
            connection.keepalive = bool(number)
        case socket.SOL_SOCKET, socket.SO_LINGER:
            is_on, seconds = _LINGER.unpack(value)
            connection.linger_s = seconds if is_on else None
        case socket.SOL_SOCKET, socket.SO_SNDBUF:
            connection.send_buffer = 2 * number  # the kernel doubles what it is asked for: socket(7)
        case socket.SOL_SOCKET, socket.SO_RCVBUF:
            connection.receive_buffer = 2 * number
        case socket.IPPROTO_TCP, socket.TCP_KEEPIDLE:
            connection.keepalive_idle_ns = number * SECOND
        case socket.IPPROTO_TCP, socket.TCP_KEEPINTVL:
            connection.keepalive_interval_ns = number * SECOND
        case socket.IPPROTO_TCP, socket.TCP_KEEPCNT:
            connection.keepalive_count = number


def default_of(level: int, option: int) -> int:
    """Return what an option is that nobody has set."""
    return _DEFAULTS.get((level, option), 0)
