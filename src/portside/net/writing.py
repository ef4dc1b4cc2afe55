"""Turns to write among the tasks of an event loop that share a connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portside.net.loop_stream import LoopStream


class Writing:
    """A task's turn to write, for ``async with``: a generator's would cost three times as much."""

    __slots__ = ("_stream",)

    def __init__(self, stream: LoopStream) -> None:
        self._stream = stream

    async def __aenter__(self) -> None:
        stream = self._stream
        if stream._write_lock is None:
            stream._write_lock = asyncio.Lock()
        stream._writers += 1
        stream._direct = False
        try:
            await stream._write_lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        lock = self._stream._write_lock
        assert lock is not None
        lock.release()
        self._leave()

    def _leave(self) -> None:
        self._stream._writers -= 1
        self._stream._direct = self._stream._may_be_direct()
