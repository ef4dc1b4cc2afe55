"""Names of hosts to addresses and back, for one host: its own file of names, which is /etc/hosts elsewhere."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from portside.sim.addresses import is_v4
from portside.sim.clock import Scheduler


class NameFailure(socket.gaierror):
    """A name was not found; ``errno`` is a number of EAI_*."""


class Names:
    """See ``seams.Names``. ``hosts`` has the addresses of each name; it is shared, and may grow."""

    def __init__(
        self,
        stack: Any,
        scheduler: Scheduler,
        chance: Random,
        hosts: Mapping[str, list[int]],
        servers: tuple[int, ...] = (),
    ) -> None:
        self._stack = stack
        self._scheduler = scheduler
        self._chance = chance
        self._hosts = hosts
        self._servers = servers

    def look_up(self, host: str, family: int, done: Callable[[list[int] | OSError], object]) -> None:
        """Find the addresses of a name, in the order to try them."""
        found = [
            address
            for address in self._hosts.get(host.rstrip(".").lower(), ())
            if family == socket.AF_UNSPEC or is_v4(address) == (family == socket.AF_INET)
        ]
        answer: list[int] | OSError = found or NameFailure(socket.EAI_NONAME, "Name or service not known")
        self._scheduler.soon(lambda _: done(answer))

    def reverse(self, address: int, done: Callable[[str | OSError], object]) -> None:
        """Find the name of an address."""
        found = next((name for name, addresses in self._hosts.items() if address in addresses), None)
        answer: str | OSError = found or NameFailure(socket.EAI_NONAME, "Name or service not known")
        self._scheduler.soon(lambda _: done(answer))
