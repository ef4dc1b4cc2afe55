"""Asynchronous generators of programs: closed on the host on which they began, when nobody has them. PEP 525."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import ref

from portside.sim.here import here

KEPT: Final = 1_000  # beyond twice as many, those that have ended are forgotten

_begun: dict[int, tuple[ref[Any], ref[Any]]] = {}  # by identity: the generator, and the loop of its host
_most = KEPT


@contextmanager
def watched_generators() -> Iterator[None]:
    """Hear of generators that begin and that are left, in this thread."""
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(_begins, _is_left)
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*before)


def _begins(generator: Any) -> None:
    global _most
    machine = here.machine
    if machine is None:
        return
    if len(_begun) >= _most:
        for number in [number for number, (kept, _) in _begun.items() if kept() is None]:
            del _begun[number]
        _most = 2 * len(_begun) + KEPT
    _begun[id(generator)] = ref(generator), ref(machine.loop)


def _is_left(generator: Any) -> None:
    """Close a generator by a task of its loop: its ``finally`` may await."""
    _, kept = _begun.pop(id(generator), (None, None))
    loop: Any = kept() if kept is not None else None
    if loop is not None and not loop.is_halted and not loop.is_closed():
        loop.call_soon(loop.create_task, generator.aclose())


def take_generators(loop: Any) -> list[Any]:
    """Return the generators that have begun on a loop and not ended, in their order, and forget them."""
    mine = [(number, generator()) for number, (generator, kept) in _begun.items() if kept() is loop]
    for number, _ in mine:
        del _begun[number]
    return [generator for _, generator in mine if generator is not None]
