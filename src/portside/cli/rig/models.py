"""One handler under every model: what a connection and a request cost, and how much memory they take.

All servers run; one is loaded at a time, in short slices that take turns, so that what drifts on the machine meets all
alike. Each has one core to itself, with all its processes and threads.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any, Final

from portside.cli.output import Column
from portside.cli.rig.load import Load, Slice
from portside.cli.rig.plot import Bar, Panel
from portside.cli.rig.servers import Server, portside_server
from portside.serve.settings import MODELS

BASELINE: Final = "iterative"  # whoever serves one after the other spends nothing on control: Stevens' row 0
PER_SECOND_MAX: Final = 1_000  # connections to open a second, where they are held
HOLD_S: Final = 0.3
# What a connection adds to a thread's server or a loop's is less than the slack of its heap: more of them tell.
HELD_PER_CLIENT: Final = {"thread": 5, "event": 10}
# Visitors who come and go leave their ports in TIME-WAIT; so many addresses have ports enough.
SOURCES: Final = 20

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. ``size`` counts the bytes of a message, ``seconds`` the length of a slice."""

    models: tuple[str, ...] = tuple(MODELS)
    clients: int = 100
    size: int = 64
    rounds: int = 3
    seconds: float = 1.0
    pool: int = 8

    def served_at_once(self, model: str) -> int:
        """Return how many of the clients the model serves at the same time; the others wait in the queue."""
        return min(
            self.clients, {"iterative": 1, "prefork": self.pool, "prethread": self.pool}.get(model, self.clients)
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """A model, in seconds and bytes: medians over the rounds.

    A *visit* is connect, one message, its echo, and the end; all clients make them. A *request* is a message and its
    echo on a connection that stays; as many clients send them as the model serves at once.
    """

    model: str
    clients: int
    served_at_once: int
    visits_per_s: float
    visit_p50_s: float
    visit_p99_s: float
    visit_cpu_s: float
    visit_control_s: float | None  # the CPU of a visit over that of the iterative server; None without one
    requests_per_s: float
    request_p50_s: float
    request_p99_s: float
    request_cpu_s: float
    memory_bytes: int
    memory_bytes_per_connection: int  # 0: less than can be told from the noise
    spread: float  # of visits_per_s and requests_per_s, the larger: (most - least) / median
    errors: int
    first_error: str | None

    def row(self) -> dict[str, Any]:
        """Return it under the keys that are documented."""
        return asdict(self)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Slices:
    visits: list[Slice]
    requests: list[Slice]
    memory: list[Slice]


def measure(plan: Plan, load: Load, say: Say) -> list[Measured]:
    """Put every model to the plan. Raises: NotAvailable, LoadFailed."""
    slices = {model: _Slices([], [], []) for model in plan.models}
    with contextlib.ExitStack() as stack:
        servers = {model: stack.enter_context(_serving(model, plan, load)) for model in plan.models}
        for number in range(plan.rounds):
            say(f"round {number + 1} of {plan.rounds}")
            for model in random.sample(plan.models, len(plan.models)):
                _run_round(plan, servers[model], load, slices[model])
    say("memory")
    for model in plan.models:  # newly started: the memory of a server that has worked before says little
        with _serving(model, plan, load) as server:
            slices[model].memory.append(_hold(plan, server, load))
    baseline = _middle(slices[BASELINE].visits, "cpu_us_per_request") if BASELINE in slices else None
    return [_measured(plan, model, found, baseline) for model, found in slices.items()]


def _serving(model: str, plan: Plan, load: Load) -> contextlib.AbstractContextManager[Server]:
    options = ("--model", model, "--pool", str(plan.pool))
    return portside_server(model, "serve", "echo", *options, core=load.cores.server)


def _run_round(plan: Plan, server: Server, load: Load, slices: _Slices) -> None:
    if not server.is_running():
        slices.visits.append(Slice(errors=1, first_error="the server has died"))
        return
    run = partial(load.run, server, size=plan.size, seconds=plan.seconds)
    slices.visits.append(run("short", connections=plan.clients, sources=SOURCES))
    slices.requests.append(run("echo", connections=plan.served_at_once(server.name)))


def _hold(plan: Plan, server: Server, load: Load) -> Slice:
    """Hold as many connections as the model serves at once, or more where it takes more."""
    # The first visits import what is imported late; that is no cost of a connection. A pool has several firsts.
    load.run(server, "short", connections=min(plan.clients, 2 * plan.pool), size=plan.size, seconds=0.1, warmup=0.0)
    connections = plan.served_at_once(server.name) * HELD_PER_CLIENT.get(server.name, 1)
    return load.run(server, "idle", connections=connections, size=plan.size, rate=PER_SECOND_MAX, hold=HOLD_S)


# ── what came out ────────────────────────────────────────────────────────────────────────────────────────────────────


def _measured(plan: Plan, model: str, found: _Slices, baseline_us: float | None) -> Measured:
    visits, requests = found.visits, found.requests or [Slice()]
    every = [*visits, *found.requests, *found.memory]
    visit_us = _middle(visits, "cpu_us_per_request")
    return Measured(
        model=model,
        clients=plan.clients,
        served_at_once=plan.served_at_once(model),
        visits_per_s=_middle(visits, "requests_per_s"),
        visit_p50_s=_middle(visits, "p50_us") / 1e6,
        visit_p99_s=_middle(visits, "p99_us") / 1e6,
        visit_cpu_s=visit_us / 1e6,
        visit_control_s=None if baseline_us is None else (visit_us - baseline_us) / 1e6,
        requests_per_s=_middle(requests, "requests_per_s"),
        request_p50_s=_middle(requests, "p50_us") / 1e6,
        request_p99_s=_middle(requests, "p99_us") / 1e6,
        request_cpu_s=_middle(requests, "cpu_us_per_request") / 1e6,
        memory_bytes=round(_middle(found.memory, "memory_bytes")),
        memory_bytes_per_connection=max(0, round(_middle(found.memory, "memory_bytes_per_connection"))),
        spread=max(_spread(visits), _spread(requests)),
        errors=sum(one.errors for one in every),
        first_error=next((one.first_error for one in every if one.errors), None),
    )


def _middle(slices: Sequence[Slice], what: str) -> float:
    return float(median(getattr(one, what) for one in slices))


def _spread(slices: Sequence[Slice]) -> float:
    rates = [one.requests_per_s for one in slices]
    middle = median(rates)
    return (max(rates) - min(rates)) / middle if middle else 0.0


def _rate(value: float) -> str:
    return f"{value:,.0f}"


def _milliseconds(value: float) -> str:
    return f"{value * 1e3:,.{2 if value < 0.01 else 0}f}"


def _microseconds(value: float) -> str:
    return f"{value * 1e6:,.0f}" if abs(value) > 20e-6 else f"{value * 1e6:.1f}"


COLUMNS: Final = (
    Column("model"),
    Column("served_at_once", "AT ONCE", right=True),
    Column("visits_per_s", "VISITS/S", right=True, show=_rate),
    Column("visit_p50_s", "P50 MS", right=True, show=_milliseconds),
    Column("visit_p99_s", "P99 MS", right=True, show=_milliseconds),
    Column("visit_cpu_s", "CPU US", right=True, show=_microseconds),
    Column("visit_control_s", "CONTROL US", right=True, show=_microseconds),
    Column("requests_per_s", "REQUESTS/S", right=True, show=_rate),
    Column("request_p50_s", "P50 MS", right=True, show=_milliseconds),
    Column("request_p99_s", "P99 MS", right=True, show=_milliseconds),
    Column("request_cpu_s", "CPU US", right=True, show=_microseconds),
    Column("memory_bytes", "MIB", right=True, show=lambda value: f"{value / 2**20:,.1f}"),
    Column("memory_bytes_per_connection", "KIB EACH", right=True, show=lambda value: f"{value / 2**10:,.1f}"),
    Column("spread", right=True, show=lambda value: f"{value:.0%}"),
    Column("errors", right=True),
)

# Who a connection shares its process or thread with; that is what the colours tell.
KINDS: Final = {
    "iterative": "process",
    "fork": "process",
    "prefork": "process",
    "thread": "thread",
    "prethread": "thread",
    "event": "loop",
}


def panels(measured: Sequence[Measured]) -> list[Panel]:
    """Return what is to be drawn."""

    def panel(title: str, note: str, show: str, value: Callable[[Measured], float], **more: Any) -> Panel:
        bars = [Bar(_label(one), KINDS[one.model], value(one), show.format(value(one))) for one in measured]
        return Panel(title, note, bars, **more)

    def times(title: str, note: str, of: Callable[[Measured], tuple[float, float]]) -> Panel:
        bars = [
            Bar(_label(one), KINDS[one.model], middle * 1e3, f"{_short(middle)} – {_short(late)} ms", until=late * 1e3)
            for one in measured
            for middle, late in [of(one)]
        ]
        return Panel(title, note, bars, logarithmic=True)

    log = "logarithmic; less is better"
    return [
        panel("Visits a second", "connect, one message, end", "{:,.0f}", lambda one: one.visits_per_s),
        panel("CPU of a visit", log, "{:,.0f} µs", lambda one: one.visit_cpu_s * 1e6, logarithmic=True),
        panel("Requests a second", "on connections that stay", "{:,.0f}", lambda one: one.requests_per_s),
        panel("CPU of a request", "less is better", "{:,.1f} µs", lambda one: one.request_cpu_s * 1e6),
        times("Time of a visit", f"median – 99 of 100; {log}", lambda one: (one.visit_p50_s, one.visit_p99_s)),
        times("Time of a request", f"median – 99 of 100; {log}", lambda one: (one.request_p50_s, one.request_p99_s)),
        panel("Memory of the server", "before anybody comes", "{:,.0f} MiB", lambda one: one.memory_bytes / 2**20),
        panel(
            "Memory of a connection",
            f"on top of that; {log}",
            "{:,.1f} KiB",
            lambda one: one.memory_bytes_per_connection / 1024,
            logarithmic=True,
        ),
    ]


def _label(one: Measured) -> str:
    return f"{one.model} ({one.served_at_once:,})"


def _short(seconds: float) -> str:
    return f"{seconds * 1e3:,.{0 if seconds > 0.01 else 1 if seconds > 0.001 else 2}f}"
