"""A conversation as a message sequence diagram: time runs down, and every arrow leans by the time it was on its way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Final

from portside.sim.report.topology import time_text
from portside.sim.trace import Conversation, Flight, Trace

ARROWS_MAX: Final = 90
COLUMN: Final = 380
LEFT: Final = 92
TOP: Final = 40
ROW: Final = 19  # the least distance of two events, in pixels
END: Final = 24
LABEL: Final = 16  # how far from its lifeline the words of an arrow begin


def conversation_flights(trace: Trace, conversation: Conversation) -> list[Flight]:
    """Return the flights of a conversation that are kept, in the order in which they were sent."""
    found = [flight for flight in trace.flights if flight.conversation == conversation]
    return sorted(found, key=lambda flight: flight.sent_ns)


def window_of(flights: Sequence[Flight]) -> tuple[Sequence[Flight], str]:
    """Return the part that is drawn, with words for what is not: the beginning, or what is around the first loss."""
    if len(flights) <= ARROWS_MAX:
        return flights, ""
    lost = next((at for at, flight in enumerate(flights) if not flight.arrives), 0)
    start = 0 if lost < ARROWS_MAX - 20 else lost - 20
    end = min(start + ARROWS_MAX, len(flights))
    return flights[start:end], f"Flights {start + 1:,} to {end:,} of {len(flights):,} are drawn."


def sequence(flights: Sequence[Flight]) -> str:
    """Return the diagram of these flights as an SVG element."""
    names = _lifelines(flights)
    across = {name: float(LEFT + 40 + COLUMN * at) for at, name in enumerate(names)}
    heights = _heights(flights)
    height = max(heights.values()) + END
    width = max(across.values()) + 60
    parts = [f'<svg viewBox="0 0 {width} {height:.0f}" class="sequence" style="max-width:{width}px" role="img">']
    for name, x in across.items():
        parts.append(f'<text class="name" x="{x}" y="18" text-anchor="middle">{escape(name)}</text>')
        parts.append(f'<path class="life" d="M{x} 26V{height - 8:.0f}"/>')
    shown_at, labels = -float(ROW), []
    for flight in flights:
        y = heights[flight.sent_ns]
        if y - shown_at >= ROW - 1:
            shown_at = y
            time = time_text(round(flight.sent_ns / 1e9, 6))
            parts.append(f'<text class="tick" x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{time}</text>')
        *arrow, label = _arrow(flight, across, y, heights[flight.arrives_ns])
        parts += arrow
        labels.append(label)
    return "".join([*parts, *labels, "</svg>"])  # words last: no arrow crosses them out


def _lifelines(flights: Sequence[Flight]) -> list[str]:
    """Return the devices in the order of the path: each is put beside one that it has sent to or heard."""
    names: list[str] = []
    for flight in flights:
        for name, other in ((flight.source, flight.target), (flight.target, flight.source)):
            if name in names:
                continue
            if other in names and names.index(other) == 0 and len(names) > 1:
                names.insert(0, name)
            else:
                names.append(name)
    return names


def _heights(flights: Sequence[Flight]) -> dict[int, float]:
    """Return how far down each moment is: in order, never too close to be read, and far apart only by a little more."""
    moments = sorted({moment for flight in flights for moment in (flight.sent_ns, flight.arrives_ns)})
    sent = {flight.sent_ns for flight in flights}
    typical = sorted(after - before for before, after in pairwise(moments) if after > before)
    scale = ROW / max(typical[len(typical) // 2], 1) if typical else 0.0
    heights, y, previous = {}, float(TOP), moments[0]
    last_sent = float(TOP - ROW)
    for moment in moments:
        y += min(max((moment - previous) * scale, 3.0 if moment > previous else 0.0), 2.0 * ROW)
        if moment in sent:
            y = max(y, last_sent + ROW)
            last_sent = y
        heights[moment] = y
        previous = moment
    return heights


def _arrow(flight: Flight, across: dict[str, float], y1: float, y2: float) -> list[str]:
    """Return the elements of an arrow, its words behind the others."""
    x1, x2 = across[flight.source], across[flight.target]
    kind = "lost" if not flight.arrives else "again" if flight.is_again else flight.fate
    if not flight.arrives:  # it ends on its way
        x2, y2 = x1 + 0.7 * (x2 - x1), y1 + 0.7 * (y2 - y1)
    direction = 1 if x2 > x1 else -1
    parts = [f'<path class="flight {kind}" d="M{x1} {y1:.1f}L{x2:.1f} {y2:.1f}"/>']
    if flight.arrives:
        parts.append(f'<path class="head {kind}" d="M{x2:.1f} {y2:.1f}l{-9 * direction} -5v9z"/>')
    else:
        parts.append(f'<path class="cross" d="M{x2 - 5:.1f} {y2 - 5:.1f}l10 10m0 -10l-10 10"/>')
    label = short(flight.words) + {"lost": ", lost", "again": ", again"}.get(kind, "")
    if not flight.arrives and flight.fate not in {"lost", "ruled out"}:
        label += f" ({flight.fate})"
    # Beside where it was sent: words in the middle would lie on those of what comes the other way.
    x, anchor = x1 + LABEL * direction, "start" if direction > 0 else "end"
    y = y1 + (y2 - y1) * LABEL / abs(x2 - x1) - 4
    parts.append(
        f'<text class="said {kind}" x="{x:.0f}" y="{y:.1f}" text-anchor="{anchor}">{escape(label)}'
        f"<title>{escape(flight.words)}</title></text>"
    )
    return parts


def short(said: str) -> str:
    """Return what fits on an arrow: without the ends, which the lifelines are, and without the window."""
    said = re.sub(r"^\S+ > \S+: ", "", said)
    said = re.sub(r", win \d+", "", said)
    return said if len(said) <= 52 else said[:51] + "…"
