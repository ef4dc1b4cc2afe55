"""The open files of this process, as the lectures' table shows them: each number, and what stands behind it.

A process may always read its own; after it has become another user, nobody but root could read it from outside.
Source: proc(5), /proc/PID/fd.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from portside.serve import channel as say

if TYPE_CHECKING:
    from portside.net.opened import OpenSocket

_KINDS: Final = (  # what a link's target begins with, and what that is
    ("socket:", "socket"),
    ("pipe:", "pipe"),
    ("/dev/pts/", "terminal"),
    ("/dev/", "device"),
    ("/memfd:", "memory"),
    ("anon_inode:[eventpoll]", "epoll"),
    ("anon_inode:[eventfd]", "eventfd"),
    ("/", "file"),
)


class OpenFiles:
    """The open files of this process, page by page. What it once looked up for all pages holds until ``look_anew``."""

    def __init__(self, connections: Callable[[], Mapping[int, str]]) -> None:
        """``connections`` gives the ids of live connections by their descriptors."""
        self._find_connections = connections
        self._found: tuple[list[int], Mapping[int, str]] | None = None

    def look_anew(self) -> None:
        """Forget which there are: some have come and gone since."""
        self._found = None

    def page(self, after: int, limit: int) -> tuple[list[say.Descriptor], int | None]:
        """Return at most ``limit`` open files with numbers above ``after``, and the last number where others follow."""
        if self._found is None:
            self._found = _numbers(), self._find_connections()
        numbers, connections = self._found
        start = bisect_right(numbers, after)
        wanted = numbers[start : start + limit]
        rows = [row for number in wanted if (row := _row_of(number, connections)) is not None]
        return rows, wanted[-1] if start + limit < len(numbers) else None


def _numbers() -> list[int]:
    try:
        return sorted(map(int, os.listdir("/proc/self/fd")))
    except OSError:
        return []  # no /proc here


def _row_of(number: int, connections: Mapping[int, str]) -> say.Descriptor | None:
    try:
        target = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return None  # closed meanwhile: the one that listed the directory, or another thread's
    from portside.net.opened import look_at  # few ask, and every worker that is born would wait for it

    kind = next((kind for start, kind in _KINDS if target.startswith(start)), target.partition(":")[0])
    found = look_at(number) if kind == "socket" else None
    if found is None:
        return say.Descriptor(number, kind, target)
    return _socket_row(number, target, found, connections.get(number))


def _socket_row(number: int, target: str, found: OpenSocket, connection: str | None) -> say.Descriptor:
    return say.Descriptor(
        fd=number,
        kind="socket",
        target=target,
        protocol=found.protocol,
        state=found.state,
        local=say.address_json(found.local) if found.local is not None else None,
        peer=say.address_json(found.peer) if found.peer is not None else None,
        queued_in=found.queued_in_bytes,
        queued_out=found.queued_out_bytes,
        connection=connection,
    )
