"""Live connections as the page gets them: rows of plain values, and what has changed between two looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Row: TypeAlias = tuple[Any, ...]
"""id, service, worker, peer, local, started_at, bytes_in, bytes_out, state, tls: in the order of ``COLUMNS``."""

COLUMNS: Final = ("id", "service", "worker", "peer", "local", "started_at", "bytes_in", "bytes_out", "state", "tls")
_MOVING: Final = slice(6, 9)  # what changes while a connection lives: bytes_in, bytes_out, state
ROWS_AN_EVENT: Final = 1_000


def row_of(connection: Mapping[str, Any], service: str, worker: int) -> Row:
    """Return the row of a connection as the control socket tells of it."""
    facts = {**connection, "service": service, "worker": worker}
    return tuple(facts[name] for name in COLUMNS)


@dataclass(frozen=True, slots=True)
class Change:
    """What came, moved and went between two looks at the connections."""

    new: list[Row] = field(default_factory=list)
    moved: list[tuple[Any, ...]] = field(default_factory=list)  # id, bytes_in, bytes_out, state
    gone: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.moved or self.gone)


def changes_between(before: Mapping[str, Row], after: Mapping[str, Row]) -> Change:
    """Return what has changed; connections are told apart by their ids."""
    change = Change()
    for name, row in after.items():
        old = before.get(name)
        if old is None:
            change.new.append(row)
        elif old[_MOVING] != row[_MOVING]:
            change.moved.append((name, *row[_MOVING]))
    change.gone.extend(name for name in before if name not in after)
    return change


def events_of_all(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Yield the events that tell a page of all connections, in pieces: it begins anew with the first."""
    waiting = list(rows)
    starts = range(0, len(waiting), ROWS_AN_EVENT) or range(1)
    for start in starts:
        yield {"anew": start == 0, "new": waiting[start : start + ROWS_AN_EVENT], "moved": [], "gone": []}


def event_of(change: Change) -> dict[str, Any]:
    """Return the event that tells a page what has changed."""
    return {"anew": False, "new": change.new, "moved": change.moved, "gone": change.gone}
