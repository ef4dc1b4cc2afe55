"""An event loop on virtual time: it never waits, and a world in which nothing is left to happen fails at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class NothingLeft(AssertionError):
    """Everybody waits for somebody else, for ever."""


class _Jumping(selectors.DefaultSelector):
    """Where a loop would wait, its time jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0  # no world begins with its clock
        self.loop: asyncio.AbstractEventLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            assert self.loop is not None
            raise NothingLeft("\n".join(["nothing is left to happen; there wait:", *_who_waits(self.loop)]))
        self.now_s += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes when nothing else can happen. Its world has no threads and no sockets."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._jumping.loop = self

    def time(self) -> float:
        return self._jumping.now_s


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run the coroutine to its end in virtual time. Raises: NothingLeft."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def _who_waits(loop: asyncio.AbstractEventLoop) -> list[str]:
    lines = []
    for task in asyncio.all_tasks(loop):
        awaits: Any = task.get_coro()
        while awaits is not None:
            frame = getattr(awaits, "cr_frame", None)
            if frame is not None:
                lines.append(f"  {frame.f_code.co_qualname}, line {frame.f_lineno}")
            awaits = getattr(awaits, "cr_await", None)
        lines.append("")
    return lines
