"""What goes on beside a handler: a task of its event loop, or, where there is none, a thread that drives a coroutine.

Either way ``wait`` gives back what came of it; an error that nobody waited for is logged when the work is forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, Final

from portside.errors import LocalError
from portside.net.drive import drive

log = logging.getLogger("portside")

MODEL: Final = "blocking"  # what a foreign await in the work of a thread is told


class TaskWork:
    """Work under an event loop. Cancelling whoever waits for it cancels the work: it must not outlive them."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    @property
    def done(self) -> bool:
        return self._task.done()

    async def wait(self) -> None:
        await self._task


class ThreadWork:
    """Work in a thread of its own, begun at once. Raises: LocalError where there are no more threads."""

    __slots__ = ("_error", "_is_told", "_thread")

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._error: BaseException | None = None
        self._is_told = False
        name = getattr(coroutine, "__qualname__", "work")
        context = copy_context()
        self._thread = threading.Thread(
            target=lambda: context.run(self._drive, coroutine, name), name=f"portside-{name}", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:  # the kernel gives no more: pids, memory, a cgroup's limit
            coroutine.close()
            raise LocalError(f"no thread for {name} can be started") from error

    def _drive(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        try:
            drive(coroutine, handler=name, model=MODEL)
        except BaseException as error:
            self._error = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    async def wait(self) -> None:
        self._thread.join()
        self._is_told = True
        if self._error is not None:
            raise self._error

    def __del__(self) -> None:
        error = getattr(self, "_error", None)
        if error is not None and not self._is_told:
            log.error("work beside a handler failed, and nobody waited for it", exc_info=error)
