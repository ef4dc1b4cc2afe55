"""Portside beside other servers: benchmarks/echo.py of a checkout, and what its document says in rows and bars."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from portside.cli.output import Column
from portside.cli.rig.load import LoadFailed
from portside.cli.rig.plot import Bar, Panel
from portside.cli.rig.servers import SOURCE, NotAvailable

OURS: Final = "portside-event"
YARDSTICK: Final = "c-epoll"
# The server that the words of --against mean, beside its own name in benchmarks/.
SHORT_NAMES: Final = {"c": YARDSTICK, "go": "go-net", "uvloop": "uvloop-protocol", "asyncio": "asyncio-protocol"}
NAMES: Final = (
    *(YARDSTICK, "go-net", "uvloop-protocol", "asyncio-protocol", "uvloop-streams", "asyncio-streams"),
    *("twisted", "anyio", "trio", "gevent", "threads"),
)
AGAINST: Final = "c,uvloop-protocol,uvloop-streams,asyncio-streams"
MODES: Final = ("echo", "short", "idle")


def compare(against: Sequence[str], options: Sequence[str]) -> Any:
    """Return the document of benchmarks/echo.py; its progress and complaints go where ours go.

    Raises: NotAvailable outside a checkout, LoadFailed.
    """
    script = SOURCE.parent / "benchmarks" / "echo.py"
    if not script.exists():
        raise NotAvailable("the servers to compare with are in benchmarks/ of Portside's repository: run it there")
    command = [sys.executable, str(script), "--json", "--progress", "--only", ",".join([OURS, *against]), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            process.terminate()  # it stops its servers; leaving this block waits for it
            raise
    if process.returncode:
        raise LoadFailed("the benchmark has failed")
    return json.loads(output)


def title(case: dict[str, Any]) -> str:
    """Return the case in words."""
    return f"{case['mode']}: {case['size']:,} bytes, {case['connections']:,} connections"


def rows(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each server of a case, under the keys that are documented.

    ``others_share`` is the part of both cores that somebody else used meanwhile; above a few per cent, measure again.
    """
    ours: list[dict[str, Any]] = next((one["slices"] for one in case["servers"] if one["server"] == OURS), [])
    found = []
    for one in case["servers"]:
        ratios = [
            mine["requests_per_s"] / theirs["requests_per_s"]
            for mine, theirs in zip(ours, one["slices"], strict=False)
            if theirs["requests_per_s"]
        ]
        is_idle = case["mode"] == "idle"
        found.append(
            {
                **{name: case[name] for name in ("mode", "size", "connections")},
                "server": one["server"],
                "requests_per_s": one["requests_per_s"],
                "ratio": None if is_idle else one["ratio"],
                "ratio_least": None if is_idle else one["ratio_least"],
                "ratio_most": None if is_idle else one["ratio_most"],
                "ours_to_it": median(ratios) if ratios and not is_idle else None,
                "cpu_s": one["cpu_us_per_request"] / 1e6,
                "cpu_ratio": one["cpu_ratio"],
                "p50_s": one["p50_us"] / 1e6,
                "p99_s": one["p99_us"] / 1e6,
                "others_share": one["others_share"],
                "memory_bytes_per_connection": round(one["memory_bytes_per_connection"]) if is_idle else None,
                "errors": one["errors"],
                "first_error": one["first_error"] or None,
            }
        )
    return found


def _microseconds(value: float) -> str:
    return f"{value * 1e6:,.1f}"


ECHO_COLUMNS: Final = (
    Column("server"),
    Column("requests_per_s", "REQUESTS/S", right=True, show=lambda value: f"{value:,.0f}"),
    Column("ratio", right=True, show="{:.2f}".format),
    Column("ratio_least", "LEAST", right=True, show="{:.2f}".format),
    Column("ratio_most", "MOST", right=True, show="{:.2f}".format),
    Column("ours_to_it", "OURS/IT", right=True, show="{:.2f}".format),
    Column("cpu_s", "CPU US", right=True, show=_microseconds),
    Column("cpu_ratio", "CPU RATIO", right=True, show="{:.2f}".format),
    Column("p50_s", "P50 US", right=True, show=_microseconds),
    Column("p99_s", "P99 US", right=True, show=_microseconds),
    Column("others_share", "OTHERS", right=True, show="{:.0%}".format),
    Column("errors", right=True),
)
IDLE_COLUMNS: Final = (
    Column("server"),
    Column("memory_bytes_per_connection", "BYTES/CONNECTION", right=True, show="{:,}".format),
    Column("requests_per_s", "CONNECTIONS/S", right=True, show=lambda value: f"{value:,.0f}"),
    *ECHO_COLUMNS[-6:],
)


def columns(case: dict[str, Any]) -> tuple[Column, ...]:
    """Return the columns that mean something for the case: idle connections come at a rate that is given."""
    return IDLE_COLUMNS if case["mode"] == "idle" else ECHO_COLUMNS


def panel(case: dict[str, Any]) -> Panel:
    """Return one case as bars: the ratios, or the memory of idle connections."""
    kinds = {OURS: "ours", YARDSTICK: "yardstick"}
    bars = []
    for row in rows(case):
        kind = kinds.get(row["server"], "peer")
        if row["server"].endswith("again"):
            continue
        if case["mode"] == "idle":
            held = row["memory_bytes_per_connection"]
            bars.append(Bar(row["server"], kind, held, f"{held:,} bytes"))
        else:
            bars.append(Bar(row["server"], kind, row["ratio"], f"{row['ratio']:.2f}"))
    words = {"echo": "Echo", "short": "Connect, one message, end:", "idle": "Memory of a connection,"}[case["mode"]]
    return Panel(f"{words} {case['size']:,} bytes", f"{case['connections']:,} connections", bars)
