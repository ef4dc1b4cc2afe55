"""The routing table: for every address the longest prefix that fits it, in one table for both versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.sim.addresses import network_of, to_text

if TYPE_CHECKING:
    from portside.sim.ip.interface import Interface

CACHE_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Route:
    """Where packets to a network go: out of an interface, to a gateway or to the target itself."""

    network: int
    prefix: int
    interface: Interface
    gateway: int | None = None
    metric: int = 0

    def __str__(self) -> str:
        via = f" via {to_text(self.gateway)}" if self.gateway is not None else ""
        return f"{to_text(self.network)}/{self.prefix}{via} dev {self.interface.name}"


class Routes:
    """The table. Of two routes to the same network the one of the lower metric is taken, then the first."""

    def __init__(self) -> None:
        self._by_prefix: dict[int, dict[int, list[Route]]] = {}  # longest first
        self.cache: dict[int, Route] = {}  # what was found before, by target

    def add(
        self, network: int, prefix: int, interface: Interface, gateway: int | None = None, metric: int = 0
    ) -> Route:
        """Add a route. Bits of the network behind the prefix do not count."""
        route = Route(network_of(network, prefix), prefix, interface, gateway, metric)
        same = self._by_prefix.setdefault(prefix, {}).setdefault(route.network, [])
        same.append(route)
        same.sort(key=lambda one: one.metric)
        self._by_prefix = dict(sorted(self._by_prefix.items(), reverse=True))
        self.cache.clear()
        return route

    def remove(self, route: Route) -> None:
        """Take a route out again."""
        same = self._by_prefix[route.prefix][route.network]
        same.remove(route)
        if not same:
            del self._by_prefix[route.prefix][route.network]
        self.cache.clear()

    def find(self, target: int) -> Route | None:
        """Return the route to an address, None where there is none. RFC 1812 section 5.2.4.3."""
        cached = self.cache.get(target)
        if cached is not None:
            return cached
        found = self._search(target)
        if found is not None:
            if len(self.cache) >= CACHE_MAX:
                self.cache.clear()
            self.cache[target] = found
        return found

    def _search(self, target: int) -> Route | None:
        for prefix, networks in self._by_prefix.items():
            routes = networks.get(network_of(target, prefix))
            if routes:
                return routes[0]
        return None

    def __iter__(self):  # type: ignore[no-untyped-def]
        """Yield every route, the longest prefixes first."""
        for networks in self._by_prefix.values():
            for routes in networks.values():
                yield from routes
