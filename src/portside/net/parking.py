"""How a handler waits on its connection: the connection is what its Task runs, and what its Task waits for.

A connection is three things in one object, so that a byte's way is short and an idle connection small:

- the stream that the handler reads and writes (``net.event``, ``net.transport``);
- the coroutine that the handler's Task runs (``send``, ``throw``): it passes everything on to the handler;
- the future-like thing that Task waits for while the handler is parked here (``add_done_callback``, ``cancel``).

So a real Task exists, and timeouts, cancellation, context variables and task groups are asyncio's own. But when bytes
come, whoever brings them (the lane, or a transport) resumes the handler itself; the Task does not notice, it still
waits for the connection. Only when the handler awaits something foreign (a Future, a sleep) or ends is the Task woken,
and takes over from there.

Other tasks may use the connection too: whoever is not the handler's own Task waits on an ordinary Future.
"""

from __future__ import annotations

import asyncio
import types
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Final, cast

from portside.address import Address
from portside.contracts import Network
from portside.errors import HandlerError
from portside.net.stream import PIECE_BYTES, State, Stream
from portside.net.turns import READING, RUNNING, WRITING, Turns

# Values of _parked beside those of turns:
CANCELLING: Final = -1  # the handler waits, for bytes or room, but its Task was cancelled: it hears of that first
ENDING: Final = 3  # the handler waits, for bytes or room, but will be told that the connection was ended
LINGERING: Final = 4  # closed, waiting for the peer's end of stream
CLOSED: Final = 5
PARKED: Final = frozenset({READING, WRITING, ENDING, CANCELLING})

Finished = Callable[[Any, BaseException | None], None]


