"""A diagram as a picture: SVG that stands alone, light or dark as its reader is.

Nothing is loaded from elsewhere. Without ``style`` it has only class names, for pages whose own style sheet has the
rules of ``STYLE``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from html import escape
from typing import Final

from portside.observe.sequence.diagram import PAUSE_S, SERVER, Arrow, Diagram, shown_seconds
from portside.observe.sequence.terminal import lost_in_words
from portside.observe.text import harmless

STYLE: Final = """
.seq { --paper: #fff; --ink: #1c1e21; --dim: #6b7280; --line: #c9ced6; }
.seq { --in: #0b62c4; --out: #0a7a4b; --bad: #b42318; }
@media (prefers-color-scheme: dark) {
  .seq { --paper: #14161a; --ink: #e6e8eb; --dim: #949ca8; --line: #3a404a; }
  .seq { --in: #7ab7ff; --out: #5fd3a0; --bad: #ff8f85; }
}
.seq text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: var(--ink); }
.seq-paper { fill: var(--paper); }
.seq .seq-title { font-size: 15px; font-weight: 600; }
.seq .seq-name { font-weight: 600; text-anchor: middle; }
.seq .seq-place { fill: var(--dim); font-size: 12px; text-anchor: middle; font-variant-numeric: tabular-nums; }
.seq .seq-note { fill: var(--dim); font-size: 12px; }
.seq .seq-time { fill: var(--dim); font-size: 12px; text-anchor: end; font-variant-numeric: tabular-nums; }
.seq-box { fill: var(--paper); stroke: var(--line); }
.seq-life { stroke: var(--line); stroke-width: 1.5; }
.seq-pause { stroke: var(--paper); stroke-width: 3; stroke-dasharray: 2 5; }
.seq .seq-words { text-anchor: middle; }
.seq-shaft { stroke: currentColor; stroke-width: 1.5; }
.seq-point { fill: currentColor; }
.seq-in { color: var(--in); }
.seq-out { color: var(--out); }
.seq-refusal { color: var(--bad); }
.seq-refusal .seq-words { fill: var(--bad); }
"""

MARGIN: Final = 20.0
TIME_WIDTH: Final = 76.0
TOP: Final = 52.0  # where the boxes with the names begin
BOX_HEIGHT: Final = 46.0
ROW: Final = 34.0
PAUSE_ROW: Final = 20.0
GAP_MIN: Final = 150.0
GAP_MAX: Final = 560.0
_POINT: Final = 8.0


def build_svg(diagram: Diagram, *, style: bool = True) -> str:
    """Return the diagram as SVG."""
    return _Picture(diagram).build(style=style)


def text_width(text: str, size: float = 13.0) -> float:
    """Return about how wide the text is in a proportional font of that size: there is nobody to ask who knows."""
    return size * sum(_character_width(character) for character in text)


def _character_width(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if character in "iljtfrI.,:;'|!()[] ":
        return 0.33
    return 0.9 if character in "mwMW@%…" else 0.7 if character.isupper() else 0.62


class _Picture:
    """Where everything stands. Units are those of the picture: pixels at its own size."""

    def __init__(self, diagram: Diagram) -> None:
        self._diagram = diagram
        self._names = [harmless(one.name) for one in diagram.lifelines]
        self._places = [harmless(one.place) for one in diagram.lifelines]
        labels = zip(self._names, self._places, strict=True)
        self._boxes = [max(text_width(name) * 1.05, text_width(place, 12)) + 24 for name, place in labels]
        gaps = self._gaps()
        first = MARGIN + max(TIME_WIDTH, self._boxes[0] / 2)
        self._centres = [first + sum(gaps[:number]) for number in range(len(gaps) + 1)]
        self._end_y = TOP + BOX_HEIGHT

    def _gaps(self) -> list[float]:
        gaps = [
            max(GAP_MIN, (self._boxes[number] + self._boxes[number + 1]) / 2 + 24)
            for number in range(len(self._boxes) - 1)
        ]
        for arrow in self._diagram.arrows:
            left, right = sorted((arrow.source, arrow.target))
            if right == left + 1:
                gaps[left] = max(gaps[left], min(GAP_MAX, text_width(harmless(arrow.words)) + 36))
        return gaps

    def build(self, *, style: bool) -> str:
        body = list(self._body())
        notes = [self._diagram.title, self._diagram.ending or ""]
        width = (
            max(self._centres[-1] + self._boxes[-1] / 2, *(MARGIN + text_width(note, 15) for note in notes)) + MARGIN
        )
        height = self._end_y + MARGIN + (20 if self._diagram.ending else 0)
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="seq" role="img" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">',
            f"<title>{_safe(self._diagram.title)}</title>",
            f"<desc>{_safe(self._description())}</desc>",
            *([f"<style>{STYLE}</style>"] if style else []),
            f'<rect class="seq-paper" width="{width:.0f}" height="{height:.0f}"/>',
            *self._lives(),
            *body,
            *self._heads(),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def _description(self) -> str:
        arrows = self._diagram.arrows
        return f"Message sequence diagram of {', '.join(self._names)}: {len(arrows)} message{'s' * (len(arrows) != 1)}."

    # ── heads and lifelines ──────────────────────────────────────────────────────────────────────────────────────────

    def _heads(self) -> Iterator[str]:
        yield f'<text class="seq-title" x="{MARGIN:.0f}" y="24">{_safe(self._diagram.title)}</text>'
        if self._diagram.began:
            yield f'<text class="seq-note" x="{MARGIN:.0f}" y="42">since {_safe(self._diagram.began)}</text>'
        for centre, width, name, place in zip(self._centres, self._boxes, self._names, self._places, strict=True):
            yield (
                f'<rect class="seq-box" x="{centre - width / 2:.1f}" y="{TOP:.0f}" '
                f'width="{width:.1f}" height="{BOX_HEIGHT:.0f}" rx="8"/>'
            )
            yield f'<text class="seq-name" x="{centre:.1f}" y="{TOP + 19:.0f}">{_safe(name)}</text>'
            yield f'<text class="seq-place" x="{centre:.1f}" y="{TOP + 36:.0f}">{_safe(place)}</text>'

    def _lives(self) -> Iterator[str]:
        for centre in self._centres:
            yield (
                f'<line class="seq-life" x1="{centre:.1f}" y1="{TOP + BOX_HEIGHT:.0f}" '
                f'x2="{centre:.1f}" y2="{self._end_y:.0f}"/>'
            )

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _body(self) -> Iterator[str]:
        y = TOP + BOX_HEIGHT
        last_s = None
        if self._diagram.lost:
            y += ROW
            yield self._note(lost_in_words(self._diagram.lost), self._centres[0] + 12, y)
        for arrow in self._diagram.arrows:
            if last_s is not None and arrow.at_s - last_s >= PAUSE_S:
                yield from self._pause(y + 8, y + PAUSE_ROW + 4)
                y += PAUSE_ROW
            last_s = arrow.at_s
            y += ROW
            yield from self._message(arrow, y)
        self._end_y = y + ROW * 0.7
        if self._diagram.ending is not None:
            yield self._note(self._diagram.ending, MARGIN, self._end_y + 22)

    def _message(self, arrow: Arrow, y: float) -> Iterator[str]:
        begin, end = self._centres[arrow.source], self._centres[arrow.target]
        sign = 1.0 if end > begin else -1.0
        tone = "refusal" if arrow.is_refusal else "in" if arrow.target == SERVER else "out"
        words, shown = harmless(arrow.words), _fitted(harmless(arrow.words), abs(end - begin) - 28)
        whole = f"<title>{_safe(words)}</title>" if shown != words else ""
        tip, wing = end - sign * 1.5, end - sign * (1.5 + _POINT)
        time_x = self._centres[0] - 16
        yield f'<text class="seq-time" x="{time_x:.1f}" y="{y + 4:.0f}">{shown_seconds(arrow.at_s)}</text>'
        yield f'<g class="seq-{tone}">{whole}'
        yield f'<text class="seq-words" x="{(begin + end) / 2:.1f}" y="{y - 7:.0f}">{_safe(shown)}</text>'
        yield f'<line class="seq-shaft" x1="{begin:.1f}" y1="{y:.0f}" x2="{wing:.1f}" y2="{y:.0f}"/>'
        yield f'<path class="seq-point" d="M{tip:.1f} {y:.0f}L{wing:.1f} {y - 4.5:.1f}V{y + 4.5:.1f}Z"/>'
        yield "</g>"

    def _pause(self, begin: float, end: float) -> Iterator[str]:
        """Time passes: the lifelines are broken."""
        for centre in self._centres:
            yield f'<line class="seq-pause" x1="{centre:.1f}" y1="{begin:.0f}" x2="{centre:.1f}" y2="{end:.0f}"/>'

    def _note(self, words: str, x: float, y: float) -> str:
        return f'<text class="seq-note" x="{x:.1f}" y="{y:.0f}">{_safe(words)}</text>'


def _fitted(words: str, width: float) -> str:
    """Return the words, or as many as the width has room for."""
    if text_width(words) <= width:
        return words
    while words and text_width(words) + 11 > width:
        words = words[:-1]
    return words.rstrip() + "…"


def _safe(text: str) -> str:
    """Return the text as XML has it; what is no Unicode character is replaced."""
    return escape(harmless(text).encode("utf-8", "replace").decode())
