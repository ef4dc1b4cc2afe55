"""Giving birth to a worker: the fork, and what the child lets go of before it works."""

from __future__ import annotations

import os
from collections.abc import Callable

from portside.errors import LocalError
from portside.net.sockets import Bound
from portside.serve import channel as say
from portside.serve.counters import SharedCounters
from portside.serve.ledger import SharedLedger
from portside.serve.observing import Observe
from portside.serve.records import WorkerRecord
from portside.serve.settings import ServiceSettings
from portside.serve.signals import held_back
from portside.serve.worker import BORN_DEAD, Assignment, die_with_parent, work


def fork_worker(
    settings: ServiceSettings,
    slot: int,
    *,
    bounds: tuple[Bound, ...],
    ledger: SharedLedger,
    counters: SharedCounters,
    watched: tuple[str, ...] | None,
    observe: Observe | None,
    now_s: float,
    let_go: Callable[[], None],
) -> WorkerRecord:
    """Fork a worker for the slot, and return its record.

    In the child ``let_go`` is called with signals still held back: it restores their defaults and closes whatever is
    the supervisor's own; then the child works, and nothing here returns.
    Raises: LocalError when the machine has no process, descriptor or slot to give.
    """
    ledger_slot = ledger.claim()
    try:
        ours, theirs = say.open_channel()
    except OSError as error:
        ledger.wipe(ledger_slot)
        raise LocalError(f"no descriptors for another worker: {error.strerror}") from error
    parent = os.getpid()
    with held_back():
        try:
            pid = os.fork()
        except OSError as error:
            ledger.wipe(ledger_slot)
            ours.close()
            theirs.close()
            raise LocalError(f"no process for another worker: {error.strerror}") from error
        if pid == 0:
            try:
                let_go()
                ours.close()
                die_with_parent(parent)
                work(Assignment(settings, bounds, ledger, ledger_slot, counters, theirs, watched, observe))
            finally:
                os._exit(BORN_DEAD)
    theirs.close()
    return WorkerRecord(pid, settings, slot, ours, ledger, ledger_slot, counters, now_s)
