"""Boxes of the link layer: a hub that repeats, a switch that learns. Both pass frames on as the objects they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from portside.sim.clock import SECOND, Scheduler
from portside.sim.frame import AnyFrame
from portside.sim.port import Port

AGEING_NS: Final = 300 * SECOND  # IEEE 802.1D-2004 table 7-5
TABLE_MAX: Final = 8_192  # addresses: as many as small switches have room for
GROUP: Final = 1 << 40  # the bit of a MAC address that says it is one of a group: IEEE 802 section 8.2.2


class Hub:
    """Repeats every frame out of all other ports, at once: one segment of cable, in a box."""

    def __init__(self, name: str, scheduler: Scheduler) -> None:
        self.name = name
        self.ports: list[Port] = []
        self._scheduler = scheduler

    def add_port(self, name: str | None = None) -> Port:
        """Give it one more port."""
        place = len(self.ports)
        port = Port(name or f"port{place + 1}", 0, lambda frame: self._repeat(place, frame))
        self.ports.append(port)
        return port

    def _repeat(self, place: int, frame: AnyFrame) -> None:
        for other, port in enumerate(self.ports):
            if other != place:
                port.send(frame)


class Switch:
    """Learns behind which port an address is, by whom it hears there, and forgets it after five minutes of silence.

    Frames for addresses it has not learned, and for groups, go out of all other ports. IEEE 802.1D-2004 sections 7.7 to
    7.9. A table that is full learns nothing new until something in it has aged.
    """

    def __init__(self, name: str, scheduler: Scheduler) -> None:
        self.name = name
        self.ports: list[Port] = []
        self._scheduler = scheduler
        self._learned: dict[int, tuple[int, int]] = {}  # by address: the port's place, and when it was heard last

    def add_port(self, name: str | None = None) -> Port:
        """Give it one more port."""
        place = len(self.ports)
        port = Port(name or f"port{place + 1}", 0, lambda frame: self._forward(place, frame))
        self.ports.append(port)
        return port

    def _forward(self, place: int, frame: AnyFrame) -> None:
        now = self._scheduler.now
        learned = self._learned
        source = frame.source_mac
        if not source & GROUP and (source in learned or len(learned) < TABLE_MAX or self._forget(now)):
            learned[source] = (place, now)
        known = learned.get(frame.target_mac)
        if known is not None and now - known[1] < AGEING_NS:
            if known[0] != place:
                self.ports[known[0]].send(frame)
            return
        for other, port in enumerate(self.ports):
            if other != place:
                port.send(frame)

    def _forget(self, now: int) -> bool:
        """Make room in the table; return whether there is any."""
        for address in [one for one, (_, heard_ns) in self._learned.items() if now - heard_ns >= AGEING_NS]:
            del self._learned[address]
        return len(self._learned) < TABLE_MAX

    def table(self) -> Iterator[tuple[int, str, int]]:
        """Yield what it has learned: address, port, and how many nanoseconds ago it was heard."""
        for address, (place, heard_ns) in self._learned.items():
            if self._scheduler.now - heard_ns < AGEING_NS:
                yield address, self.ports[place].name, self._scheduler.now - heard_ns
