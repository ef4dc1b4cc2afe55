"""The devices of a world and its cables, drawn from left to right by how far they are from the first host."""

from __future__ import annotations

from collections import deque
from html import escape
from typing import Final

from portside.sim.host import Host
from portside.sim.link import Link
from portside.sim.switch import Switch
from portside.sim.world import World

COLUMN: Final = 210
ROW: Final = 84
BOX_WIDTH: Final = 118
BOX_HEIGHT: Final = 44
MARGIN: Final = 16
DEVICES_MAX: Final = 60


def topology(world: World) -> str:
    """Return the drawing as an SVG element, or a sentence where there is too much for one."""
    if len(world.devices) > DEVICES_MAX:
        return f"<p>{len(world.devices)} devices and {len(world.links)} links: too many for a drawing.</p>"
    places = _places(world)
    width = max(x for x, _ in places.values()) + BOX_WIDTH + MARGIN
    height = max(y for _, y in places.values()) + BOX_HEIGHT + MARGIN
    parts = [f'<svg viewBox="0 0 {width} {height}" class="topology" style="max-width:{width}px" role="img">']
    parts += [_cable(link, places) for link in world.links]
    parts += [_box(world, name, place) for name, place in places.items()]
    parts.append("</svg>")
    return "".join(parts)


def _places(world: World) -> dict[str, tuple[int, int]]:
    """Return where each device is drawn: in columns by its distance, in the order in which it is found."""
    beside: dict[str, list[str]] = {name: [] for name in world.devices}
    for link in world.links:
        (one, _), (other, _) = link.ends
        beside[one.name].append(other.name)
        beside[other.name].append(one.name)
    columns: dict[str, int] = {}
    for first in world.devices:
        if first in columns:
            continue
        columns[first] = 0
        queue = deque([first])
        while queue:
            name = queue.popleft()
            for other in beside[name]:
                if other not in columns:
                    columns[other] = columns[name] + 1
                    queue.append(other)
    heights: dict[int, int] = {}
    for column in columns.values():
        heights[column] = heights.get(column, 0) + 1
    highest = max(heights.values())
    seen: dict[int, int] = {}
    places = {}
    for name, column in columns.items():
        row = seen.get(column, 0) + (highest - heights[column]) / 2
        seen[column] = seen.get(column, 0) + 1
        places[name] = (MARGIN + column * COLUMN, MARGIN + round(row * ROW))
    return places


def _box(world: World, name: str, place: tuple[int, int]) -> str:
    device = world.devices[name]
    x, y = place
    if isinstance(device, Host):
        kind = "nat" if device.hidden else "router" if device.forwards else "host"
        below = device.address if len(device.addresses) == 1 else f"{len(device.addresses)} addresses"
        title = ", ".join(device.addresses)
    else:
        kind = below = "switch" if isinstance(device, Switch) else "hub"
        title = kind
    middle = x + BOX_WIDTH / 2
    return (
        f'<g class="device {kind}"><title>{escape(title)}</title>'
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="{5 if kind == "host" else 22}"/>'
        f'<text class="name" x="{middle}" y="{y + 19}" text-anchor="middle">{escape(name)}</text>'
        f'<text class="tick" x="{middle}" y="{y + 35}" text-anchor="middle">{escape(below)}</text></g>'
    )


def _cable(link: Link, places: dict[str, tuple[int, int]]) -> str:
    (one, _), (other, _) = link.ends
    ends = [(x + BOX_WIDTH / 2, y + BOX_HEIGHT / 2) for x, y in (places[one.name], places[other.name])]
    (x1, y1), (x2, y2) = ends
    lines = about(link)
    parts = [f'<path class="cable" d="M{x1} {y1}L{x2} {y2}"/>']
    for number, text in enumerate(lines):
        y = (y1 + y2) / 2 - 6 - 12 * (len(lines) - 1 - number) + (0 if y1 == y2 else 6)
        parts.append(f'<text class="tick" x="{(x1 + x2) / 2}" y="{y}" text-anchor="middle">{escape(text)}</text>')
    return "".join(parts)


def about(link: Link) -> list[str]:
    """Return a link's rate, delay and loss in a few short lines."""
    settings = link.there.settings
    lines = []
    if settings.rate is not None:
        lines.append(rate_text(settings.rate))
    if settings.delay_ns:
        lines.append(time_text(settings.delay_ns / 1e9))
    harms = [(settings.loss, "lost"), (settings.corrupt, "damaged"), (settings.reorder, "overtaken")]
    lines += [f"{100 * part:g} % {what}" for part, what in harms if part]
    return lines


def rate_text(rate: float) -> str:
    """Return bits a second with the unit that fits."""
    for factor, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if rate >= factor:
            return f"{rate / factor:g} {unit}"
    return f"{rate:g} bit/s"


def time_text(seconds: float) -> str:
    """Return a time with the unit that fits."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= factor:
            return f"{seconds / factor:g} {unit}"
    return f"{seconds * 1e9:g} ns" if seconds else "0 s"
