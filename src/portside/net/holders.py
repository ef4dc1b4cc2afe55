"""Who holds an address that is in use. Source: proc(5), /proc/net/tcp, udp and unix."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from portside.address import InternetAddress, IPAddress, parse_ip, unmapped
from portside.net.owners import processes_by_socket

_TCP_LISTENS: Final = "0A"  # include/net/tcp_states.h
_UNIX_LISTENS: Final = 0x10000  # __SO_ACCEPTCON in the flags of /proc/net/unix


def holder_of_port(address: InternetAddress, is_datagram: bool) -> str | None:
    """Return ``process NAME (pid N)`` of who is bound to the port on an overlapping address, if we may see it."""
    wanted = unmapped(parse_ip(address.host.partition("%")[0]))
    tables = ("udp", "udp6") if is_datagram else ("tcp", "tcp6")

    def holds(fields: list[str]) -> bool:
        host, port = fields[1].split(":")
        if int(port, 16) != address.port or (not is_datagram and fields[3] != _TCP_LISTENS):
            return False
        bound = unmapped(_proc_ip(host))
        return bound == wanted or bound.is_unspecified or wanted.is_unspecified

    return _holder_among([(f"/proc/net/{table}", 9, holds) for table in tables])


def holder_of_path(path: str) -> str | None:
    """Return the same of who listens on a unix path or ``@name``."""

    def holds(fields: list[str]) -> bool:
        return len(fields) > 7 and fields[7] == path and bool(int(fields[3], 16) & _UNIX_LISTENS)

    return _holder_among([("/proc/net/unix", 6, holds)])


def _proc_ip(text: str) -> IPAddress:
    """Return the address that /proc/net/tcp writes as 32-bit words in the machine's byte order."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    raw = b"".join(words)
    return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)


def _holder_among(tables: list[tuple[str, int, Callable[[list[str]], bool]]]) -> str | None:
    """Return the process, the oldest number first, that has open one of the sockets for which a row's test holds."""
    inodes: set[int] = set()
    for path, inode_column, holds in tables:
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8", errors="replace") as rows:
            next(rows, None)
            for row in rows:
                fields = row.split()
                if holds(fields):
                    inodes.add(int(fields[inode_column]))
    holders = [process for processes in processes_by_socket(inodes).values() for process in processes] if inodes else []
    if not holders:
        return None
    first = min(holders)
    return f"process {first.program} (pid {first.pid})"
