"""Services by name: what ``/etc/services`` says, and what runs here. Text and values in, values out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from portside.address import PORT_MAX, Endpoint

PROTOCOLS: Final = ("tcp", "udp", "sctp", "dccp")  # the transports of RFC 6335 section 5.1, the preferred ones first
_TRANSPORTS: Final = {"tcp": "tcp", "tls": "tcp", "udp": "udp"}  # what carries the endpoints that have a port


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """A name for a port of a transport protocol."""

    name: str
    port: int
    protocol: str


class ServiceList:
    """Services to be found by name or alias, without regard to case (RFC 6335 section 5.1).

    Where a name stands more than once for one protocol, the first holds, as for getservbyname(3).
    """

    __slots__ = ("_ports",)

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self._ports: dict[str, dict[str, int]] = {}  # by folded name, then by protocol
        for service in services:
            self._ports.setdefault(_folded(service.name), {}).setdefault(service.protocol, service.port)

    def find(self, name: str) -> Service | None:
        """Return the service of that name, over TCP if there is one, else UDP, else any; None if there is none."""
        ports = self._ports.get(_folded(name))
        if ports is None:
            return None
        protocol = min(ports, key=_rank)
        return Service(name, ports[protocol], protocol)

    def __len__(self) -> int:
        return len(self._ports)


def parse_services(text: str) -> list[Service]:
    """Return the services of a file in the format of services(5), aliases as services of their own, in its order.

    Shape:  ``NAME PORT/PROTOCOL [ALIAS…]`` between blanks, up to a ``#``. Lines of another shape are passed over, as
            the C library does.
    """
    services: list[Service] = []
    for line in text.split("\n"):
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        port, slash, protocol = words[1].partition("/")
        if not (slash and protocol and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= PORT_MAX):
            continue
        services += [Service(name, int(port), protocol.lower()) for name in (words[0], *words[2:])]
    return services


def services_at(endpoints: Iterable[tuple[str, Endpoint]]) -> list[Service]:
    """Return what runs at the endpoints under its names, in their order. Those without a port have nothing to tell."""
    return [
        Service(name, endpoint.port, _TRANSPORTS[endpoint.scheme])
        for name, endpoint in endpoints
        if endpoint.scheme in _TRANSPORTS and endpoint.port
    ]


def _folded(name: str) -> str:
    # Service names are ASCII; Unicode's own rules would take the Kelvin sign for a k.
    return name.lower() if name.isascii() else name


def _rank(protocol: str) -> int:
    return PROTOCOLS.index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS)
