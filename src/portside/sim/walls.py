"""Partitions: who hears nothing of whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from portside.sim.frame import AnyFrame, ArpFrame, IpFrame
from portside.sim.port import Carry

if TYPE_CHECKING:
    from portside.sim.host import Host


class Walls:
    """All partitions of a world. A wall stands at the hosts themselves, so it holds whatever way there is between."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], tuple[Host, Host]] = {}

    def build(self, one: Iterable[Host], other: Iterable[Host]) -> None:
        """Let neither hear the other."""
        others = list(other)
        for near in one:
            for far in others:
                self._pairs[near.name, far.name] = (near, far)
                self._pairs[far.name, near.name] = (far, near)
        self._stand()

    def open(self, one: Iterable[Host], other: Iterable[Host]) -> None:
        """Let these hear each other again."""
        others = list(other)
        for near in one:
            for far in others:
                self._pairs.pop((near.name, far.name), None)
                self._pairs.pop((far.name, near.name), None)
                near.hear_all_but(())
                far.hear_all_but(())
        self._stand()

    def fall(self) -> None:
        """Let everybody hear everybody."""
        for near, _ in self._pairs.values():
            near.hear_all_but(())
        self._pairs.clear()

    def _stand(self) -> None:
        unheard: dict[str, list[Host]] = {}
        for near, far in self._pairs.values():
            unheard.setdefault(near.name, []).append(far)
        for near, _ in list(self._pairs.values()):
            near.hear_all_but(unheard[near.name])


def deaf(receive: Carry, unheard: frozenset[int]) -> Carry:
    """Return a function for frames that come, which drops what is from these MAC or IP addresses."""

    def listen(frame: AnyFrame) -> None:
        if isinstance(frame, IpFrame):
            if frame.source in unheard:
                return
        elif isinstance(frame, ArpFrame) and frame.source_mac in unheard:
            return
        receive(frame)

    return listen
