"""Tables and JSON of what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from servers import REFERENCE

if TYPE_CHECKING:
    from echo import Result
    from portside.cli.rig.load import Slice
    from portside.cli.rig.machine import Cores


@dataclass(frozen=True, slots=True)
class About:
    """How it was measured."""

    own_network: bool
    congestion: str
    cores: Cores
    skipped: dict[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One server in one case: medians over the rounds; ratios are to the reference of the same round."""

    server: str
    requests_per_s: float
    ratio: float
    ratio_least: float
    ratio_most: float
    cpu_us_per_request: float
    user_us_per_request: float
    cpu_ratio: float
    p50_us: float
    p99_us: float
    memory_bytes_per_connection: float
    errors: int
    first_error: str
    server_share: float
    load_share: float
    others_share: float


def rows(result: Result) -> list[Row]:
    """Return one row a server, the fastest first."""
    reference = result.slices[REFERENCE]
    found = [row(name, slices, reference) for name, slices in result.slices.items()]
    return sorted(found, key=lambda one: one.ratio, reverse=True)


def row(name: str, slices: list[Slice], reference: list[Slice]) -> Row:
    """Return the medians of one server."""

    def middle(value: Callable[[Slice], float]) -> float:
        return median(map(value, slices))

    ratios = [share(mine.requests_per_s, theirs.requests_per_s) for mine, theirs in zip(slices, reference, strict=True)]
    cpu_ratios = [
        share(mine.cpu_us_per_request, theirs.cpu_us_per_request)
        for mine, theirs in zip(slices, reference, strict=True)
    ]
    return Row(
        server=name,
        requests_per_s=middle(lambda one: one.requests_per_s),
        ratio=median(ratios),
        ratio_least=min(ratios),
        ratio_most=max(ratios),
        cpu_us_per_request=middle(lambda one: one.cpu_us_per_request),
        user_us_per_request=middle(lambda one: one.user_us_per_request),
        cpu_ratio=median(cpu_ratios),
        p50_us=middle(lambda one: one.p50_us),
        p99_us=middle(lambda one: one.p99_us),
        memory_bytes_per_connection=middle(lambda one: one.memory_bytes_per_connection),
        errors=sum(one.errors for one in slices),
        first_error=next((one.first_error for one in slices if one.errors), ""),
        server_share=middle(lambda one: one.server_share),
        load_share=middle(lambda one: one.load_share),
        others_share=middle(lambda one: one.others_share),
    )


def share(part: float, whole: float) -> float:
    """Return the ratio, not-a-number if there is nothing to compare with."""
    return part / whole if whole else math.nan


COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("server", lambda one: one.server),
    ("requests/s", lambda one: f"{one.requests_per_s:,.0f}"),
    ("ratio", lambda one: f"{one.ratio:.2f}"),
    ("least-most", lambda one: f"{one.ratio_least:.2f}-{one.ratio_most:.2f}"),
    ("cpu us", lambda one: f"{one.cpu_us_per_request:.1f}"),
    ("user us", lambda one: f"{one.user_us_per_request:.1f}"),
    ("cpu ratio", lambda one: f"{one.cpu_ratio:.2f}"),
    ("p50 us", lambda one: f"{one.p50_us:,.0f}"),
    ("p99 us", lambda one: f"{one.p99_us:,.0f}"),
    ("server", lambda one: f"{one.server_share:.0%}"),
    ("load", lambda one: f"{one.load_share:.0%}"),
    ("others", lambda one: f"{one.others_share:.0%}"),
    ("errors", lambda one: f"{one.errors} {one.first_error}".strip()),
)
# Idle connections come at a rate that is given, so there is no speed to compare.
IDLE_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("server", lambda one: one.server),
    ("bytes/connection", lambda one: f"{one.memory_bytes_per_connection:,.0f}"),
    ("connections/s", lambda one: f"{one.requests_per_s:,.0f}"),
    ("cpu us", lambda one: f"{one.cpu_us_per_request:.1f}"),
    ("p50 us", lambda one: f"{one.p50_us:,.0f}"),
    ("p99 us", lambda one: f"{one.p99_us:,.0f}"),
    ("errors", lambda one: f"{one.errors} {one.first_error}".strip()),
)


def table(result: Result) -> str:
    """Return the case as plain text."""
    is_idle = result.case.mode == "idle"
    columns = IDLE_COLUMNS if is_idle else COLUMNS
    ordered = sorted(rows(result), key=lambda one: one.memory_bytes_per_connection) if is_idle else rows(result)
    case = result.case
    body = lay_out(columns, ordered)
    return f"{case.mode}: {case.size:,} bytes, {case.connections:,} connections\n{body}"


def lay_out(columns: Sequence[tuple[str, Callable[[Any], str]]], things: Sequence[Any]) -> str:
    """Return a line of titles and a line for each thing, in columns."""
    lines = [[title for title, _ in columns]]
    lines += [[show(one) for _, show in columns] for one in things]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(align, line, widths, range(len(line)))).rstrip() for line in lines)


def align(text: str, width: int, column: int) -> str:
    """Return the text at the left in the first column, at the right in all others."""
    return text.ljust(width) if column == 0 else text.rjust(width)


def notes(about: About) -> list[str]:
    """Return what a reader of the tables must know, in sentences."""
    network = "a network namespace of its own" if about.own_network else "the machine's network"
    cores = f"server on core {about.cores.server}, load on {about.cores.load}"
    lines = [f"in {network}, congestion control {about.congestion}; {cores}"]
    return lines + [f"skipped {name}: {reason}" for name, reason in about.skipped.items()]


def document(results: list[Result], about: About) -> dict[str, Any]:
    """Return everything, every slice too, as plain values."""
    return {
        "about": asdict(about),
        "notes": notes(about),
        "cases": [{**asdict(result.case), "servers": servers(result)} for result in results],
    }


def servers(result: Result) -> list[dict[str, Any]]:
    """Return the rows of a case with the slices they were made of."""
    return [{**asdict(one), "slices": list(map(asdict, result.slices[one.server]))} for one in rows(result)]
