"""Captures that were asked for: told to the workers there are, and to those that come while they last."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Final

from portside.errors import UsageError
from portside.serve import channel as say
from portside.serve.records import WorkerRecord

CAPTURES_MAX: Final = 16  # at a time; above it the oldest is told to no new worker any more


class AskedCaptures:
    """Those under way, as far as the supervisor knows: the first worker that finds nobody listening tells."""

    def __init__(self, workers: Mapping[int, WorkerRecord]) -> None:
        self._workers = workers
        self._asked: dict[str, tuple[str, say.Capture]] = {}

    def begin(self, service: str, wanted: say.Capture) -> int:
        """Have the service's workers capture. Returns how many there are. Raises: UsageError."""
        names = {record.service.name for record in self._workers.values()}
        if service not in names:
            near = difflib.get_close_matches(service, names, n=1)
            raise UsageError(
                f"there is no service {service!r}; "
                + (f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}")
            )
        for peer in wanted.peers:
            try:
                ip_network(peer)
            except ValueError as error:
                raise UsageError(f"{peer!r} is no network: {error}") from error
        while len(self._asked) >= CAPTURES_MAX:
            self._asked.pop(next(iter(self._asked)))
        self._asked[wanted.to] = service, wanted
        records = [record for record in self._workers.values() if record.service.name == service]
        for record in records:
            record.tell(wanted)
        return len(records)

    def tell(self, record: WorkerRecord) -> None:
        """Tell a new worker what is asked of its service."""
        for service, wanted in self._asked.values():
            if service == record.service.name:
                record.tell(wanted)

    def forget(self, to: str) -> None:
        self._asked.pop(to, None)
