"""Plots as SVG: a few lines over one axis each way, with round numbers at the marks. Colours are the page's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

Points = Sequence[tuple[float, float]]

WIDTH: Final = 720
HEIGHT: Final = 260
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 14, 42
POINTS_MAX: Final = 1_500  # a line has no more: what lies between is less than a pixel


@dataclass(frozen=True, slots=True)
class Curve:
    """One plot: lines by their names, as ``(x, y)`` in the units that the labels tell. ``steps`` draws values that
    hold until the next; ``dots`` marks measurements instead of joining them, for lines named there.
    """

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Points]
    log_x: bool = False
    log_y: bool = False
    dots: frozenset[str] = frozenset()
    steps: bool = False
    marks: Sequence[tuple[float, str]] = ()


class Axis:
    """Values from ``low`` to ``high`` on so many pixels, from ``start`` in the direction of ``length``."""

    def __init__(self, values: Sequence[float], start: float, length: float, *, log: bool) -> None:
        self.log = log and all(value > 0 for value in values)
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if not self.log:
            low = min(low, 0.0) if low < high / 2 else low
            high += (high - low) / 20
        if high <= low:
            high = low * 2 if low > 0 else low + 1
        self.low, self.high, self._start, self._length = low, high, start, length

    def __call__(self, value: float) -> float:
        if self.log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self._start + part * self._length

    def ticks(self) -> list[float]:
        """Return round values to be marked."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            every = (1, 2, 5) if len(powers) < 5 else (1,)
            found = [digit * 10.0**power for power in powers for digit in every]
        else:
            step = _round_step((self.high - self.low) / 5)
            first = math.ceil(self.low / step - 1e-9)
            found = [step * at for at in range(first, int(self.high / step + 1e-9) + 1)]
        return [value for value in found if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]


def _round_step(wanted: float) -> float:
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))


def number_text(value: float) -> str:
    """Return a number as a mark of an axis has it: ``1.5k``, ``20M``, ``0.05``."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:.4g}"


def plot(curve: Curve) -> str:
    """Return the plot as an SVG element."""
    all_points = [point for points in curve.series.values() for point in points]
    x = Axis([at for at, _ in all_points], LEFT, WIDTH - LEFT - RIGHT, log=curve.log_x)
    y = Axis([value for _, value in all_points], HEIGHT - BOTTOM, -(HEIGHT - TOP - BOTTOM), log=curve.log_y)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="plot" role="img" aria-label="{escape(curve.title)}">',
        *_grid(curve, x, y),
        *_marks(curve, x),
    ]
    for number, (name, points) in enumerate(curve.series.items()):
        parts += _line(number, points, x, y, as_dots=name in curve.dots, steps=curve.steps)
    parts.append("</svg>")
    return "".join(parts)


def _grid(curve: Curve, x: Axis, y: Axis) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in y.ticks():
        at = y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{right}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{number_text(value)}</text>'
        )
    for value in x.ticks():
        at = x(value)
        parts.append(f'<path class="grid" d="M{at:.1f} {bottom}v5"/>')
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{number_text(value)}</text>'
        )
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    middle_x, middle_y = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(
        f'<text class="label" x="{middle_x}" y="{HEIGHT - 6}" text-anchor="middle">{escape(curve.x_label)}</text>'
    )
    parts.append(
        f'<text class="label" transform="translate(14 {middle_y}) rotate(-90)" text-anchor="middle">'
        f"{escape(curve.y_label)}</text>"
    )
    return parts


def _marks(curve: Curve, x: Axis) -> list[str]:
    parts = []
    for time_s, text in curve.marks:
        if x.low <= time_s <= x.high:
            at = x(time_s)
            parts.append(
                f'<path class="mark" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"><title>{escape(text)}</title></path>'
            )
    return parts


def _line(number: int, points: Points, x: Axis, y: Axis, *, as_dots: bool, steps: bool) -> list[str]:
    colour = f"s{number % 6}"
    if not points:
        return []
    every = max(1, len(points) // POINTS_MAX)
    shown = [*points[::every], *points[-1:]]
    if as_dots:
        return [f'<circle class="{colour} dot" cx="{x(at):.1f}" cy="{y(value):.1f}" r="4"/>' for at, value in shown]
    if steps:
        shown = [shown[0], *(one for before, point in pairwise(shown) for one in ((point[0], before[1]), point))]
    path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in shown)
    return [f'<polyline class="{colour} line" points="{path}"/>']


def legend(curve: Curve) -> str:
    """Return which colour is what, where there is more than one."""
    if len(curve.series) < 2:
        return ""
    keys = (f'<span><i class="s{number % 6} key"></i>{escape(name)}</span>' for number, name in enumerate(curve.series))
    return f'<p class="legend">{"".join(keys)}</p>'
