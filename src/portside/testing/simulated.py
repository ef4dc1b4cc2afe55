"""Tests on the simulated internet, each run with many seeds; for pytest as it is, without a plugin for asyncio.

    def build(world):
        world.link(world.host("alice"), world.host("bob"), loss="2%")

    @simulated(build, seeds=100)
    async def test_an_upload_survives_loss(world):
        world["bob"].spawn(serve())
        await world["alice"].spawn(upload("bob"))

The seed that fails is told, with the command that runs it alone.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from typing import Any, Final

from portside.sim import SeedFailed, World
from portside.sim.explore import SEED_VARIABLE, Faults

LIMIT: Final = "1h"  # of a world's time: a run that hangs ends at once, and is told as one that has no end
Test = Callable[..., Coroutine[Any, Any, object]]


def simulated(
    build: Callable[[World], object],
    *,
    seeds: int | Iterable[int] = 10,
    limit: str | float | None = LIMIT,
    faults: Faults | None = None,
    shuffled: bool = False,
    profile: str = "linux",
) -> Callable[[Test], Callable[..., None]]:
    """Run a test, ``async def test(world, …)``, as the main of a world for every seed: so many, or these.

    ``build`` makes hosts and links. Fixtures of the test are made once, and are the same for all seeds; what of them
    changes by one run is seen by the next. ``faults`` and ``shuffled`` are as for ``World.explore``.

    Raises, when the test is run: SeedFailed for the first seed that fails, caused by what the test raised.
    """

    def decorate(test: Test) -> Callable[..., None]:
        @wraps(test)
        def run(*arguments: Any, **fixtures: Any) -> None:
            with World(profile=profile) as plan:
                build(plan)
                try:
                    plan.explore(
                        seeds=range(seeds) if isinstance(seeds, int) else seeds,
                        check=lambda world: test(*arguments, **fixtures, world=world),
                        limit=limit,
                        faults=faults,
                        shuffled=shuffled,
                    )
                except SeedFailed as failed:
                    failed.add_note(_command(failed.seed))
                    raise

        del run.__wrapped__  # pytest would look through it, and await the test by itself
        run.__signature__ = _without_world(test)  # type: ignore[attr-defined]
        return run

    return decorate


def _without_world(test: Test) -> inspect.Signature:
    """Return the signature that pytest looks at for fixtures: ``world`` is none of them."""
    signature = inspect.signature(test)
    kept = [one for one in signature.parameters.values() if one.name != "world"]
    if len(kept) == len(signature.parameters):
        raise TypeError(f"{test.__qualname__} takes no world")
    return signature.replace(parameters=kept, return_annotation=None)


def _command(seed: int) -> str:
    """Return what runs a seed of the test that is running alone: pytest names it in the environment."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return f"run it again: {SEED_VARIABLE}={seed} pytest '{test}'" if test else f"{SEED_VARIABLE}={seed} runs it again"
