"""A world: hosts and what joins them, one seed, one virtual time; programs run in it as they are.

world = World(seed=7)
alice, bob = world.host("alice"), world.host("bob")
world.link(alice, bob, delay="20ms", rate="10Mbit/s", loss="1%")

async def main() -> None:
    bob.spawn(serve())                  # asyncio.start_server and all that, on bob
    await alice.spawn(visit("bob"))     # asyncio.open_connection("bob", 80), on alice

asyncio.run(world.run(main()))          # or world.play(main()), where no loop runs
"""

from __future__ import annotations

import gc
from asyncio import Task
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Self, TypeVar

from portside.errors import PortsideError
from portside.sim import environment, threads
from portside.sim.building import Building
from portside.sim.chance import stream
from portside.sim.clock import SECOND, Scheduler
from portside.sim.explore import Check, Exploration, Explored, Faults
from portside.sim.generators import watched_generators
from portside.sim.here import Visit
from portside.sim.host import Host
from portside.sim.host_clock import WORLD_BEGAN_NS
from portside.sim.paths import lay_routes
from portside.sim.profile import PROFILES, Profile
from portside.sim.quantities import duration_ns
from portside.sim.schedule import ShuffledScheduler
from portside.sim.stuck import NothingLeft, TimeIsUp, words
from portside.sim.walls import Walls

Result = TypeVar("Result")

SLICE_NS = SECOND  # of the world's time, after which garbage is collected if much has happened
SLICE_EVENTS = 100_000
GOODBYE_NS = 60 * SECOND


