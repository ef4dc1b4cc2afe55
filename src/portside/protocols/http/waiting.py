"""Waiting until something is different, for any number of tasks at once."""

from __future__ import annotations

import asyncio
import contextlib


class Change:
    """Something that tasks wait for, again and again. ``wake`` lets all go that wait at that moment."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] | None = None

    @property
    def is_awaited(self) -> bool:
        return self._waiting is not None

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        for future in waiting or ():
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = [future]
        else:
            self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            self._forget(future)
            raise

    def _forget(self, future: asyncio.Future[None]) -> None:
        if self._waiting is not None:
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)
            self._waiting = self._waiting or None
