"""A scenario's run: programs are started, faults come at their times, and at the end it is told what became of it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from portside.errors import PortsideError, UsageError
from portside.sim.capture import Capture
from portside.sim.clock import SECOND
from portside.sim.host import Host, HostCrashed, Spawned
from portside.sim.quantities import byte_count, duration_ns
from portside.sim.scenario import traffic
from portside.sim.scenario.building import build, link_of
from portside.sim.scenario.reading import Scenario
from portside.sim.trace import Trace
from portside.sim.world import World

LIMIT: Final = "1h"
PINGS: Final = 4
PING_BYTES: Final = 56

Serve = Callable[[str, int, Mapping[str, Any]], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Outcome:
    """What became of a run. ``results`` are of the programs that end, as ``(what, host, how)``."""

    seed: int
    results: list[tuple[str, str, str]] = field(default_factory=list)
    failure: BaseException | None = None
    trace: Trace | None = None


def run_scenario(
    scenario: Scenario,
    *,
    seed: int | None = None,
    serve: Serve | None = None,
    capture: Path | None = None,
    progress: Callable[[float], object] | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Outcome:
    """Run a scenario once. ``serve`` serves batteries by their names, beside ``sink`` and ``echo``.

    ``progress`` is told the world's time in seconds, now and then. A program that fails, a world in which nothing is
    left to happen and a time that is up are the outcome's ``failure``.

    Raises: UsageError for what the file says wrongly; OSError from the capture's file.
    """
    seed = scenario.seed if seed is None else seed
    world = build(scenario, seed, changes or {})
    outcome = Outcome(seed)
    with world:
        outcome.trace = trace = Trace(world)
        recording = None if capture is None else Capture.of(world, capture)
        run = _Run(scenario, world, trace, outcome, serve)
        if progress is not None:
            _report(world, progress)
        try:
            run.schedule()
            world.play(run.main(), limit=scenario.world.get("limit", LIMIT))
        except UsageError:
            raise
        except (PortsideError, Exception) as error:  # a program's, whatever it is
            outcome.failure = error
        finally:
            if recording is not None:
                recording.close()
        trace.end()
    return outcome


def _report(world: World, progress: Callable[[float], object]) -> None:
    world.on_slice = lambda: progress(world.now_s)


class _Run:
    def __init__(self, scenario: Scenario, world: World, trace: Trace, outcome: Outcome, serve: Serve | None) -> None:
        self.scenario, self.world, self.trace, self.outcome = scenario, world, trace, outcome
        self._serve = serve

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def schedule(self) -> None:
        """Let every fault come at its time."""
        for fault in self.scenario.faults:
            self.world.at(fault["at"], lambda fault=fault: self._do(fault))  # type: ignore[misc]

    def _do(self, fault: Mapping[str, Any]) -> None:
        world, do = self.world, fault["do"]
        if do in {"crash", "restart"}:
            getattr(world[fault["host"]], do)()
        elif do in {"down", "up"}:
            getattr(link_of(world, fault["link"]), do)()
        elif do == "change":
            link_of(world, fault["link"]).change(**fault.get("with", {}))
        elif do == "partition":
            one, other = fault["between"]
            world.partition(world[one], world[other])
        else:
            world.heal()
        self.trace.mark(_words(fault))

    # ── programs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def main(self) -> None:
        """Start every program at its time, and wait for those that end."""
        async with asyncio.TaskGroup() as group:
            for program in sorted(self.scenario.programs, key=lambda one: duration_ns(one.get("start", 0))):
                group.create_task(self._one(program))

    async def _one(self, program: Mapping[str, Any]) -> None:
        host: Host = self.world[program["on"]]
        await asyncio.sleep(duration_ns(program.get("start", 0)) / SECOND)
        what = next(f"{kind} {program[kind]}" for kind in ("serve", "send", "get", "ping", "run") if kind in program)
        spawned = self._start(host, program)
        if spawned is None:
            return
        try:
            result = await spawned
        except HostCrashed:
            self.outcome.results.append((what, host.name, "the host has crashed"))
        except Exception as error:
            self.outcome.results.append((what, host.name, f"failed: {error}"))
            error.add_note(f"{what} on {host.name}")
            raise
        else:
            self.outcome.results.append((what, host.name, "done" if result is None else str(result)))

    def _start(self, host: Host, program: Mapping[str, Any]) -> Spawned[Any] | None:
        """Start a program; return it if the run shall wait for its end."""
        if "serve" in program:
            host.program(lambda: self._server(program), name=f"serve {program['serve']}")
            return None
        if "run" in program:
            return self._start_function(host, program)
        if "get" in program:
            return host.run_blocking(traffic.get, program["get"])
        if "send" in program:
            to, _, port = program["to"].rpartition(":")
            return host.spawn(traffic.send(byte_count(program["send"]), to, int(port)), name="send")
        return host.spawn(
            traffic.ping(
                host,
                program["ping"],
                count=program.get("count", PINGS),
                interval_s=duration_ns(program.get("interval", 1)) / SECOND,
                size=program.get("bytes", PING_BYTES),
                patience_s=duration_ns(program.get("patience", 10)) / SECOND,
            ),
            name="ping",
        )

    def _server(self, program: Mapping[str, Any]) -> Coroutine[Any, Any, None]:
        name = program["serve"]
        if name in {"sink", "echo"}:
            server: Coroutine[Any, Any, None] = getattr(traffic, name)(program.get("port", 9_000))
            return server
        if self._serve is None:
            raise UsageError(f"there is nobody here to serve {name!r}, only sink and echo")
        return self._serve(name, program.get("port", 0), program.get("with", {}))

    def _start_function(self, host: Host, program: Mapping[str, Any]) -> Spawned[Any] | None:
        function = _function(program["run"])
        arguments = program.get("arguments", [])
        if asyncio.iscoroutinefunction(function):
            if program.get("background", False):
                host.program(lambda: function(*arguments), name=program["run"])
                return None
            return host.spawn(function(*arguments), name=program["run"])
        spawned = host.run_blocking(function, *arguments)
        return None if program.get("background", False) else spawned


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"run = {name!r}: {error}") from None
    return found


def _words(fault: Mapping[str, Any]) -> str:
    about = fault.get("host") or fault.get("link") or " | ".join(fault.get("between", ()))
    changed = ", ".join(f"{key} {value}" for key, value in fault.get("with", {}).items())
    return " ".join(part for part in (fault["do"], about, changed) if part)