class World(Building):
    """See the module. ``profile`` is the habits of its hosts, ``linux`` or ``rfc``; ``began`` is what their clocks
    show at first; ``shuffled`` tries another order of tasks for every seed. How hosts, devices and links are made,
    ``Building`` says.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        profile: str | Profile = "linux",
        began: datetime | None = None,
        shuffled: bool = False,
    ) -> None:
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.began_ns = round(began.astimezone(UTC).timestamp()) * SECOND if began else WORLD_BEGAN_NS
        self._began = began
        self.scheduler = ShuffledScheduler(stream(seed, "order")) if shuffled else Scheduler()
        super().__init__(seed)
        self.walls = Walls()
        self.outside = Host(self, "world", profile=self.profile, hosts=self.names)
        self.on_slice: Callable[[], object] | None = None  # called after about every second of the world's time
        self._failure: BaseException | None = None
        self._laid = 0

    def again(self, seed: int, *, shuffled: bool = False) -> World:
        """Return another world, built in the same steps, with its own seed. Nothing runs in it yet."""
        other = World(seed, profile=self.profile, began=self._began, shuffled=shuffled)
        self.build_in(other)
        return other

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the world began."""
        return self.scheduler.now

    @property
    def now_s(self) -> float:
        """Seconds since the world began."""
        return self.scheduler.now / SECOND

    def at(self, time: str | float, act: Callable[[], object]) -> None:
        """Do something at a time since the world began, ``"1.5s"`` or seconds: the way to schedule a fault."""
        self.scheduler.at(duration_ns(time), lambda _: act())

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, main: Coroutine[Any, Any, Result], *, limit: str | float | None = None) -> Result:
        """Run the world until ``main`` has ended, and return what it returns. It blocks the loop that awaits it.

        ``main`` is on no host: it has the world's clock, and starts programs on hosts. A second run goes on where the
        first one ended. ``limit`` is the most of the world's time that this may take.

        Raises: what ``main`` raises, or a program that nobody awaits; NothingLeft if all that is left is waiting;
                TimeIsUp.
        """
        return self.play(main, limit=limit)

    def play(self, main: Coroutine[Any, Any, Result], *, limit: str | float | None = None) -> Result:
        """Do as ``run`` does, where no loop runs."""
        environment.install()
        self.lay_routes()
        until_ns = None if limit is None else self.scheduler.now + duration_ns(limit)
        with Visit(), watched_generators(), _orderly_garbage():
            program = self.outside.spawn(main, name="main")
            program.is_awaited = True
            program.task.add_done_callback(lambda _: self.scheduler.stop())
            while not program.done():
                self._play_slice(until_ns)
            return program.task.result()

    def _play_slice(self, until_ns: int | None) -> None:
        scheduler = self.scheduler
        began = scheduler.events
        slice_ns = self._next_ns() + SLICE_NS
        scheduler.run(slice_ns if until_ns is None else min(slice_ns, until_ns), keep_time=True)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if scheduler.stopped:
            return
        if not scheduler.heap and not scheduler.ready:
            raise NothingLeft(scheduler.now, self._who_waits())
        if until_ns is not None and scheduler.heap[0][0] > until_ns:
            scheduler.now = until_ns
            raise TimeIsUp(until_ns, self._who_waits())
        if scheduler.events - began > SLICE_EVENTS:
            gc.collect()
        if self.on_slice is not None:
            self.on_slice()

    def _next_ns(self) -> int:
        """Return when the next thing happens."""
        scheduler = self.scheduler
        return scheduler.now if scheduler.ready or not scheduler.heap else max(scheduler.now, scheduler.heap[0][0])

    def fail(self, error: BaseException, circumstances: str) -> None:
        """End the run with this error, as soon as the step that is being done has ended."""
        if self._failure is None:
            error.add_note(f"{circumstances}, {self.now_s:.9f} s after the world began, seed {self.seed}")
            self._failure = error
            self.scheduler.stop()

    def lay_routes(self) -> None:
        """Give routes to whoever has none: see ``portside.sim.paths``. Every run begins with it."""
        if self._laid != len(self.links):
            self._laid = len(self.links)
            lay_routes(self)

    def waiting(self) -> list[tuple[str, Task[Any]]]:
        """Return every task that has not ended, with the name of its host."""
        return [(host.name, task) for host in (self.outside, *self.hosts) for task in host.tasks()]

    def _who_waits(self) -> list[str]:
        """Return in words who waits where: tasks, and then threads."""
        tasks = [words(host, task) for host, task in self.waiting()]
        machines = (self.outside, *self.hosts)
        return tasks + [words(host.name, thread) for host in machines for thread in threads.waiting(host)]

    # ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def partition(self, one: Host | Iterable[Host], other: Host | Iterable[Host]) -> None:
        """Let nothing pass between two hosts, or two groups of them, until ``heal``. Nobody is told."""
        self.walls.build(_hosts(one), _hosts(other))

    def heal(self, one: Host | Iterable[Host] | None = None, other: Host | Iterable[Host] | None = None) -> None:
        """Take away one partition, or all."""
        if one is None or other is None:
            self.walls.fall()
        else:
            self.walls.open(_hosts(one), _hosts(other))

    # ── again and again ──────────────────────────────────────────────────────────────────────────────────────────────

    def explore(
        self,
        *,
        seeds: Iterable[int],
        check: Check,
        limit: str | float | None = None,
        faults: Faults | None = None,
        shuffled: bool = False,
    ) -> Explored:
        """Build this world again for every seed and run ``check(world)`` in it, in which its hosts are found by name.

        ``faults`` makes up what goes wrong in a run, out of the chance it is given; ``shuffled`` tries other orders of
        tasks (``portside.sim.schedule``). With ``PORTSIDE_SEED`` in the environment only that seed is run.

        Raises: SeedFailed for the first seed that fails, with the faults it takes.
        """
        return Exploration(self, check, limit, faults, shuffled).run(seeds)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def digest(self) -> str:
        """Return what stands for all that has happened: two runs of one seed that differ anywhere differ here."""
        parts = [self.seed, self.scheduler.now, self.scheduler.events]
        parts += [count for link in self.links for line in link.lines for count in line.counts()]
        return blake2b(repr(parts).encode(), digest_size=8).hexdigest()

    def close(self) -> None:
        """End every program: those that run are cancelled, as ``asyncio.run`` does at its end, and have a minute of
        the world's time to clean up. A world that is closed cannot run again.
        """
        with Visit(), watched_generators():
            self._say_goodbye()
            for host in (*self.hosts, self.outside):
                host.close()
        self.scheduler.heap.clear()
        self.scheduler.ready.clear()

    def _say_goodbye(self) -> None:
        for host in (self.outside, *self.hosts):
            host.loop.is_ending = True
        for _, task in self.waiting():
            task.get_loop().call_soon(task.cancel)
        scheduler = self.scheduler
        until_ns = scheduler.now + GOODBYE_NS
        while self.waiting() and (scheduler.heap or scheduler.ready) and self._next_ns() < until_ns:
            scheduler.run(self._next_ns() + SLICE_NS, keep_time=True)
        self._failure = None  # what goes wrong while all is over is nobody's result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, name: str) -> Any:
        """Return the host or device of that name."""
        try:
            return self.devices[name]
        except KeyError:
            raise PortsideError(
                f"there is no {name!r} in this world, only {', '.join(self.devices) or 'nothing'}"
            ) from None


def _hosts(which: Host | Iterable[Host]) -> list[Host]:
    return [which] if isinstance(which, Host) else list(which)


@contextmanager
def _orderly_garbage() -> Iterator[None]:
    """Collect no garbage in between: finalizers would run at moments that no seed decides."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
