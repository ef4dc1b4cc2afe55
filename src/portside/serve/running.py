"""What a battery may ask of the server it runs in: the services there are, and what this worker has for its own.

The supervisor sets the services before it forks workers; a reload forks them anew, so what a worker sees is of its own
birth. The worker sets the rest before it loads the battery.
"""

from __future__ import annotations

from dataclasses import dataclass

from portside.address import Endpoint
from portside.contracts import Counters, TlsIdentity


@dataclass(frozen=True, slots=True)
class Given:
    """What a worker has for the battery of its service. Where there is no worker there is nothing."""

    service: str = ""
    tls: TlsIdentity | None = None  # whenever the service has certificates, whatever its endpoints are
    counters: Counters | None = None  # which all processes of the service share


_services: tuple[tuple[str, Endpoint], ...] = ()
_given = Given()


def services() -> tuple[tuple[str, Endpoint], ...]:
    """Return each service's name with each endpoint as it came to be, in the order of the configuration."""
    return _services


def set_services(services: tuple[tuple[str, Endpoint], ...]) -> None:
    """The supervisor's: what the workers that are forked from now on shall see."""
    global _services
    _services = services


def given() -> Given:
    return _given


def set_given(given: Given) -> None:
    """The worker's: what its battery shall be given."""
    global _given
    _given = given
