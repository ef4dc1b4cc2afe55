"""What has failed lately, handlers and whole processes: what the control socket's ``errors`` shows."""

from __future__ import annotations

import itertools
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

from portside.serve.records import WorkerRecord

KEPT: Final = 100


class Failures:
    """The last of them, numbered from 1 in the order in which they were heard of."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add_crash(self, record: WorkerRecord, how: str) -> None:
        """Keep that a worker is gone which should not be; ``how`` is the sentence that the log has."""
        self.add(record, crash(how))

    def add(self, record: WorkerRecord, failure: dict[str, Any]) -> None:
        """Keep one that a worker told of."""
        place = {"seq": next(self._numbers), "service": record.service.name, "worker": record.pid}
        self._kept.append({**failure, **place})

    def newer_than(self, seq: int) -> list[dict[str, Any]]:
        """Return those with higher numbers, the oldest first."""
        return [failure for failure in self._kept if failure["seq"] > seq]


def crash(how: str, connection: str | None = None, peer: dict[str, str | int] | None = None) -> dict[str, Any]:
    """Return the failure of a process that can tell nothing itself, in the form of those that an observer tells of."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return {"time": now, "connection": connection, "peer": peer, "error": how, "traceback": ""}
