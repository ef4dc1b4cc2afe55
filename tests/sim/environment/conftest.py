"""A host that has no network and no loop: all that the environment asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from portside.sim import environment
from portside.sim.chance import stream
from portside.sim.clock import SECOND, Scheduler
from portside.sim.here import Visit, enter
from portside.sim.host_clock import HostClock


@dataclass(eq=False)
class FakeMachine:
    name: str = "alice"
    scheduler: Scheduler = field(default_factory=Scheduler)
    seed: int = 7
    loop: Any = None
    stack: Any = None
    names: Any = None

    def __post_init__(self) -> None:
        self.clock = HostClock(self.scheduler)
        self.chance: Random = stream(self.seed, "host", self.name, "programs")

    def passes(self, seconds: float) -> None:
        """Let the world's time pass."""
        self.scheduler.now += round(seconds * SECOND)


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    """Run each test outside of any host at first, and leave the thread as it was."""
    environment.install()
    with Visit():
        yield


@pytest.fixture
def alice() -> FakeMachine:
    return FakeMachine()


@pytest.fixture
def on() -> Callable[[FakeMachine], Visit]:
    """Return what runs a block on a host: ``with on(alice): …``."""

    class Stay(Visit):
        def __init__(self, machine: FakeMachine) -> None:
            self.machine = machine

        def __enter__(self) -> None:
            super().__enter__()
            enter(self.machine)

    return Stay
