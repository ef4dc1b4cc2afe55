"""What a socket that is open in this process is, asked of the kernel by its number.

Sources: socket(7), tcp(7), unix(7); TCP's states from include/net/tcp_states.h.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from portside.address import Address, from_sockaddr
from portside.net.sockets import AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, SOCK_DGRAM, SOCK_STREAM, Socket

Answer = TypeVar("Answer")

SOL_SOCKET: Final = 1  # asm-generic/socket.h
SO_ACCEPTCONN: Final = 30
TCP_INFO: Final = 11  # linux/tcp.h

TCP_STATES: Final = (
    *("", "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait"),
    *("close", "close-wait", "last-ack", "listen", "closing", "new-syn-recv"),
)

_FAMILIES: Final = {AF_INET: "ipv4", AF_INET6: "ipv6", AF_UNIX: "unix"}


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """A socket of this process. What it has not, or what the kernel does not tell, is None.

    ``protocol`` is tcp, udp or unix; the kernel holds ``queued_in_bytes`` that nobody has read and
    ``queued_out_bytes`` that the peer has not acknowledged.
    """

    protocol: str
    state: str | None = None
    local: Address | None = None
    peer: Address | None = None
    queued_in_bytes: int | None = None
    queued_out_bytes: int | None = None


def look_at(descriptor: int) -> OpenSocket | None:
    """Return what the socket of that number is; None if there is none of that number any more."""
    try:
        duplicate = os.dup(descriptor)
    except OSError:
        return None
    try:
        sock = Socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        return None
    with sock:
        return _described(sock)


def _described(sock: Socket) -> OpenSocket:
    if sock.family not in _FAMILIES:
        return OpenSocket(f"family {int(sock.family)}")
    is_stream = sock.type == SOCK_STREAM
    protocol = "unix" if sock.family == AF_UNIX else "tcp" if is_stream else "udp" if sock.type == SOCK_DGRAM else "raw"
    listens = is_stream and bool(_asked(lambda: sock.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)))
    peer = None if listens else _asked(lambda: from_sockaddr(sock.getpeername()))
    return OpenSocket(
        protocol=protocol,
        state=_tcp_state(sock) if protocol == "tcp" else "listen" if listens else "established" if peer else None,
        local=_asked(lambda: from_sockaddr(sock.getsockname())),
        peer=peer,
        queued_in_bytes=None if listens else _queued(sock, termios.FIONREAD),
        queued_out_bytes=None if listens else _queued(sock, termios.TIOCOUTQ),
    )


def _tcp_state(sock: Socket) -> str | None:
    info = _asked(lambda: sock.getsockopt(IPPROTO_TCP, TCP_INFO, 1))  # its first byte
    number = info[0] if isinstance(info, bytes) and info else 0
    return TCP_STATES[number] or None if number < len(TCP_STATES) else None


def _queued(sock: Socket, request: int) -> int | None:
    return _asked(lambda: int.from_bytes(fcntl.ioctl(sock.fileno(), request, bytes(4)), sys.byteorder))


def _asked(ask: Callable[[], Answer]) -> Answer | None:
    try:
        return ask()
    except (OSError, ValueError):
        return None
