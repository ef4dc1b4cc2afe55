"""The workers as processes: forked, heard, killed and buried. What any of it means is the supervisor's to decide."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from portside.errors import ConnectionLost
from portside.net.sockets import Bound
from portside.serve import channel as say
from portside.serve.asked_captures import AskedCaptures
from portside.serve.counters import SharedCounters
from portside.serve.failures import Failures
from portside.serve.forking import fork_worker
from portside.serve.inquiries import Inquiries
from portside.serve.ledger import SharedLedger
from portside.serve.observing import Observe
from portside.serve.records import WorkerRecord
from portside.serve.settings import ServiceSettings
from portside.serve.turns import Turns


class Decider(Protocol):
    """Who is told what happens to workers."""

    def worker_ready(self, record: WorkerRecord) -> None:
        """It accepts connections."""

    def worker_leaving(self, record: WorkerRecord) -> None:
        """It was told by a signal of its own to go, and drains."""

    def worker_gone(self, record: WorkerRecord, status: int) -> None:
        """It has ended; what it held is given back already."""

    def code_changed(self, files: list[str]) -> None:
        """Code on disk is not what workers run."""


class Workforce:
    """All workers by pid, those that retire included."""

    def __init__(self, turns: Turns, decider: Decider, clock: Callable[[], float] = monotonic) -> None:
        self.workers: dict[int, WorkerRecord] = {}
        self.inquiries = Inquiries(self.workers, turns)
        self.failures = Failures()
        self.captures = AskedCaptures(self.workers)
        self._turns = turns
        self._decider = decider
        self._clock = clock

    def spawn(
        self,
        settings: ServiceSettings,
        slot: int,
        *,
        bounds: tuple[Bound, ...],
        ledger: SharedLedger,
        counters: SharedCounters,
        watched: tuple[str, ...] | None,
        observe: Observe | None,
        let_go: Callable[[], None],
    ) -> WorkerRecord:
        """Fork one worker; ``let_go`` is called in it. Raises: LocalError when the machine has nothing to give."""
        record = fork_worker(
            settings,
            slot,
            bounds=bounds,
            ledger=ledger,
            counters=counters,
            watched=watched,
            observe=observe,
            now_s=self._clock(),
            let_go=let_go,
        )
        self.workers[record.pid] = record
        self.captures.tell(record)
        self._turns.watch(record.channel.fileno(), lambda: self._hear(record))
        return record

    def forget_in_child(self) -> None:
        """In a worker just forked: the channels of the others."""
        for record in self.workers.values():
            record.channel.close()

    def kill(self, pid: int) -> None:
        """Kill a worker that has not been reaped yet: its pid cannot be anybody else's."""
        if pid in self.workers:
            os.kill(pid, signal.SIGKILL)

    def reap(self) -> None:
        """Take note of every child that is gone, also of orphans that came to us as process 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            record = self.workers.pop(pid, None)
            if record is not None:
                self._bury(record, os.waitstatus_to_exitcode(status))

    def _bury(self, record: WorkerRecord, status: int) -> None:
        if record.channel.fileno() >= 0:
            self._hear(record)  # its last words
            self._hang_up(record)
        record.ledger.wipe(record.ledger_slot)
        self.inquiries.forget(record)
        self._decider.worker_gone(record, status)

    # ── what they say ────────────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self, record: WorkerRecord) -> None:
        """Read what a worker says. Its silence for ever is told by its exit."""
        try:
            messages = record.channel.receive()
            record.channel.flush()
        except ConnectionLost:
            self._hang_up(record)
            return
        for message in messages:
            self._heed(record, message)

    def _hang_up(self, record: WorkerRecord) -> None:
        if record.channel.fileno() >= 0:
            self._turns.unwatch(record.channel.fileno())
            record.channel.close()

    def _heed(self, record: WorkerRecord, message: object) -> None:
        match message:
            case say.Ready():
                if record.state == "starting":
                    record.state = "ready"
                    self._decider.worker_ready(record)
            case say.Failed():
                record.failed = message
            case say.Leaving():
                record.is_leaving = True
                record.state = "draining"
                self._decider.worker_leaving(record)
            case say.Changed(files):
                self._decider.code_changed(files)
            case say.CaptureOver(to):
                self.captures.forget(to)
            case say.HandlerFailed(failure):
                self.failures.add(record, failure)
            case say.Rows() | say.Descriptors() | say.Conversation() | say.Ended():
                self.inquiries.take(record, message)