class ParkingStream(Stream):
    """A stream of an event loop, whose handler parks on it. ``start`` gives it one; any task may use it without."""

    __slots__ = (
        "__weakref__",
        "_context",
        "_finished",
        "_main",
        "_outcome",
        "_parked",
        "_reader",
        "_run",
        "_send_main",
        "_take_max",
        "_task",
        "_turns",
        "_wake_task",
        "_writer",
        "_yielded",
    )

    # Set by start(): a connection without a handler has none of them, and no Task.
    _main: Coroutine[Any, Any, None]
    _send_main: Callable[[Any], object]
    _finished: Finished
    _context: Context
    _run: Callable[..., object]

    def __init__(self, turns: Turns, network: Network, *, local: Address | None, peer: Address | None) -> None:
        super().__init__(network, local=local, peer=peer)
        self._turns = turns
        self._parked = RUNNING  # what the handler waits for here, or LINGERING, CLOSED
        self._take_max = PIECE_BYTES  # how much the parked handler takes
        self._reader: asyncio.Future[None] | None = None  # a task, not the handler's own, waiting to read …
        self._writer: asyncio.Future[None] | None = None  # … or to write
        self._task: asyncio.Task[None] | None = None
        self._outcome: BaseException | None = None
        self._yielded: object = self
        self._wake_task: Callable[[object], object] | None = None

    def _waits_for(self) -> State:
        if self._parked >= ENDING:
            return "closing"
        if self._parked == WRITING or self._writer is not None:
            return "writing"
        if self._parked == READING or self._reader is not None:
            return "reading"
        return "busy"

    # ── the handler's Task ───────────────────────────────────────────────────────────────────────────────────────────

    def start(self, main: Coroutine[Any, Any, None], finished: Finished, context: Context | None = None) -> None:
        """Run the handler's coroutine on this connection: at once, until it first has to wait, or if another task is
        running, when that lets go of the loop.

        ``finished(connection, error)`` is called when it is over, with what it raised. Nothing it raises goes further,
        except KeyboardInterrupt and SystemExit.
        """
        self._main = main
        self._finished = finished
        self._send_main = main.send
        self._context = copy_context() if context is None else context.copy()
        self._run = self._context.run
        self._task = asyncio.Task(cast("Coroutine[Any, Any, None]", self), loop=self._turns.loop, context=self._context)
        if asyncio.current_task(self._turns.loop) is None:
            self._turns.resume(self, self._send_main, None)

    @property
    def task(self) -> asyncio.Task[None] | None:
        return self._task

    # The coroutine that the Task runs.

    def send(self, _: None) -> object:
        """Called by the Task: at its start, and when it was woken for one of the reasons of this object."""
        if self._outcome is not None:
            raise self._over()
        if self._yielded is not self:
            yielded, self._yielded = self._yielded, self
            return yielded  # what the handler awaits is foreign: the Task waits for it
        if self._parked in PARKED:
            return self  # the lane ran it up to here: the Task waits for the connection
        return self._step(self._send_main, None)

    def throw(self, error: BaseException, *_: object) -> object:
        """Called by the Task to cancel the handler, or with the error of something foreign."""
        if self._outcome is not None:
            raise self._over()
        if self._yielded is not self:
            yielded, self._yielded = self._yielded, self
            if isinstance(error, asyncio.CancelledError) and isinstance(yielded, asyncio.Future) and yielded.cancel():
                return yielded  # as a Task does that is cancelled while it waits
        if self._parked in PARKED:
            self._parked = RUNNING
        return self._step(self._main.throw, error)

    def _step(self, step: Callable[[Any], object], argument: object) -> object:
        try:
            return step(argument)
        except BaseException as error:
            self._note_outcome(error)
            raise self._over() from None

    # What the lane calls after it ran the handler.

    def _main_over(self, error: BaseException) -> None:
        self._note_outcome(error)
        if isinstance(error, (Exception, asyncio.CancelledError, GeneratorExit)):
            self._wake()
        else:  # KeyboardInterrupt, SystemExit: the Task lets them through, which would end the lane's turn
            self._turns.loop.call_soon(self._wake)

    def _hand_to_task(self, yielded: object) -> None:
        self._yielded = yielded
        self._wake()

    def _wake(self) -> None:
        """Let the Task take a step. Before its first one it knows of us nothing yet, and will ask."""
        wake, self._wake_task = self._wake_task, None
        if wake is not None:
            self._context.run(wake, self)

    def _note_outcome(self, error: BaseException) -> None:
        self._outcome = error
        try:
            self._finished(self, None if isinstance(error, StopIteration) else error)
        except Exception as failure:  # the conductor's bug must not end the lane's turn
            self._turns.loop.call_exception_handler(
                {"message": "what was to be done after a handler failed", "exception": failure}
            )

    def _over(self) -> BaseException:
        """Return what ends the Task: errors of the handler have been told to ``finished`` and go no further."""
        error = self._outcome
        assert error is not None
        if isinstance(error, Exception):
            return StopIteration()
        return error

    # The future-like thing that the Task waits for.

    @property
    def _asyncio_future_blocking(self) -> bool:
        return True

    @_asyncio_future_blocking.setter
    def _asyncio_future_blocking(self, blocking: bool) -> None:
        """The Task marks a future so that it was yielded properly; a connection always was."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._turns.loop

    def add_done_callback(self, wake: Callable[[object], object], *, context: Context | None = None) -> None:
        self._wake_task = wake

    def result(self) -> None:
        """The Task asks after it was woken; what there is to tell, ``send`` does."""

    def cancel(self, msg: object = None) -> bool:
        """Called by ``Task.cancel``. False: the Task shall throw CancelledError at its next step, which we arrange.

        Until then the handler hears of nothing else: bytes stay where they are, and nothing is resumed that has left
        an ``asyncio.timeout`` behind when the cancellation arrives.
        """
        if self._parked in (READING, WRITING):
            self._parked = CANCELLING
        self._turns.loop.call_soon(self._wake)
        return False

    # What is waited for, and how it ends, is the derived class'.

    @abstractmethod
    def _close_socket(self) -> None: ...

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _is_owner(self) -> bool:
        """Return whether the code that runs is the handler, in its own Task: it may park here."""
        turns = self._turns
        return turns.running is self or (self._task is not None and asyncio.current_task(turns.loop) is self._task)

    @types.coroutine
    def _park_reading(self, limit: int) -> Generator[Any, Any, bytes]:
        self._take_max = limit
        self._parked = READING
        try:
            return cast("bytes", (yield self))
        finally:
            self._take_max = PIECE_BYTES

    @types.coroutine
    def _park_writing(self) -> Generator[Any, Any, None]:
        self._parked = WRITING
        yield self

    def _is_waited_for(self) -> bool:
        """Return whether anybody waits here, the handler parked or another task, who hears of the connection's end."""
        return self._reader is not None or self._writer is not None or self._parked in (READING, WRITING)

    async def _wait_readable(self, timeout_s: float | None) -> None:
        if self._reader is not None:
            raise HandlerError("two tasks read from one connection at once")
        self._reader = self._future(timeout_s)
        try:
            await self._reader
        finally:
            self._reader = None
        self._check_open()

    async def _wait_writable(self) -> None:
        if self._is_owner():
            await self._park_writing()
            return
        self._writer = self._future(None)  # the write lock lets one task in
        try:
            await self._writer
        finally:
            self._writer = None

    def _future(self, timeout_s: float | None) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._turns.loop.create_future()
        if timeout_s is not None:
            timer = self._turns.loop.call_later(timeout_s, time_out, future)
            future.add_done_callback(lambda _: timer.cancel())
        return future


# A Task takes what is registered as a coroutine; of its methods it calls only send and throw.
Coroutine.register(ParkingStream)  # type: ignore[type-abstract]


def wake_future(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def time_out(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
