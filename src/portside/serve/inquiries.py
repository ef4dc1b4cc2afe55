"""The operator's questions: what the supervisor knows itself, and what it asks its workers without waiting for them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from portside.address import Endpoint
from portside.serve import channel as say
from portside.serve.processes import usage_of
from portside.serve.records import Group, WorkerRecord
from portside.serve.tally import LASTED_S, MOVED_BYTES, Tally, lasted_counts, moved_counts
from portside.serve.turns import Turns

ASK_S: Final = 2.0  # how long workers may take to answer a question; a busy one is left out of the answer


Answer: TypeAlias = say.Rows | say.Descriptors | say.Conversation | say.Ended


@dataclass(eq=False, slots=True)
class Ask:
    """A question to workers, and who is told the answers. ``in_full``: pages are asked for until the last has come."""

    waits_for: set[int]
    done: Callable[[Ask], None]
    in_full: bool = False
    answers: list[tuple[WorkerRecord, Answer]] = field(default_factory=list)
    found: bool = False  # a single thing was asked for, and a worker has it
    silent: set[int] = field(default_factory=set)

    @property
    def rows(self) -> Iterator[tuple[WorkerRecord, say.Row]]:
        """The connections that were told of, each with its worker."""
        for record, answer in self.answers:
            if isinstance(answer, say.Rows):
                yield from ((record, row) for row in answer.rows)


class Inquiries:
    """Asks workers, gathers what they say, and tells it when all have answered or time is up."""

    def __init__(self, workers: Mapping[int, WorkerRecord], turns: Turns) -> None:
        self._workers = workers
        self._turns = turns
        self._numbers = itertools.count(1)
        self._asks: dict[int, Ask] = {}

    def list_connections(self, done: Callable[[Ask], None]) -> None:
        """Have ``done`` called with the rows of all live connections."""
        self.ask(say.ListConnections, done, in_full=True)

    def end_connection(self, identity: str, done: Callable[[Ask], None]) -> None:
        """Have the connection of that id ended, and ``done`` called with whether it was found."""
        self.ask(lambda number: say.EndConnection(number, identity), done)

    def ask(
        self,
        question: Callable[[int], say.ToWorker],
        done: Callable[[Ask], None],
        *,
        wanted: Callable[[WorkerRecord], bool] = lambda record: True,
        in_full: bool = False,
    ) -> None:
        """Put a question to those workers that are wanted, and have ``done`` called with what they answer.

        ``question`` makes it of the number by which its answers are known.
        """
        records = [record for record in self._workers.values() if record.state != "starting" and wanted(record)]
        number = next(self._numbers)
        self._asks[number] = Ask({record.pid for record in records}, done, in_full)
        for record in records:
            record.tell(question(number))
        if records:
            self._turns.after(ASK_S, lambda: self._close(number))
        else:
            self._close(number)

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, record: WorkerRecord, answer: Answer) -> None:
        """A worker has answered; an answer that nobody waits for any more is nobody's."""
        number = answer.ask
        ask = self._asks.get(number)
        if ask is None:
            return
        ask.answers.append((record, answer))
        match answer:
            case say.Rows(after=int(place)) if ask.in_full:
                record.tell(say.ListConnections(number, after=place))
                return
            case say.Ended(found=True):
                ask.found = True
            case say.Conversation(found=found, row=row) if found is not None or row is not None:
                ask.found = True
        self._answered(number, ask, record.pid)

    def forget(self, record: WorkerRecord) -> None:
        """A worker is gone and will answer nothing more."""
        for number, ask in list(self._asks.items()):
            if record.pid in ask.waits_for:
                self._answered(number, ask, record.pid)

    def _answered(self, number: int, ask: Ask, pid: int) -> None:
        ask.waits_for.discard(pid)
        if not ask.waits_for or ask.found:
            self._close(number)

    def _close(self, number: int) -> None:
        ask = self._asks.pop(number, None)
        if ask is not None:
            ask.silent = ask.waits_for & self._workers.keys()
            ask.done(ask)


def row_of_service(
    group: Group,
    *,
    endpoints: Iterable[Endpoint],
    state: str,
    workers: Iterable[WorkerRecord],
    now_s: float,
    detailed: bool = False,
) -> dict[str, Any]:
    """Return the service as ``ps`` shows it, without its connections; ``detailed`` with everything that is counted."""
    settings, tally = group.settings, group.ledger.tally()
    return {
        "service": settings.name,
        "what": settings.what,
        "model": settings.model,
        "listen": [str(endpoint) for endpoint in endpoints],
        "state": state,
        "workers": [row_of_worker(record, now_s) for record in sorted(workers, key=lambda record: record.pid)],
        "open": group.ledger.total,
        "limit": settings.limits.connections,
        **_totals(tally),
        **(details_of(tally) if detailed else {}),
    }


def row_of_worker(record: WorkerRecord, now_s: float) -> dict[str, Any]:
    """Return the worker as ``ps`` shows it: since when it is there, and what it has used."""
    return {
        "pid": record.pid,
        "state": record.state,
        "age_s": round(now_s - record.started_s, 3),
        **shown_usage(record.pid),
    }


def shown_usage(pid: int) -> dict[str, Any]:
    """Return what the process has used, as ``ps`` shows it; null where nobody knows."""
    usage = usage_of(pid)
    if usage is None:
        return {"cpu_s": None, "rss_bytes": None, "threads": None}
    return {"cpu_s": usage.cpu_s, "rss_bytes": usage.rss_bytes, "threads": usage.threads}


def _totals(tally: Tally) -> dict[str, Any]:
    return {
        "opened": tally.opened,
        "datagrams": tally.datagrams,
        "bytes_in": tally.bytes_in,
        "bytes_out": tally.bytes_out,
        "handler_failed": tally.handler_failed,
        "ended_idle": tally.ended_idle,
        "ended_life": tally.ended_life,
        "cut_off": tally.cut_off,
        "limits_hit": tally.starting("limit_"),
    }


def details_of(tally: Tally) -> dict[str, Any]:
    """Return what is counted of a service beside that: histograms, and what batteries tell of.

    A histogram's ``counts`` are those of values up to each of its ``bounds``, and in the end of all that are larger.
    """
    return {
        "ended": tally.starting("ended_"),
        "duration_s": {"bounds": LASTED_S, "counts": lasted_counts(tally), "sum": tally.lasted_us / 1e6},
        "moved_bytes": {
            "bounds": [int(bound) for bound in MOVED_BYTES],
            "counts": moved_counts(tally),
            "sum": tally.moved_bytes,
        },
        "logins": tally.logins,
        "logins_refused": tally.logins_refused,
        "uploads": tally.uploads,
        "downloads": tally.downloads,
        "file_acts_failed": tally.file_acts_failed,
        "answers": tally.starting("answers_"),
    }
