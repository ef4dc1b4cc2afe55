"""The dashboard of a server that is not there: ten thousand connections, a tenth of which move at each look."""

from __future__ import annotations

from typing import Any

from portside.observe.dashboard.access import Access
from portside.observe.dashboard.app import Dashboard

COUNT = 10_000
WORKER = 4711
_looks = 0


async def ask(request: dict[str, Any]) -> Any:
    match request["do"]:
        case "stats":
            return stats()
        case "errors":
            return {"errors": []}
        case "connections":
            return page(request["after"], request["limit"])
    raise AssertionError(request)


def stats() -> dict[str, Any]:
    process = {"age_s": 9.0, "cpu_s": 1.0, "rss_bytes": 50_000_000, "threads": 1}
    service = {
        "service": "echo",
        "what": "echo",
        "model": "event",
        "listen": ["tcp://127.0.0.1:9000"],
        "state": "ready",
        "workers": [{"pid": WORKER, "state": "ready", **process}],
        "open": COUNT,
        "limit": 20_000,
        "limits_hit": {"connections": 0},
        **dict.fromkeys(("opened", "datagrams", "bytes_in", "bytes_out", "handler_failed"), 0),
    }
    about = {"version": "0", "pid": 1, "state": "running", "ready": True, "up_s": 9.0, **process}
    return {**about, "services": [service]}


def page(after: int, limit: int) -> dict[str, Any]:
    global _looks
    _looks += after == 0
    last = min(after + limit, COUNT)
    rows = [row(number) for number in range(after, last)]
    worker = {"pid": WORKER, "service": "echo", "connections": rows, "after": last if last < COUNT else None}
    return {"workers": [worker], "silent": []}


def row(number: int) -> dict[str, Any]:
    moved = _looks if number % 10 == _looks % 10 else 0
    return {
        "id": f"{WORKER}-{number}",
        "peer": {"host": f"10.0.{number // 250}.{number % 250}", "port": 40_000 + number},
        "local": {"host": "127.0.0.1", "port": 9_000},
        "started_at": "2026-01-01T00:00:00+00:00",
        "age_s": 9.0,
        "bytes_in": 1_000 * moved + number,
        "bytes_out": number,
        "state": "reading",
        "tls": None,
    }


app = Dashboard(ask, Access(), frozenset())
