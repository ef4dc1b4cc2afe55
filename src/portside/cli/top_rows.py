"""What ``portside top`` shows, as values: cells of its tables, and the last minute of what only grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from portside.cli.control import shown_address, shown_age, shown_bytes
from portside.observe.dashboard.rows import COLUMNS, Row

SPARK_CELLS: Final = 12
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"

SERVICE_TITLES: Final = (
    "SERVICE",
    "STATE",
    "MODEL",
    "OPEN",
    "NEW/S",
    "IN/S",
    "",
    "OUT/S",
    "",
    "REFUSED",
    "FAILED",
    "LISTEN",
)
CONNECTION_TITLES: Final = ("CONNECTION", "SERVICE", "PEER", "AGE", "IN", "OUT", "NOW", "STATE", "TLS", "WORKER")
WORKER_TITLES: Final = ("PROCESS", "SERVES", "STATE", "CPU", "", "MEMORY", "THREADS", "AGE")
ERROR_TITLES: Final = ("TIME", "SERVICE", "PEER", "ERROR")
ORDERS: Final = ("moving", "youngest", "oldest", "service", "peer")


@dataclass(slots=True)
class Rate:
    """What a counter grew by, each second of the last ones."""

    values: deque[float] = field(default_factory=lambda: deque(maxlen=SPARK_CELLS))
    _last: tuple[float, float] | None = None

    def add(self, value: float, at_s: float) -> None:
        if self._last is not None and at_s > self._last[1]:
            self.values.append(max(0.0, (value - self._last[0]) / (at_s - self._last[1])))
        self._last = (value, at_s)

    @property
    def now(self) -> float:
        return self.values[-1] if self.values else 0.0

    @property
    def spark(self) -> str:
        """The values as a small line, the latest at its right end."""
        top = max(self.values, default=0.0)
        if not top:
            return ("▁" * len(self.values)).rjust(SPARK_CELLS)
        line = "".join(_HEIGHTS[min(7, int(8 * value / top))] for value in self.values)
        return line.rjust(SPARK_CELLS)


class Rates:
    """Rates by name; those that were not told of lately are forgotten."""

    def __init__(self) -> None:
        self._rates: dict[object, Rate] = {}

    def add(self, values: Mapping[object, float], at_s: float) -> None:
        self._rates = {key: self._rates.get(key) or Rate() for key in values}
        for key, value in values.items():
            self._rates[key].add(value, at_s)

    def of(self, key: object) -> Rate:
        return self._rates.get(key) or Rate()


def rates_of_services(services: Iterable[Mapping[str, Any]]) -> dict[object, float]:
    """Return the counters of services whose growth is shown."""
    found: dict[object, float] = {}
    for service in services:
        name = service["service"]
        found[name, "new"] = service["opened"] + service["datagrams"]
        found[name, "in"] = service["bytes_in"]
        found[name, "out"] = service["bytes_out"]
    return found


def service_cells(service: Mapping[str, Any], rates: Rates) -> tuple[str, ...]:
    new, came, went = (rates.of((service["service"], what)) for what in ("new", "in", "out"))
    return (
        service["service"],
        service["state"],
        service["model"],
        f"{service['open']:,}",
        f"{new.now:.0f}",
        shown_bytes(came.now),
        came.spark,
        shown_bytes(went.now),
        went.spark,
        f"{sum(service['limits_hit'].values()):,}",
        f"{service['handler_failed']:,}",
        " ".join(service["listen"]),
    )


def connection_cells(row: Row, moved: float, now: datetime) -> tuple[str, ...]:
    """Return the cells of a connection; ``moved`` is its bytes of the last second."""
    one = dict(zip(COLUMNS, row, strict=True))
    age_s = (now - datetime.fromisoformat(one["started_at"])).total_seconds()
    return (
        one["id"],
        one["service"],
        shown_address(one["peer"]),
        shown_age(max(0.0, age_s)),
        shown_bytes(one["bytes_in"]),
        shown_bytes(one["bytes_out"]),
        shown_bytes(moved),
        one["state"],
        one["tls"] or "",
        str(one["worker"]),
    )


def moved_by(row: Row) -> int:
    """Return the bytes that a connection has moved, both ways."""
    return int(row[COLUMNS.index("bytes_in")]) + int(row[COLUMNS.index("bytes_out")])


def chosen(rows: Iterable[Row], words: str, order: str, rates: Rates, most: int) -> Sequence[Row]:
    """Return at most so many of the rows that hold all of the words, in the order."""
    asked = words.lower().split()
    found = [row for row in rows if not asked or _fits(row, asked)]
    started, peer = COLUMNS.index("started_at"), COLUMNS.index("peer")
    match order:
        case "moving":
            found.sort(key=lambda row: (-rates.of(row[0]).now, row[started]))
        case "service":
            found.sort(key=lambda row: (row[1], row[started]))
        case "peer":
            found.sort(key=lambda row: shown_address(row[peer]))
        case _:
            found.sort(key=lambda row: row[started], reverse=order == "youngest")
    return found[:most]


def _fits(row: Row, words: Sequence[str]) -> bool:
    one = dict(zip(COLUMNS, row, strict=True))
    text = f"{one['id']} {one['service']} {shown_address(one['peer'])} {one['state']} {one['worker']}".lower()
    return all(word in text for word in words)


def processes_of(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the supervisor and all workers, as the dashboard's event of the server tells of them."""
    server = event["server"]
    ours = {**server, "serves": "supervisor", "age_s": server["up_s"]}
    return [
        ours,
        *({**one, "serves": service["service"]} for service in event["services"] for one in service["workers"]),
    ]


def process_cells(process: Mapping[str, Any], rates: Rates, busy: Sequence[int]) -> tuple[str, ...]:
    rate = rates.of(process["pid"])
    known = process["rss_bytes"] is not None
    return (
        str(process["pid"]),
        process["serves"],
        "busy" if process["pid"] in busy else process["state"],
        f"{100 * rate.now:.0f}%" if known else "–",
        rate.spark,
        shown_bytes(process["rss_bytes"]) if known else "–",
        str(process["threads"]) if known else "–",
        shown_age(process["age_s"]),
    )


def error_cells(error: Mapping[str, Any]) -> tuple[str, ...]:
    at = datetime.fromisoformat(error["time"]).astimezone()
    return (f"{at:%H:%M:%S}", error["service"], shown_address(error["peer"]) if error["peer"] else "", error["error"])
