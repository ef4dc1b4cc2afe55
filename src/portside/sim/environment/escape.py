"""What a program on a host is told when it would leave its world."""

from __future__ import annotations

from portside.errors import PortsideError


class Escape(PortsideError, RuntimeError):
    """A program on a simulated host asked for something that is real: a process, a thread, a wait in real time.

    It would neither be repeatable nor know the world's time. The sentence says what to do instead.
    """

    def __init__(self, host: str, what: str, instead: str) -> None:
        super().__init__(f"{what} on the simulated host {host!r} would leave the simulation: {instead}")
        self.host = host
        self.what = what
        self.instead = instead
