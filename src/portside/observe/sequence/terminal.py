"""A diagram in the cells of a terminal: lifelines downwards, a line for each message, its words on its arrow.

        client                                     files
        127.0.0.1:59496                  127.0.0.1:57941
0.005   │── USER anonymous ──────────────────────────►│
0.006   │◄─ 331 Any password will do ─────────────────│
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias

from portside.observe.sequence.diagram import PAUSE_S, SERVER, Arrow, Diagram, Lifeline, shown_seconds
from portside.observe.text import cut_to, harmless, width_of

Tone: TypeAlias = Literal["name", "dim", "in", "out", "refusal"]
Paint: TypeAlias = Callable[[str, Tone], str]
"""Gives a piece of the drawing its colour, or leaves it as it is."""

TIME_CELLS: Final = 10  # for a day in seconds, and a blank
GAP_CELLS_MAX: Final = 76  # between two lifelines: a longer arrow is no better
GAP_CELLS_MIN: Final = 12
_ARROW_CELLS: Final = 6  # of an arrow beside its words


class Drawing:
    """Draws a diagram line by line, so that one can grow. ``width`` is that of the terminal, in cells."""

    def __init__(self, lifelines: tuple[Lifeline, ...], width: int, paint: Paint, *, words: list[list[int]]) -> None:
        """``words`` are the widths of what will be said in each gap between lifelines; empty where nobody knows yet."""
        self._lifelines = lifelines
        self._paint = paint
        self._columns = _columns(lifelines, width, words)
        self._last_s: float | None = None

    def heading(self) -> list[str]:
        """Return the lines above all messages: who they are, and where."""
        names = [harmless(lifeline.name) for lifeline in self._lifelines]
        places = [harmless(lifeline.place) for lifeline in self._lifelines]
        return [*self._labels(names, "name"), *self._labels(places, "dim"), self.bars()]

    def _labels(self, labels: list[str], tone: Tone) -> Iterator[str]:
        """Yield a line with a label at each lifeline: the first from it on, the last up to it, others around it."""
        line, cells = "", 0
        for number, (label, column) in enumerate(zip(labels, self._columns, strict=True)):
            is_last = number == len(labels) - 1
            begin = (
                column if number == 0 else column + 1 - width_of(label) if is_last else column - width_of(label) // 2
            )
            begin = max(begin, cells + (1 if number else 0))
            line += " " * (begin - cells) + self._paint(label, tone)
            cells = begin + width_of(label)
        yield line

    def bars(self, mark: str = "│", time: str = "") -> str:
        """Return a line in which nothing is said."""
        line, cells = self._paint(time.rjust(TIME_CELLS - 1), "dim"), TIME_CELLS - 1
        for column in self._columns:
            line += " " * (column - cells) + self._paint(mark, "dim")
            cells = column + 1
        return line

    def message(self, arrow: Arrow) -> list[str]:
        """Return the lines of a message, with one before it where time has passed since the last."""
        lines = []
        if self._last_s is not None and arrow.at_s - self._last_s >= PAUSE_S:
            lines.append(self.bars("┊", "⋮"))
        self._last_s = arrow.at_s
        return [*lines, self._message(arrow)]

    def _message(self, arrow: Arrow) -> str:
        left, right = sorted((arrow.source, arrow.target))
        begin, end = self._columns[left], self._columns[right]
        line = self._paint(shown_seconds(arrow.at_s).rjust(TIME_CELLS - 1), "dim")
        cells = TIME_CELLS - 1
        for number, column in enumerate(self._columns):
            if left < number < right:
                continue  # the arrow passes it by
            line += " " * (column - cells) + self._paint("│", "dim")
            cells = column + 1
            if number == left:
                line += self._paint(_shaft(arrow, end - begin - 1), _tone(arrow))
                cells = end
        return line

    def note(self, words: str) -> str:
        """Return a line of words beside the lifelines."""
        return " " * TIME_CELLS + self._paint(harmless(words), "dim")


def build_lines(diagram: Diagram, width: int, paint: Paint = lambda text, tone: text) -> list[str]:
    """Return the lines of a whole diagram."""
    drawing = Drawing(diagram.lifelines, width, paint, words=widths_of_words(diagram))
    lines = [drawing.note(f"{diagram.title}, since {diagram.began}"), "", *drawing.heading()]
    if diagram.lost:
        lines.append(drawing.note(lost_in_words(diagram.lost)))
    for arrow in diagram.arrows:
        lines += drawing.message(arrow)
    lines.append(drawing.bars())
    if diagram.ending is not None:
        lines.append(drawing.note(diagram.ending))
    return lines


def widths_of_words(diagram: Diagram) -> list[list[int]]:
    """Return the widths of what is said in each gap between neighbouring lifelines."""
    widths: list[list[int]] = [[] for _ in diagram.lifelines[1:]]
    for arrow in diagram.arrows:
        left, right = sorted((arrow.source, arrow.target))
        if right == left + 1:  # over several gaps there is room enough
            widths[left].append(width_of(harmless(arrow.words)))
    return widths


def lost_in_words(lost: int) -> str:
    """Return the sentence for messages that are not kept any more."""
    return f"⋮ {lost} earlier message{'s' * (lost != 1)}, not kept any more"


def _columns(lifelines: tuple[Lifeline, ...], width: int, words: list[list[int]]) -> list[int]:
    """Return the cell in which each lifeline stands: as far apart as their words need, and as the terminal allows."""
    wanted = [_wanted_cells(number, lifelines, widths) for number, widths in enumerate(words)]
    room = width - TIME_CELLS - len(lifelines)
    while sum(wanted) > room and max(wanted) > GAP_CELLS_MIN:  # the widest gives way first
        wanted[wanted.index(max(wanted))] -= 1
    columns = [TIME_CELLS]
    for cells in wanted:
        columns.append(columns[-1] + cells + 1)
    return columns


def _wanted_cells(number: int, lifelines: tuple[Lifeline, ...], widths: list[int]) -> int:
    labels = lifelines[number], lifelines[number + 1]
    names = sum(max(width_of(one.name), width_of(one.place)) for one in labels)
    said = max(widths) + _ARROW_CELLS if widths else GAP_CELLS_MAX
    return max(GAP_CELLS_MIN, min(said, GAP_CELLS_MAX), min(names + 2, GAP_CELLS_MAX))


def _shaft(arrow: Arrow, cells: int) -> str:
    """Return an arrow of so many cells with its words on it."""
    words = cut_to(harmless(arrow.words), cells - _ARROW_CELLS)
    line = "─" * (cells - _ARROW_CELLS + 1 - width_of(words))
    if arrow.source < arrow.target:
        return f"── {words} {line}►"
    return f"◄─ {words} {line}─"


def _tone(arrow: Arrow) -> Tone:
    if arrow.is_refusal:
        return "refusal"
    return "in" if arrow.target == SERVER else "out"
