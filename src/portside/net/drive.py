"""Running a handler without a loop: one step, from its first line to its last.

Under blocking sockets nothing a connection offers ever suspends, so a single ``send(None)`` (0.3 to 0.5 µs) runs the
whole coroutine. One that does suspend has awaited something foreign, which nobody here will ever wake up.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine, Generator
from types import FrameType
from typing import Any, Final, TypeVar

from portside.errors import ForeignAwait

T = TypeVar("T")

REFUSALS_MAX: Final = 100  # a handler that swallows every refusal and awaits again is closed after so many

# Libraries that look for their loop before they suspend, and so fail without one; not always in so many words.
_LOOP_LIBRARIES: Final = frozenset({"asyncio", "anyio", "sniffio", "trio", "uvloop"})
_NO_LOOP: Final = ("no running event loop", "There is no current event loop")


def drive(coroutine: Coroutine[Any, Any, T], *, handler: str, model: str) -> T:
    """Run the coroutine to its end and return its result.

    Where it awaits something that needs an event loop, ForeignAwait is raised at that very await, so that its
    ``finally`` clauses run; once that has happened ForeignAwait is also what the caller gets, however it ended.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    except (RuntimeError, AttributeError) as error:
        frames = _frames_of_error(error)
        if not _looked_for_a_loop(error, frames):
            raise
        raise ForeignAwait(handler, model, _what_was_called(frames, "an event loop")) from error
    what = "nothing (a bare yield)" if awaited is None else _kind(awaited)
    refusal = ForeignAwait(handler, model, _what_was_called(_frames_of_awaits(coroutine), what))
    _refuse(coroutine, refusal)
    raise refusal


def _refuse(coroutine: Coroutine[Any, Any, Any], refusal: ForeignAwait) -> None:
    """Raise the refusal at the coroutine's awaits until it has ended."""
    try:
        for _ in range(REFUSALS_MAX):
            coroutine.throw(refusal.with_traceback(None))
        coroutine.close()
    except (StopIteration, ForeignAwait):
        return
    except Exception as error:
        raise refusal from error


def _looked_for_a_loop(error: Exception, frames: list[FrameType]) -> bool:
    return str(error).startswith(_NO_LOOP) or (bool(frames) and _room(frames[-1]) in _LOOP_LIBRARIES)


def _frames_of_awaits(coroutine: Coroutine[Any, Any, Any]) -> list[FrameType]:
    """Return the frames of who awaits whom, from the outside in, without our own."""
    frames: list[FrameType] = []
    step: object = coroutine
    while step is not None:
        frame = _first(step, "cr_frame", "ag_frame", "gi_frame")
        if isinstance(frame, FrameType):
            frames.append(frame)
        step = _first(step, "cr_await", "ag_await", "gi_yieldfrom")
    return [frame for frame in frames if _room(frame) != "portside"]


def _frames_of_error(error: Exception) -> list[FrameType]:
    frames: list[FrameType] = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return [frame for frame in frames if _room(frame) != "portside"]


def _what_was_called(frames: list[FrameType], otherwise: str) -> str:
    """Return the library function at the inner end of the frames, and the line of code that called it."""
    if not frames:
        return otherwise
    entry = len(frames) - 1
    while entry > 0 and _room(frames[entry - 1]) == _room(frames[-1]):
        entry -= 1
    if entry == 0:  # the handler's own code, all the way
        return f"{otherwise} ({_place(frames[-1])})"
    name = f"{frames[entry].f_globals.get('__name__', '?')}.{frames[entry].f_code.co_qualname}"
    return f"{name} ({_place(frames[entry - 1])})"


def _first(step: object, *names: str) -> object:
    return next((value for name in names if (value := getattr(step, name, None)) is not None), None)


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _place(frame: FrameType) -> str:
    return f"line {frame.f_lineno} of {os.path.basename(frame.f_code.co_filename)}"


def _room(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?")).partition(".")[0]


class Done:
    """Something to await that is over already: what a call returns that plain handlers need not await."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


DONE: Final = Done()
