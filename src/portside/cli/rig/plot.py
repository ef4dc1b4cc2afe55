"""Bars beside each other, as a picture. Needs matplotlib, imported when one is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from portside.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour blind tell apart, with a hatch for those who see or print no colour at all.
STYLES: Final = {
    "process": ("#E69F00", ""),
    "thread": ("#56B4E9", "///"),
    "loop": ("#009E73", "..."),
    "ours": ("#009E73", ""),
    "yardstick": ("#595959", ""),
    "peer": ("#BFBFBF", ""),
}
COLUMNS: Final = 2
DOTS_PER_INCH: Final = 110
INCHES_WIDE: Final = 9.5
INCHES_PER_BAR: Final = 0.27
INCHES_PER_PANEL: Final = 1.0
ROOM: Final = 1.28  # of the longest bar, for the figure behind it
SMALL, MIDDLE, LARGE = 8.5, 10.5, 14.0  # points


@dataclass(frozen=True, slots=True)
class Bar:
    """One value, its label at the left and the text at its end; a thin line may go on ``until`` another value."""

    label: str
    kind: str
    value: float
    text: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars that are compared, under a title and a note on how to read them."""

    title: str
    note: str
    bars: Sequence[Bar]
    logarithmic: bool = False


def require_matplotlib() -> Any:
    """Return matplotlib, drawing into files only. Raises: MissingExtra. Ask before the measuring, not after it."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtra("a plot", "plot") from error
    mpl.use("Agg")
    return mpl


def draw(path: Path, title: str, subtitle: str, panels: Sequence[Panel]) -> None:
    """Write the panels, two abreast, to a PNG. Raises: MissingExtra, OSError."""
    require_matplotlib()
    from matplotlib import pyplot

    rows = -(-len(panels) // COLUMNS)
    longest = [max(len(panel.bars) for panel in panels[place : place + COLUMNS]) for place in _starts(panels)]
    heights = [INCHES_PER_PANEL + INCHES_PER_BAR * bars for bars in longest]
    figure = pyplot.figure(figsize=(INCHES_WIDE, sum(heights) + 0.9))
    try:
        figure.suptitle(f"{title}\n\n", fontsize=LARGE, fontweight="bold", x=0.01, ha="left")
        figure.text(0.011, 1 - 0.47 / figure.get_figheight(), subtitle, fontsize=SMALL, color="#404040", va="top")
        figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.1, wspace=0.03, hspace=0.03)
        grid = figure.add_gridspec(rows, COLUMNS, height_ratios=heights)
        for place, panel in enumerate(panels):
            _draw_panel(figure.add_subplot(grid[divmod(place, COLUMNS)]), panel)
        figure.savefig(path, dpi=DOTS_PER_INCH, format="png", metadata={"Software": None})
    finally:
        pyplot.close(figure)


def _starts(panels: Sequence[Panel]) -> Iterator[int]:
    return iter(range(0, len(panels), COLUMNS))


def _draw_panel(axes: Axes, panel: Panel) -> None:
    bars = list(reversed(panel.bars))  # the first one on top
    ends = [max(bar.value, bar.until or 0.0) for bar in bars]
    most, least = max([*ends, 1e-9]), 0.0
    if panel.logarithmic:
        least = min([bar.value for bar in bars if bar.value > 0], default=1.0) / 3
        axes.set_xscale("log")
        axes.set_xlim(least, most * (most / least) ** (ROOM - 1))
    else:
        axes.set_xlim(0, most * ROOM)
    for place, (bar, end) in enumerate(zip(bars, ends, strict=True)):
        colour, hatch = STYLES[bar.kind]
        axes.barh(place, max(bar.value, least), color=colour, hatch=hatch, edgecolor="white", linewidth=0, height=0.72)
        if bar.until is not None:
            axes.plot([max(bar.value, least), end], [place, place], color="#404040", linewidth=1.2)
        axes.annotate(
            bar.text,
            (max(end, least), place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color="#202020",
        )
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars], fontsize=MIDDLE - 1)
    axes.tick_params(axis="y", length=0)
    axes.get_xaxis().set_visible(False)  # every bar says its figure
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color("#808080")
    axes.set_title(panel.title, loc="left", fontsize=MIDDLE, fontweight="bold", pad=18)
    axes.annotate(
        panel.note,
        (0, 1),
        (0, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=SMALL,
        color="#606060",
    )
