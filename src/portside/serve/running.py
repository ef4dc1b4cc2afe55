"""Which services run here, with their real ports, for handlers that tell others (the directory).

The supervisor sets it before it forks workers; a reload forks them anew, so what a worker sees is of its own birth.
"""

from __future__ import annotations

from portside.address import Endpoint

_services: tuple[tuple[str, Endpoint], ...] = ()


def services() -> tuple[tuple[str, Endpoint], ...]:
    """Return each service's name with each endpoint as it came to be, in the order of the configuration."""
    return _services


def set_services(services: tuple[tuple[str, Endpoint], ...]) -> None:
    """The supervisor's: what the workers that are forked from now on shall see."""
    global _services
    _services = services
