"""What the supervisor keeps in mind: its workers, the services they are for, and a roll under way."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from portside.errors import ConnectionLost, LocalError, PortsideError, UsageError
from portside.serve import channel as say
from portside.serve.counters import SharedCounters
from portside.serve.ledger import SharedLedger
from portside.serve.lifecycle import Crashes
from portside.serve.listening import Plan
from portside.serve.settings import ServerSettings, ServiceSettings

WorkerState: TypeAlias = Literal["starting", "ready", "retiring", "draining"]
Told: TypeAlias = Callable[[str | None], None]
"""Whoever asked for a reload: gets None for success, or a sentence."""


@dataclass(eq=False, slots=True)
class WorkerRecord:
    """A worker as the supervisor knows it."""

    pid: int
    service: ServiceSettings
    slot: int
    channel: say.Channel
    ledger: SharedLedger
    ledger_slot: int
    counters: SharedCounters
    started_s: float
    state: WorkerState = "starting"
    failed: say.Failed | None = None  # what it said of its birth
    is_leaving: bool = False  # its exit is no crash
    roll: Roll | None = None  # the roll it is born in

    def tell(self, message: say.ToWorker) -> None:
        """Send it a message; that it is gone, if it is, will be heard soon enough."""
        if self.channel.fileno() >= 0:
            try:
                self.channel.send(message)
            except ConnectionLost:
                return


@dataclass(eq=False, slots=True)
class Group:
    """A service as it is served now."""

    settings: ServiceSettings
    ledger: SharedLedger
    counters: SharedCounters
    crashes: Crashes = field(default_factory=Crashes)
    workers: dict[int, WorkerRecord] = field(default_factory=dict)  # by slot


@dataclass(eq=False, slots=True)
class Roll:
    """A start or a reload under way."""

    settings: ServerSettings
    plan: Plan
    is_first: bool
    started_s: float
    groups: dict[str, Group] = field(default_factory=dict)
    waits_for: set[int] = field(default_factory=set)  # pids of workers that are not ready yet
    told: list[Told] = field(default_factory=list)


def why_not_born(record: WorkerRecord, status: int) -> PortsideError:
    """Return what the start or reload fails with when one of its workers is gone."""
    if record.failed is not None:
        kind = UsageError if record.failed.usage else LocalError
        return kind(record.failed.sentence)
    return LocalError(f"{record.service.name}: a worker died before it was ready: it {how(status)}")


def how(status: int) -> str:
    """Return how a process ended, for a sentence."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
