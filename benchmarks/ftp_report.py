"""Tables and JSON of what was measured of FTP servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import report
from ftp_cases import Case
from ftp_load import Slice
from ftp_servers import OURS, REFERENCE


@dataclass(frozen=True, slots=True)
class Turn:
    """A slice, and the slices of the reference that were its neighbours."""

    slice: Slice
    neighbours: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """The turns of a case by server, one for each round."""

    case: Case
    turns: dict[str, list[Turn]]


@dataclass(frozen=True, slots=True)
class Row:
    """One server in one case: medians over the rounds. Ratios are to the mean of the neighbours; None where none is."""

    server: str
    rate: float
    ratio: float | None
    ratio_least: float | None
    ratio_most: float | None
    ours_to_it: float | None
    cpu_us: float
    cpu_ratio: float | None
    memory_bytes_per_session: float
    server_share: float
    load_share: float
    others_share: float
    errors: int
    first_error: str
    cipher: str


def rows(result: Result) -> list[Row]:
    """Return one row a server, the fastest first."""
    found = [row(name, turns, result) for name, turns in result.turns.items()]
    return sorted(found, key=lambda one: one.rate if one.ratio is None else one.ratio, reverse=True)


def row(name: str, turns: list[Turn], result: Result) -> Row:
    """Return the medians of one server."""
    case = result.case

    def middle(value: Callable[[Slice], float]) -> float:
        return median(value(turn.slice) for turn in turns)

    ratios = [ratio for turn in turns if (ratio := ratio_of(turn, case.rate)) is not None]
    cpu_ratios = [ratio for turn in turns if (ratio := ratio_of(turn, lambda one: cpu_us(case, one))) is not None]
    return Row(
        server=name,
        rate=middle(case.rate),
        ratio=median(ratios) if ratios else None,
        ratio_least=min(ratios, default=None),
        ratio_most=max(ratios, default=None),
        ours_to_it=ours_to(turns, result),
        cpu_us=middle(lambda one: cpu_us(case, one)),
        cpu_ratio=median(cpu_ratios) if cpu_ratios else None,
        memory_bytes_per_session=middle(lambda one: one.memory_bytes / max(1, one.operations)),
        server_share=middle(lambda one: one.server_share),
        load_share=middle(lambda one: one.load_share),
        others_share=middle(lambda one: one.others_share),
        errors=sum(turn.slice.errors for turn in turns),
        first_error=next((turn.slice.first_error for turn in turns if turn.slice.errors), ""),
        cipher=turns[0].slice.cipher,
    )


def cpu_us(case: Case, one: Slice) -> float:
    """Return the CPU of the server for one unit of the rate, 0 if nothing was done."""
    return one.cpu_s / amount * 1e6 if (amount := case.amount(one)) else 0.0


def ratio_of(turn: Turn, value: Callable[[Slice], float]) -> float | None:
    """Return the value of the slice to the mean of its neighbours; None without any, or if they did nothing."""
    theirs = [value(one) for one in turn.neighbours]
    mean = sum(theirs) / len(theirs) if theirs else 0.0
    return value(turn.slice) / mean if mean else None


def ours_to(turns: list[Turn], result: Result) -> float | None:
    """Return how many times our rate is that server's, by the ratios of the same rounds; None if either is nothing."""
    ratios = []
    for ours, theirs in zip(result.turns.get(OURS, []), turns, strict=False):
        mine, other = (ratio_of(turn, result.case.rate) for turn in (ours, theirs))
        if mine and other:
            ratios.append(mine / other)
    return median(ratios) if ratios else None


# ── as text ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def number(value: float | None, form: str) -> str:
    """Return the number as text, a dash if there is none."""
    return "–" if value is None else format(value, form)


Column = tuple[str, Callable[[Row], str]]


def columns(case: Case) -> list[Column]:
    """Return what is shown of a case."""
    rate: list[Column] = [
        ("server", lambda one: one.server),
        (f"{case.unit}/s", lambda one: number(one.rate, ",.0f")),
    ]
    ratios: list[Column] = [
        ("ratio", lambda one: number(one.ratio, ".2f")),
        ("least-most", lambda one: f"{number(one.ratio_least, '.2f')}-{number(one.ratio_most, '.2f')}"),
        (f"{OURS} to it", lambda one: number(one.ours_to_it, ".2f")),
        ("cpu us", lambda one: number(one.cpu_us, ",.1f")),
        ("cpu ratio", lambda one: number(one.cpu_ratio, ".2f")),
    ]
    memory: list[Column] = [("KiB/session", lambda one: number(one.memory_bytes_per_session / 1024, ",.1f"))]
    about: list[Column] = [
        ("server", lambda one: number(one.server_share, ".0%")),
        ("load", lambda one: number(one.load_share, ".0%")),
        ("others", lambda one: number(one.others_share, ".0%")),
        ("errors", lambda one: f"{one.errors} {one.first_error}".strip()),
    ]
    return [*rate, *(memory if case.has_new_servers else ratios), *about]


def table(result: Result) -> str:
    """Return the case as plain text."""
    return f"{result.case.name}: {result.case.title}\n{report.lay_out(columns(result.case), rows(result))}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files were."""

    folder: str
    kind: str  # of the file system


def notes(about: report.About, place: Place, results: list[Result]) -> list[str]:
    """Return what a reader of the tables must know, in sentences."""
    ciphers = {one.cipher for result in results for one in rows(result) if one.cipher}
    lines = [f"files in {place.folder} ({place.kind}); ratios are to {REFERENCE}, the slices before and after"]
    return [*report.notes(about), *lines, *(f"TLS: {cipher}" for cipher in sorted(ciphers))]


def document(results: list[Result], about: report.About, place: Place) -> dict[str, Any]:
    """Return everything, every slice too, as plain values."""
    return {
        "about": {**asdict(about), "place": asdict(place)},
        "notes": notes(about, place, results),
        "cases": [{**asdict(result.case), "servers": servers(result)} for result in results],
    }


def servers(result: Result) -> list[dict[str, Any]]:
    """Return the rows of a case with the turns they were made of."""
    return [{**asdict(one), "turns": list(map(asdict, result.turns[one.server]))} for one in rows(result)]
