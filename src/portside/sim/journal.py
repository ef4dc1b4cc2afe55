"""A journal of a run: every frame at every port, in lines. Two runs of one seed have the same, or something escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.sim.clock import SECOND
from portside.sim.frame import AnyFrame
from portside.sim.port import Port, Tap, Way
from portside.sim.words import words

if TYPE_CHECKING:
    from portside.sim.world import World

ENTRIES_MAX = 1_000_000


class Journal:
    """What has passed the ports of all hosts of a world since this was made; no more than ``ENTRIES_MAX`` frames."""

    def __init__(self, world: World) -> None:
        self._scheduler = world.scheduler
        self.lines: list[str] = []
        self.left_out = 0
        for host in world.hosts:
            for port in host.ports.values():
                port.tap(self._tap(host.name, port))

    def _tap(self, host: str, port: Port) -> Tap:
        where = f"{host}:{port.name}"

        def note(way: Way, frame: AnyFrame) -> None:
            if len(self.lines) < ENTRIES_MAX:
                self.lines.append(f"{self._scheduler.now / SECOND:.9f} {where} {way:3} {words(frame)}")
            else:
                self.left_out += 1

        return note


def first_difference(one: Journal, other: Journal, around: int = 3) -> str | None:
    """Return where two runs part, with some lines before it; None if they are the same."""
    for place, (here, there) in enumerate(zip(one.lines, other.lines, strict=False)):
        if here != there:
            return _shown(one.lines, place, here, there, around)
    if len(one.lines) == len(other.lines):
        return None
    place = min(len(one.lines), len(other.lines))
    here, there = (each.lines[place] if place < len(each.lines) else "(the end)" for each in (one, other))
    return _shown(one.lines, place, here, there, around)


def _shown(lines: list[str], place: int, here: str, there: str, around: int) -> str:
    before = [f"  {line}" for line in lines[max(0, place - around) : place]]
    return "\n".join([f"the runs are the same for {place} frames:", *before, f"- {here}", f"+ {there}"])
