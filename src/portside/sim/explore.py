"""Many runs of one world with many seeds: to find the one in which a service breaks, and to repeat it.

    world.explore(seeds=range(1000), check=check)      # ``check(world)`` is a coroutine function: the main of each run

A run that fails is told with its seed, and with what repeats it. Faults that are made up by chance are taken away one
after the other until the run does not fail any more, so that what is left is what it takes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from portside.errors import PortsideError
from portside.sim.chance import stream
from portside.sim.journal import Journal, first_difference

if TYPE_CHECKING:
    from portside.sim.world import World

SEED_VARIABLE = "PORTSIDE_SEED"  # holds the one seed to run, instead of all

Part = TypeVar("Part")
Check: TypeAlias = Callable[["World"], Coroutine[Any, Any, object]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong at a time, ``"1.5s"`` or seconds; ``act`` is given the world."""

    at: str | float
    act: Callable[[World], object] = field(compare=False)
    words: str = ""

    def __str__(self) -> str:
        return f"at {self.at}: {self.words or getattr(self.act, '__qualname__', self.act)}"


Faults: TypeAlias = Callable[["World", Random], Sequence[Fault]]


class SeedFailed(PortsideError):
    """A run failed. The cause is what the check raised; ``faults`` are those that it takes, if any were made up."""

    def __init__(self, seed: int, error: BaseException, faults: Sequence[Fault]) -> None:
        self.seed = seed
        self.faults = tuple(faults)
        told = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(
            f"seed {seed} fails: {type(error).__name__}: {error}"
            + (f"\nwith {len(faults)} faults that it takes:{told}" if faults else "")
            + f"\nrun it alone with {SEED_VARIABLE}={seed} in the environment"
        )


@dataclass(frozen=True, slots=True)
class Explored:
    """What came of it: how many runs, and the digest of each by its seed."""

    digests: dict[int, str]

    def __len__(self) -> int:
        return len(self.digests)


@dataclass(frozen=True, slots=True)
class Exploration:
    """One way to run a world again and again."""

    world: World
    check: Check
    limit: str | float | None = None
    faults: Faults | None = None
    shuffled: bool = False

    def run(self, seeds: Iterable[int]) -> Explored:
        """Run every seed, or the one of ``PORTSIDE_SEED``. Raises: SeedFailed for the first that fails."""
        digests = {}
        for seed in _chosen(seeds):
            faults = self.faults_of(seed)
            try:
                digests[seed] = self.once(seed, faults)
            except _failures() as error:
                needed = shrink(faults, partial(self._fails_alike, seed, type(error))) if faults else []
                raise SeedFailed(seed, error, needed) from error
        return Explored(digests)

    def faults_of(self, seed: int) -> list[Fault]:
        """Return the faults that chance has made up for a seed."""
        if self.faults is None:
            return []
        return list(self.faults(self.world, stream(seed, "faults")))

    def once(self, seed: int, faults: Sequence[Fault], watch: Callable[[World], object] | None = None) -> str:
        """Run one seed in a world of its own, and return its digest."""
        with self.world.again(seed, shuffled=self.shuffled) as world:
            if watch is not None:
                watch(world)
            for fault in faults:
                world.at(fault.at, lambda fault=fault, world=world: fault.act(world))  # type: ignore[misc]
            world.play(self.check(world), limit=self.limit)
            return world.digest()

    def _fails_alike(self, seed: int, kind: type[BaseException], faults: Sequence[Fault]) -> bool:
        """Return whether a run fails as it did before: another failure, of faults that lack others, is not that one."""
        try:
            self.once(seed, faults)
        except _failures() as error:
            return type(error) is kind
        return False

    def journal(self, seed: int) -> Journal:
        """Return every frame of a run, whether it fails or not."""
        kept: list[Journal] = []
        try:
            self.once(seed, self.faults_of(seed), lambda world: kept.append(Journal(world)))
        except _failures():  # what it raises is told elsewhere; here its frames are asked for
            return kept[0]
        return kept[0]

    def difference(self, seed: int, other: int | None = None) -> str | None:
        """Return the first difference of two runs, of one seed if only one is given: there must be none then."""
        return first_difference(self.journal(seed), self.journal(seed if other is None else other))


def _failures() -> tuple[type[BaseException], ...]:
    """Return what a check fails with: pytest's own failure is no ``Exception``, and a skip no failure."""
    pytest: Any = sys.modules.get("pytest")
    return (Exception,) if pytest is None else (Exception, pytest.fail.Exception)


def _chosen(seeds: Iterable[int]) -> Iterator[int]:
    wanted = os.environ.get(SEED_VARIABLE)
    return iter(seeds) if wanted is None else iter([int(wanted)])


def shrink(parts: Sequence[Part], fails: Callable[[list[Part]], bool]) -> list[Part]:
    """Return parts that still fail together, of which none can be left out.

    Delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002.
    """
    left, pieces = list(parts), 2
    if fails([]):
        return []
    while len(left) > 1:
        size = -(-len(left) // pieces)
        for start in range(0, len(left), size):
            rest = left[:start] + left[start + size :]
            if rest and fails(rest):
                left, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(2 * pieces, len(left))
    return left
