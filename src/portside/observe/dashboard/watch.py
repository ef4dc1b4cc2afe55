"""What the dashboard knows of the server: looked up once a second for all pages together, while there are any.

Looking at ten thousand connections is work for the workers that have them. So it takes a ninth of the time at most:
whatever a look took, the next one waits eight times as long, within a second and ten. Pages say how old a look is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from portside.errors import PortsideError
from portside.observe.dashboard.answers import build_event
from portside.observe.dashboard.asking import Ask, Silent
from portside.observe.dashboard.rows import Change, Row, changes_between, event_of, row_of

log = logging.getLogger("portside")

LOOK_S: Final = 1.0
LOOK_SHARE: Final = 8.0
WAIT_S_MAX: Final = 10.0
ROWS_MAX: Final = 20_000  # connections that are shown; services say how many there are
ROWS_A_PAGE: Final = 250
ERRORS_KEPT: Final = 100
WORKERS_AT_ONCE: Final = 8


class Watch:
    """The latest look at the server. ``attach`` a page's bell, which is rung whenever there is news."""

    def __init__(self, ask: Ask, builtin: frozenset[str], *, clock: Callable[[], float] = monotonic) -> None:
        """``builtin`` are the services that are ours, such as the one this runs in: shown apart from the others."""
        self.server: dict[str, Any] = {}  # the event that tells of the server and its services
        self.looks = 0  # how often ``server`` has been told anew
        self.rows: dict[str, Row] = {}
        self.version = 0  # of the rows
        self.errors: deque[dict[str, Any]] = deque(maxlen=ERRORS_KEPT)
        self._ask = ask
        self._builtin = builtin
        self._clock = clock
        self._change_event = b""  # from the version before to this one
        self._last_error = 0
        self._busy: list[int] = []  # workers that did not answer the last time
        self._is_cut = False
        self._looked_at: str | None = None  # when the connections were looked at
        self._has_looked = asyncio.Event()  # at the server: whose connections are looked at, it says
        self._bells: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    # ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def pages(self) -> int:
        return len(self._bells)

    def attach(self, bell: asyncio.Event) -> None:
        """Ring the bell at news; the first one has us look."""
        self._bells.add(bell)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())

    def detach(self, bell: asyncio.Event) -> None:
        """Ring it no more; when it was the last, nobody is asked any more, and nothing old is kept to be shown."""
        self._bells.discard(bell)
        if not self._bells and self._task is not None:
            self._task.cancel()
            self._task = None
            self.server, self.rows = {}, {}
            self._has_looked.clear()
            self._change_event = b""
            self.version += 1

    def change_since(self, version: int, rows: dict[str, Row]) -> bytes:
        """Return the event that makes today's rows of those of an earlier version; empty where nothing has changed."""
        if version == self.version - 1 and self._change_event:
            return self._change_event
        change = changes_between(rows, self.rows)
        return build_event("connections", event_of(change)) if change else b""

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _watch(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._look_at_server, share=1.0))
            tasks.create_task(self._repeat(self._look_at_connections, share=LOOK_SHARE))

    async def _repeat(self, look: Callable[[], Any], *, share: float) -> None:
        while True:
            began_s = self._clock()
            try:
                await look()
            except PortsideError as error:
                self._note_silence(error)
            except Exception:
                log.exception("the dashboard could not look at the server; it tries again")
                self._note_silence(Silent("the dashboard failed to look; the log says why"))
            took_s = self._clock() - began_s
            await asyncio.sleep(min(max(LOOK_S - took_s, took_s * share, LOOK_S / 10), WAIT_S_MAX))

    async def _look_at_server(self) -> None:
        stats = await self._ask({"do": "stats"})
        errors = await self._ask({"do": "errors", "after": self._last_error})
        for error in errors["errors"]:
            self._last_error = error["seq"]
            self.errors.append(error)
        self._tell_of_server(stats)

    def _tell_of_server(self, stats: dict[str, Any]) -> None:
        services = [{**service, "builtin": service["service"] in self._builtin} for service in stats["services"]]
        about = {name: value for name, value in stats.items() if name != "services"}
        self.server = {
            "now": shown_now(),
            "looked_at": self._looked_at,
            "server": about,
            "services": services,
            "busy": self._busy,
            "cut": self._is_cut,
        }
        self.looks += 1
        self._has_looked.set()
        self._ring()

    def _note_silence(self, error: PortsideError) -> None:
        self.server = {"now": shown_now(), "silent": str(error)}
        self.looks += 1
        self._ring()

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look_at_connections(self) -> None:
        await self._has_looked.wait()
        if "services" not in self.server:
            return  # it is silent now
        workers = [
            (service["service"], worker["pid"])
            for service in self.server["services"]
            if not service["builtin"]
            for worker in service["workers"]
            if worker["state"] != "starting"
        ]
        turn = asyncio.Semaphore(WORKERS_AT_ONCE)
        share = max(ROWS_A_PAGE, ROWS_MAX // max(1, len(workers)))
        found = await asyncio.gather(*(self._rows_of(service, pid, share, turn) for service, pid in workers))
        rows: dict[str, Row] = {}
        for (_, pid), (theirs, _) in zip(workers, found, strict=True):
            rows.update({name: row for name, row in self.rows.items() if row[2] == pid} if theirs is None else theirs)
        self._busy = [pid for (_, pid), (theirs, _) in zip(workers, found, strict=True) if theirs is None]
        self._is_cut = any(is_cut for _, is_cut in found)
        self._looked_at = shown_now()
        self._take(rows)

    async def _rows_of(
        self, service: str, pid: int, limit: int, turn: asyncio.Semaphore
    ) -> tuple[dict[str, Row] | None, bool]:
        """Return the connections of a worker, None if it is too busy to tell, and whether there are more of them."""
        rows: dict[str, Row] = {}
        after: int | None = 0
        async with turn:
            while after is not None and len(rows) < limit:
                asked = {"do": "connections", "worker": pid, "after": after, "limit": ROWS_A_PAGE}
                answer = await self._ask(asked)
                if not answer["workers"]:
                    return (None if pid in answer["silent"] else {}), False
                page = answer["workers"][0]
                rows.update({one["id"]: row_of(one, service, pid) for one in page["connections"]})
                after = page["after"]
        return rows, after is not None

    def _take(self, rows: dict[str, Row]) -> None:
        change: Change = changes_between(self.rows, rows)
        if change:
            self.rows = rows
            self.version += 1
            self._change_event = build_event("connections", event_of(change))
            self._ring()


def shown_now() -> str:
    """Return the time as a page gets it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
