"""Chance as hosts see it: ``random``, ``os.urandom`` and all that is made of them, a stream of its own for each host.

``random`` draws from the host's chance. What the kernel gives is another stream, derived from that once: a program
that seeds ``random`` with 0 on each of ten hosts must not get the same ten UUIDs.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from hashlib import blake2b
from operator import index
from random import Random
from typing import Any, Final
from weakref import WeakKeyDictionary

from portside.sim.environment.replacing import Dispatcher, Replacement
from portside.sim.here import Machine, here

ENTROPY_BITS: Final = 256

_module: Final[Random] = random._inst  # whose methods the functions of ``random`` are
_urandom: Final = os.urandom
_getrandom: Final = getattr(os, "getrandom", None)
_seed: Final = Random.seed

_kernels: WeakKeyDictionary[Random, Random] = WeakKeyDictionary()  # by the chance of the host; never iterated


def kernel(machine: Machine) -> Random:
    """Return the stream of what the host's kernel gives."""
    chance = machine.chance
    stream = _kernels.get(chance)
    if stream is None:
        state = blake2b(repr(chance.getstate()).encode(), digest_size=ENTROPY_BITS // 8)
        stream = _kernels[chance] = Random(
            int.from_bytes(state.digest())
        )  # nothing is drawn: ``random`` goes on as it is
    return stream


class Dice(Dispatcher):
    """The functions of ``random`` that draw, put in below, and those of ``os``."""

    GLOBAL_NAME = "dice"

    def seed(self, a: Any = None, version: int = 2) -> None:
        """Seed ``random`` of this host only."""
        machine = here.machine
        if machine is None:
            _module.seed(a, version)
            return
        kernel(machine)  # derived before the chance of which it is derived is known to everybody
        machine.chance.seed(a, version)

    def urandom(self, size: int, /) -> bytes:
        machine = here.machine
        return _urandom(size) if machine is None else _bytes(machine, size)

    def getrandom(self, size: int, flags: int = 0) -> bytes:
        machine = here.machine
        if machine is None and _getrandom is not None:
            real: bytes = _getrandom(size, flags)
            return real
        assert machine is not None
        return _bytes(machine, size)


def _bytes(machine: Machine, size: int) -> bytes:
    if index(size) < 0:
        raise ValueError("negative argument not allowed")
    return kernel(machine).randbytes(size)


def _draw(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method that draws from the host's chance in the way of ``random.<name>``."""

    def draw(_: Dice, *arguments: Any, **more: Any) -> Any:
        machine = here.machine
        if machine is None:
            return real(*arguments, **more)
        return getattr(machine.chance, name)(*arguments, **more)

    draw.__name__ = name
    draw.__qualname__ = f"Dice.{name}"
    draw.__doc__ = real.__doc__
    return draw


DRAWN: Final = [
    name for name, value in vars(random).items() if getattr(value, "__self__", None) is _module and name != "seed"
]
for _name in DRAWN:
    setattr(Dice, _name, _draw(_name, getattr(random, _name)))

dice: Final = Dice()


def seed(self: Random, a: Any = None, version: int = 2) -> None:
    """Seed a stream that a program has made. Without a seed, the host's kernel gives one, and not the real one."""
    if a is None and (machine := here.machine) is not None:
        a = kernel(machine).getrandbits(ENTROPY_BITS)
    _seed(self, a, version)


def replacements() -> Iterator[Replacement]:
    """Yield what takes the place of the functions of ``random`` and ``os``.

    ``secrets``, ``uuid4`` and every ``SystemRandom`` call one of the two ``urandom``.
    """
    yield from dice.replacing(random, *DRAWN, "seed")
    yield from dice.replacing(os, "urandom", "getrandom")


def install() -> None:
    """Let ``Random()`` ask the host. The class stays, as others are derived from it."""
    import tempfile

    # The whole process has one generator of names for real files. If a host were the first to need it, the host's
    # chance would give its seed, in the first run and not in the second.
    next(tempfile._get_candidate_names())  # type: ignore[attr-defined]
    Random.seed = seed  # type: ignore[method-assign]
