"""The live connections of a worker, as the supervisor asks for them: listed page by page, ended, said goodbye to."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import Final

from portside.address import UnixAddress
from portside.errors import PortsideError
from portside.events import EndReason
from portside.net.stream import Stream
from portside.serve import channel as say
from portside.serve.capturing import Captures
from portside.serve.service import Service
from portside.serve.sweeper import publish
from portside.serve.watching import Watches

Page = tuple[list[say.Row], int | None]
"""Rows, and the place behind the last of them where others follow; None where none do."""


_serial: Final = attrgetter("serial")


class Connections:
    """The live connections of a worker, wherever they live; the fork model has its own."""

    def page(self, after: int, limit: int) -> Page:
        """Return at most ``limit`` rows of those behind the place ``after`` in an order that lasts; 0 is before all."""
        raise NotImplementedError

    def look_anew(self) -> None:
        """Forget the order of pages: some have come and gone since."""

    def row(self, identity: str) -> say.Row | None:
        """Return the row of one; None if there is none of that name."""
        raise NotImplementedError

    def watch(self, identity: str) -> None:
        """Have the observer told what one moves, for some seconds: somebody looks."""
        raise NotImplementedError

    def by_descriptor(self) -> dict[int, str]:
        """Return the ids of those that this process holds itself, by the number of their socket."""
        raise NotImplementedError

    def publish(self) -> None:
        """Write the counters of now into the ledger."""
        raise NotImplementedError

    def end(self, identity: str, why: str, reason: EndReason = "stopped") -> bool:
        """End one, as an operator asks; False if there is none of that name."""
        raise NotImplementedError

    def capture(self, wanted: say.Capture, captures: Captures) -> None:
        """Begin to capture them."""
        raise NotImplementedError

    def say_goodbye(self, why: str) -> None:
        """Let those go that wait for input and have words for it in their protocol."""
        raise NotImplementedError

    def count(self) -> int:
        """Return how many there are."""
        raise NotImplementedError

    def cut_off(self) -> None:
        """End all that are left."""
        raise NotImplementedError


class LiveConnections(Connections):
    """Those of ``service.live``, in this process."""

    def __init__(self, service: Service, watches: Watches) -> None:
        self._service = service
        self._watches = watches
        self._ordered: list[Stream] | None = None  # for all pages of a listing, which come at short intervals

    def page(self, after: int, limit: int) -> Page:
        ordered = self._ordered
        if ordered is None or not after:
            self._ordered = ordered = sorted(self._service.live.values(), key=_serial)
        start = bisect_right(ordered, after, key=_serial)
        first = ordered[start : start + limit]
        live = self._service.live
        rows = [row_of(connection) for connection in first if connection.id in live]
        return rows, first[-1].serial if start + limit < len(ordered) else None

    def look_anew(self) -> None:
        self._ordered = None

    def row(self, identity: str) -> say.Row | None:
        connection = self._service.live.get(identity)
        return None if connection is None else row_of(connection)

    def watch(self, identity: str) -> None:
        connection = self._service.live.get(identity)
        if connection is not None:
            self._watches.watch(connection)

    def by_descriptor(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for connection in list(self._service.live.values()):
            for one in (connection, *(companion for companion, _ in connection.companions())):
                if (descriptor := one.descriptor) is not None:
                    found[descriptor] = connection.id
        return found

    def publish(self) -> None:
        publish(self._service)

    def end(self, identity: str, why: str, reason: EndReason = "stopped") -> bool:
        connection = self._service.live.get(identity)
        if connection is None:
            return False
        connection.end(reason, self._service.goodbye(why) if connection.state == "reading" else b"")
        return True

    def capture(self, wanted: say.Capture, captures: Captures) -> None:
        captures.begin(wanted, list(self._service.live.values()))

    def say_goodbye(self, why: str) -> None:
        if self._service.battery.refusal is None:
            return
        for connection in list(self._service.live.values()):
            if connection.state == "reading":
                connection.end("drained", self._service.goodbye(why))

    def count(self) -> int:
        return len(self._service.live)

    def cut_off(self) -> None:
        for connection in list(self._service.live.values()):
            connection.end("drained")


def row_of(connection: Stream) -> say.Row:
    """Return the connection as ``ps`` shows it."""
    tls = connection.tls
    try:
        local = connection.local
    except (PortsideError, OSError):
        local = UnixAddress("")  # its handler has closed it and goes on; nobody had asked before
    return say.Row(
        id=connection.id,
        peer=say.address_json(connection.peer),
        local=say.address_json(local),
        started_at=connection.started_at.isoformat(timespec="milliseconds"),
        age_s=round(connection.age_s, 3),
        bytes_in=connection.all_bytes_in,
        bytes_out=connection.all_bytes_out,
        state=connection.state,
        tls=tls.version if tls is not None else None,
    )
