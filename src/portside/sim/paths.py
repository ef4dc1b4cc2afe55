"""Routes for those who were given none: what a network's administrator, or a routing protocol, would have set up.

Hosts that are joined by cables, switches and hubs share a segment. Who has no route of its own sends everything that
is not on its segments to the first router there; routers know, by breadth-first search, the way with the fewest hops to
every network. Routes are laid once; a link that fails does not move them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from portside.sim.addresses import is_v4, network_of, to_text

if TYPE_CHECKING:
    from portside.sim.building import Device
    from portside.sim.host import Host
    from portside.sim.world import World


@dataclass
class Segment:
    """What hears each other without a router: hosts, each with its addresses and prefixes there."""

    members: list[tuple[Host, int, int]] = field(default_factory=list)


def lay_routes(world: World) -> None:
    """Give every host of the world the routes that it lacks."""
    segments = _segments(world, world.host_names)
    of: dict[str, list[Segment]] = {}
    for segment in segments:
        for host, _, _ in segment.members:
            known = of.setdefault(host.name, [])
            if segment not in known:
                known.append(segment)
    for host in world.hosts:
        if host.has_routes:
            continue
        if host.forwards:
            _lay_all(host, of, v4=True)
            _lay_all(host, of, v4=False)
        else:
            _lay_default(host, of.get(host.name, []))


def _segments(world: World, places: dict[str, int]) -> list[Segment]:
    """Return the segments, in the order of the links that they begin with."""
    neighbours: dict[str, list[str]] = {}
    for link in world.links:
        for near, far in (link.ends, link.ends[::-1]):
            neighbours.setdefault(_node(places, near), []).append(_node(places, far))
    seen: dict[str, None] = {}
    segments = []
    for start in neighbours:
        if start in seen:
            continue
        reached = _reach(start, neighbours)
        seen.update(dict.fromkeys(reached))
        segments.append(_segment(world, reached, places))
    return segments


def _node(places: dict[str, int], end: tuple[Device, str]) -> str:
    """Return what stands for a port: itself at a host, which joins nothing, and the device elsewhere."""
    device, port = end
    return f"{device.name}\0{port}" if device.name in places else device.name


def _reach(start: str, neighbours: dict[str, list[str]]) -> list[str]:
    reached: dict[str, None] = {start: None}
    ahead = deque([start])
    while ahead:
        for node in neighbours[ahead.popleft()]:
            if node not in reached:
                reached[node] = None
                ahead.append(node)
    return list(reached)


def _segment(world: World, nodes: list[str], places: dict[str, int]) -> Segment:
    segment = Segment()
    for node in nodes:
        name, is_host, port = node.partition("\0")
        if is_host:
            host = world[name]
            segment.members += [(host, address, prefix) for where, address, prefix in host.networks if where == port]
    segment.members.sort(key=lambda member: places[member[0].name])
    return segment


def _gateway(segment: Segment, host: Host, *, v4: bool) -> tuple[Host, int] | None:
    """Return the first router on the segment with an address of the host's version and network."""
    mine = [(address, prefix) for one, address, prefix in segment.members if one is host and is_v4(address) == v4]
    for router, address, _ in segment.members:
        if router is host or not router.forwards or is_v4(address) != v4:
            continue
        if router.hidden and address not in router.hidden:
            continue  # a NAT is the way out for those who are inside, and for nobody else
        if any(network_of(address, prefix) == network_of(own, prefix) for own, prefix in mine):
            return router, address
    return None


def _lay_default(host: Host, segments: list[Segment]) -> None:
    for v4, network in ((True, "0.0.0.0/0"), (False, "::/0")):
        found = next((found for segment in segments if (found := _gateway(segment, host, v4=v4))), None)
        if found is not None:
            host.learn(network, to_text(found[1]))


def _lay_all(router: Host, of: dict[str, list[Segment]], *, v4: bool) -> None:
    """Give a router the way to every network of one version, by breadth-first search over the routers."""
    known = {_network(address, prefix) for _, address, prefix in router.networks}
    reached: dict[str, None] = {router.name: None}
    # A router, the first hop towards it, and whether it is seen from the side to which it shows what is inside.
    ahead: deque[tuple[Host, int | None, bool]] = deque([(router, None, True)])
    while ahead:
        here, first, sees_inside = ahead.popleft()
        for segment in of.get(here.name, []):
            if not sees_inside and any(one is here and address in here.hidden for one, address, _ in segment.members):
                continue
            for host, address, prefix in segment.members:
                if is_v4(address) != v4:
                    continue
                network = _network(address, prefix)
                if network not in known and first is not None:
                    known.add(network)
                    router.learn(network, to_text(first))
                if host.forwards and host.name not in reached and _shares(segment, here, address):
                    reached[host.name] = None
                    inside = not host.hidden or address in host.hidden
                    ahead.append((host, first if first is not None else address, inside))


def _network(address: int, prefix: int) -> str:
    bits = prefix - 96 if is_v4(address) else prefix
    return f"{to_text(network_of(address, prefix))}/{bits}"


def _shares(segment: Segment, host: Host, address: int) -> bool:
    return any(
        one is host and network_of(own, prefix) == network_of(address, prefix) for one, own, prefix in segment.members
    )
