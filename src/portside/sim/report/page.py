"""The page: everything in one file that needs no network, in light and dark, on a phone and on paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from portside.sim.report.plot import Curve, legend, plot
from portside.sim.report.sequence import conversation_flights, sequence, window_of
from portside.sim.report.style import STYLE
from portside.sim.report.topology import about, rate_text, time_text, topology
from portside.sim.trace import FLIGHTS_MAX, Flow, Trace

CONVERSATIONS_MAX: Final = 8
FLOWS_MAX: Final = 6
BINS: Final = 120  # of goodput over a run
FATES: Final = ("delivered", "lost", "ruled out", "dropped", "down", "damaged", "duplicated", "overtaken")


def write_report(
    trace: Trace,
    folder: Path,
    *,
    title: str,
    description: str = "",
    results: Sequence[tuple[str, str, str]] = (),
    captures: Sequence[str] = (),
    curves: Sequence[Curve] = (),
) -> Path:
    """Write ``report.html`` into a folder, and return its path. ``results`` are what programs have said at their end,
    as ``(what, host, how)``; ``captures`` names of files beside the page; ``curves`` more plots.

    Raises: OSError.
    """
    world = trace.world
    facts = [
        f"seed {world.seed}", f"ended after {time_text(round(trace.ended_s, 6))}", f"digest {trace.digest}",
        *(f'<a href="{escape(name)}">{escape(name)}</a>' for name in captures),
    ]  # fmt: skip
    sections = [
        _section("Topology", topology(world)),
        _section("What happened", _results(results) + _marks(trace)),
        *(_section(curve.title, plot(curve) + legend(curve)) for curve in curves),
        _section("Flows", _flows(trace)),
        *_plots(trace),
        *_conversations(trace),
        _section("Links", _links(trace)),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(description)}</p>"
        f'<p class="facts">{" · ".join(facts)}</p></header>'
        f"{''.join(sections)}</main></body></html>\n"
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers_from: int) -> str:
    """Return a table whose columns from that one on are numbers."""

    def cell(tag: str, at: int, text: object) -> str:
        number = ' class="number"' if at >= numbers_from else ""
        return f"<{tag}{number}>{escape(str(text))}</{tag}>"

    lines = "".join("<tr>" + "".join(cell("td", at, one) for at, one in enumerate(row)) + "</tr>" for row in rows)
    top = "".join(cell("th", at, text) for at, text in enumerate(head))
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'


def _results(results: Sequence[tuple[str, str, str]]) -> str:
    return _table(("program", "on", "result"), results, 3) if results else ""


def _marks(trace: Trace) -> str:
    if not trace.marks:
        return ""
    return _table(("time", "fault"), [(time_text(round(at, 6)), text) for at, text in trace.marks], 2)


# ── flows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _senders(trace: Trace) -> list[Flow]:
    """Return the flows that have sent anything, those that sent most first."""
    return sorted((flow for flow in trace.flows if flow.acknowledged_bytes), key=lambda flow: -flow.acknowledged_bytes)


def _flows(trace: Trace) -> str:
    rows = [
        (
            flow.host,
            flow.name,
            f"{flow.acknowledged_bytes:,}",
            rate_text(round(8 * flow.throughput, -2)),
            flow.retransmits,
            flow.timeouts,
        )
        for flow in _senders(trace)[:40]
    ]
    head = ("on", "connection", "bytes acknowledged", "throughput", "sent again", "timeouts")
    return _table(head, rows, 2) if rows else ""


def _plots(trace: Trace) -> list[str]:
    senders = _senders(trace)
    least = senders[0].acknowledged_bytes / 100 if senders else 0  # answers of a few bytes say nothing
    flows = [flow for flow in senders if len(flow.cwnd.points) > 3 and flow.acknowledged_bytes >= least][:FLOWS_MAX]
    found = []
    for flow in flows[:3]:
        windows = {"congestion window": flow.cwnd.points}
        if flow.ssthresh.points:
            windows["slow-start threshold"] = flow.ssthresh.points
        found.append(Curve(f"Window: {flow.name}", "time (s)", "bytes", windows, steps=True, marks=trace.marks))
        times = {"smoothed round-trip time": flow.srtt.points, "retransmission timeout": flow.rto.points}
        found.append(Curve(f"Times: {flow.name}", "time (s)", "seconds", times, steps=True, marks=trace.marks))
    if flows:
        goodput = {flow.name: _goodput(flow) for flow in flows}
        found.append(Curve("Goodput", "time (s)", "bit/s", goodput, marks=trace.marks))
    queues = {name: series.points for name, series in trace.queues.items() if any(value for _, value in series.points)}
    if queues:
        found.append(Curve("Queues", "time (s)", "frames waiting", queues, marks=trace.marks))
    return [_section(curve.title, plot(curve) + legend(curve)) for curve in found]


def _goodput(flow: Flow) -> list[tuple[float, float]]:
    """Return bits a second that were acknowledged, in equal pieces of the flow's time, a round trip long at least:
    within one, what is acknowledged after a loss would look like more than the line carries.
    """
    points = flow.acknowledged.points
    begin_s, end_s = points[0][0], points[-1][0]
    if end_s <= begin_s:
        return []
    round_trip_s = flow.srtt.points[-1][1] if flow.srtt.points else 0.0
    bins = max(1, min(BINS, int((end_s - begin_s) / round_trip_s) if round_trip_s else BINS))
    width_s = (end_s - begin_s) / bins
    at, before, found = 0, 0.0, [(begin_s, 0.0)]
    for number in range(1, bins + 1):
        until_s = begin_s + number * width_s
        reached = before
        while at < len(points) and points[at][0] <= until_s + 1e-12:
            reached = points[at][1]
            at += 1
        found.append((until_s, 8 * (reached - before) / width_s))
        before = reached
    return found


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _conversations(trace: Trace) -> list[str]:
    found = []
    for kind, one, other in trace.conversations[:CONVERSATIONS_MAX]:
        flights = conversation_flights(trace, (kind, one, other))
        if not flights:
            continue
        shown, left_out = window_of(flights)
        note = f"<p>{left_out}</p>" if left_out else ""
        title = f"{kind}: {one} and {other}"
        found.append(_section(title, f'{note}<div class="wide">{sequence(shown)}</div>'))
    left = len(trace.conversations) - CONVERSATIONS_MAX
    if left > 0:
        found.append(f"<p>{left:,} more conversations are not drawn.</p>")
    if trace.flights_seen > FLIGHTS_MAX:
        found.append(
            f"<p>The first {FLIGHTS_MAX:,} of {trace.flights_seen:,} flights can be drawn; all are counted.</p>"
        )
    return found


def _links(trace: Trace) -> str:
    shown = [fate for fate in FATES if any(counts[fate] for counts in trace.fates.values())]
    rows = []
    for link in trace.world.links:
        (one, _), (other, _) = link.ends
        for line, (source, target) in zip(link.lines, ((one, other), (other, one)), strict=True):
            counts = trace.fates[line.name]
            way = f"{source.name} → {target.name}"
            rows.append((way, ", ".join(about(link)), f"{line.sent_bytes:,}", *(f"{counts[fate]:,}" for fate in shown)))
    return _table(("direction", "settings", "bytes", *shown), rows, 2)
