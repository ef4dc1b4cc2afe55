"""What clients on a terminal or in a pipe need: both directions at once, and neither held up by the other.

The network side runs on an event loop. Standard input and output are ordinary descriptors, shared with other
programs, that may be a terminal, a pipe or a file: their reads and writes block, each in a thread of its own. A piece
is on its way in each direction, never more, so memory stays small whatever either side does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import select
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

from portside.errors import UsageError

PIECE_BYTES: Final = 65_536  # what a pipe holds on Linux: pipe(7)
HURRY_S: Final = 0.05  # a file, or a program that has its output ready, takes less; a person takes more

Result = TypeVar("Result")


class Hand:
    """A thread that does one blocking call after the other for an event loop.

    A daemon: nobody waits at exit for a terminal on which nothing is typed.
    """

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._do_all, name=name, daemon=True).start()

    async def do(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call the function in the thread, and return what it returns or raise what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def settle(result: Result | None, error: BaseException | None) -> None:
            if future.done():  # cancelled meanwhile
                return
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]
            else:
                future.set_exception(error)

        def work() -> None:
            result, failure = None, None
            try:
                result = function(*arguments)
            except BaseException as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result, failure)

        self._work.put(work)
        return await future

    def _do_all(self) -> None:
        while True:
            self._work.get()()


class Source:
    """A descriptor read in pieces, or in lines, until its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._hand = Hand("input")
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """End as soon as nothing comes for a moment: nobody is left who waits for what may still be typed."""
        self._hurried.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield what comes, as it comes."""
        hurried = asyncio.ensure_future(self._hurried.wait())
        try:
            while True:
                read = asyncio.ensure_future(self._hand.do(os.read, self._descriptor, PIECE_BYTES))
                await asyncio.wait((read, hurried), return_when=asyncio.FIRST_COMPLETED)
                if not read.done():
                    await asyncio.wait((read,), timeout=HURRY_S)
                if not read.done():
                    read.cancel()
                    return
                if not read.result():
                    return
                yield read.result()
        finally:
            hurried.cancel()

    async def lines(self, limit_bytes: int) -> AsyncIterator[list[bytes]]:
        """Yield the lines that came at once, each without its LF; a last line without one as it is.

        Raises: UsageError for a line that is longer than the limit.
        """
        rest = b""
        async for piece in self.pieces():
            *lines, rest = (rest + piece).split(b"\n")
            longest = max(map(len, (*lines, rest)))
            if longest > limit_bytes:
                raise UsageError(f"a line of the input has {longest} bytes or more, at most {limit_bytes} can be sent")
            if lines:
                yield lines
        if rest:
            yield [rest]


class Sink:
    """A descriptor written whole pieces to. Raises: BrokenPipeError once its reader has left."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._hand = Hand("output")

    async def write(self, data: bytes) -> None:
        """Write all of it; done when it is written."""
        if data:
            await self._hand.do(self._write_all, data)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()


def standard_input() -> Source:
    """Return standard input; where the program was started without one, an empty one."""
    return Source(0 if sys.stdin is not None else os.open(os.devnull, os.O_RDONLY))


def standard_output() -> Sink:
    """Return standard output; where the program was started without one, nothing is kept."""
    return Sink(1 if sys.stdout is not None else os.open(os.devnull, os.O_WRONLY))


class Patience:
    """How long the other side may keep us waiting without a byte. No limit when ``limit_s`` is None."""

    def __init__(self, limit_s: float | None, what: str) -> None:
        self._limit_s = limit_s
        self._what = what
        self._waits = 0
        self._since_s = 0.0

    def begin(self) -> None:
        """From now on we wait for the other side, for one reason more."""
        self._waits += 1
        self.renew()

    def end(self) -> None:
        """One reason to wait is gone."""
        self._waits -= 1
        self.renew()

    @contextlib.contextmanager
    def tried(self) -> Iterator[None]:
        """Within this block we wait for the other side."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    @contextlib.contextmanager
    def spared(self) -> Iterator[None]:
        """Within this block it is we who take our time, whatever else we wait for."""
        waits, self._waits = self._waits, 0
        try:
            yield
        finally:
            self._waits += waits
            self.renew()

    def renew(self) -> None:
        """A byte moved."""
        self._since_s = asyncio.get_running_loop().time()

    async def run_out(self) -> None:
        """Never return, but raise TimeoutError when the limit has passed."""
        loop = asyncio.get_running_loop()
        if self._limit_s is None:
            await loop.create_future()
            return
        while True:
            left_s = self._since_s + self._limit_s - loop.time()
            if self._waits > 0 and left_s <= 0:
                raise TimeoutError(f"{self._what} for {self._limit_s:g} s")
            await asyncio.sleep(left_s if self._waits > 0 else self._limit_s)


async def run_all(patience: Patience, *ways: Coroutine[Any, Any, None]) -> None:
    """Run all ways at once until the last has returned, or one raises, or the patience is over; then none runs."""
    pending = {asyncio.ensure_future(way) for way in ways}
    limit = asyncio.ensure_future(patience.run_out())
    try:
        while pending:
            done, _ = await asyncio.wait({*pending, limit}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            pending -= done
    finally:
        for task in (*pending, limit):
            task.cancel()
        await asyncio.gather(*pending, limit, return_exceptions=True)
