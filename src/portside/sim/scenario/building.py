"""From what a file says to a world: devices, links, and rules that choose frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from portside.errors import UsageError
from portside.sim.frame import AnyFrame, IcmpFrame, TcpFrame, UdpFrame
from portside.sim.link import Line, Link
from portside.sim.quantities import duration_ns
from portside.sim.rules import Act, Predicate, Rule, Verdict, delay, drop
from portside.sim.scenario.reading import Scenario, link_name
from portside.sim.world import World

PROTOCOLS: Final[dict[str, Any]] = {"tcp": TcpFrame, "udp": UdpFrame, "icmp": IcmpFrame, "any": object}


def build(scenario: Scenario, seed: int, changes: Mapping[str, Mapping[str, Any]]) -> World:
    """Return the world of a scenario; ``changes`` are other settings of links, by their names.

    Raises: UsageError for a value that is none.
    """
    about = scenario.world
    world = World(seed, profile=about.get("profile", "linux"))
    for kind, name, settings in scenario.devices:
        given = dict(settings)
        getattr(world, kind)(name, *given.pop("addresses", ()), **given)
    for table in scenario.links:
        _lay(world, table, changes.get(link_name(table), {}))
    by_line: dict[Line, list[Mapping[str, Any]]] = {}
    for table in scenario.rules:
        for line in lines_of(world, table):
            by_line.setdefault(line, []).append(table)
    for line, tables in by_line.items():
        line.add(_rule(tables))
    return world


def _lay(world: World, table: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
    settings = {key: value for key, value in table.items() if key not in {"between", "name", "back"}}
    back = table.get("back")
    one, other = (world[name] for name in table["between"])
    if back is not None:  # what is not said of the way back is as there
        back = settings | back
    try:
        world.link(one, other, name=link_name(table), back=back, **settings)
        if changed:
            link_of(world, link_name(table)).change(**changed)
    except UsageError as error:
        raise UsageError(f"link {link_name(table)}: {error}") from None


def link_of(world: World, name: str) -> Link:
    """Return the link of that name."""
    return next(link for link in world.links if link.name == name)


def lines_of(world: World, table: Mapping[str, Any]) -> tuple[Line, ...]:
    """Return the directions of a link that a table means: from one of its ends, or both."""
    link = link_of(world, table["link"])
    if "from" not in table:
        return link.lines
    for line, (device, _) in zip(link.lines, link.ends, strict=True):
        if device.name == table["from"]:
            return (line,)
    raise UsageError(f"link {link.name} has no end at {table['from']!r}")


def _rule(tables: list[Mapping[str, Any]]) -> Rule:
    """Return one rule for all of a line: each of the file's counts every frame of its kind, whichever acts on it."""
    choices = [
        (_chosen(PROTOCOLS[table.get("protocol", "tcp")], table.get("data", False), table.get("frames")), _act(table))
        for table in tables
    ]
    chosen: Act = drop

    def is_chosen(frame: AnyFrame) -> bool:
        nonlocal chosen
        acts = [act for is_meant, act in choices if is_meant(frame)]
        if acts:
            chosen = acts[0]
        return bool(acts)

    def act(frame: AnyFrame) -> Verdict:
        return chosen(frame)

    return Rule(is_chosen, act)


def _act(table: Mapping[str, Any]) -> Act:
    return drop if "lose" in table else delay(duration_ns(table["delay"]))


def _chosen(kind: Any, data_only: bool, numbers: list[int] | None) -> Predicate:
    """Return what chooses frames of a kind: all, or those with these numbers, counted from 1."""
    seen = 0

    def is_chosen(frame: AnyFrame) -> bool:
        nonlocal seen
        if not isinstance(frame, kind) or (data_only and not getattr(frame, "payload", b"")):
            return False
        seen += 1
        return numbers is None or seen in numbers

    return is_chosen
