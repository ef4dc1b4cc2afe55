"""Where a device meets a link, and what devices promise each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from portside.sim.frame import AnyFrame

Carry: TypeAlias = Callable[[Any], object]  # takes a frame
Way: TypeAlias = Literal["in", "out"]
Tap: TypeAlias = Callable[[Way, AnyFrame], object]

ETHERNET_MTU: Final = 1_500  # RFC 894


def nowhere(frame: AnyFrame) -> None:
    """Take a frame where no cable is plugged in, or the device is off."""


class Port:
    """One socket of a device: ``send`` puts a frame onto the link, ``deliver`` hands one to the device.

    The device makes the port with its own function for frames that come; a link is plugged in, and later perhaps out.
    Both attributes are plain functions, so that a port nobody listens at costs nothing. A tap is told what passes, in
    the order in which it passes, and must draw no chance, schedule nothing and change nothing.
    """

    __slots__ = ("_arrives", "_leaves", "_taps", "deliver", "is_up", "mac", "mtu", "name", "send")

    def __init__(self, name: str, mac: int, receive: Carry, mtu: int = ETHERNET_MTU) -> None:
        self.name = name
        self.mac = mac
        self.mtu = mtu
        self.is_up = True
        self._arrives: Carry = receive
        self._leaves: Carry = nowhere
        self._taps: tuple[Tap, ...] = ()
        self.send: Carry = nowhere
        self.deliver: Carry = receive

    def plug(self, leaves: Carry) -> None:
        """Let frames that are sent go there: into one direction of a link."""
        self._leaves = leaves
        self._join()

    def unplug(self) -> None:
        """Let frames that are sent go nowhere."""
        self.plug(nowhere)

    @property
    def is_plugged(self) -> bool:
        return self._leaves is not nowhere

    def turn(self, *, on: bool) -> None:
        """Switch the port on or off, as with a machine that crashes: a dead port neither sends nor hears."""
        self.is_up = on
        self._join()

    def receive_with(self, receive: Carry) -> None:
        """Hand frames that come to another function of the device from now on."""
        self._arrives = receive
        self._join()

    def tap(self, tap: Tap) -> None:
        """Tell this one of every frame, too."""
        self._taps = (*self._taps, tap)
        self._join()

    def untap(self, tap: Tap) -> None:
        """Tell this one no more."""
        self._taps = tuple(one for one in self._taps if one != tap)
        self._join()

    def _join(self) -> None:
        if not self.is_up:
            self.send = self.deliver = nowhere
        elif self._taps:
            self.send = self._tapped("out", self._leaves)
            self.deliver = self._tapped("in", self._arrives)
        else:
            self.send, self.deliver = self._leaves, self._arrives

    def _tapped(self, way: Way, onward: Carry) -> Carry:
        taps = self._taps

        def tell(frame: AnyFrame) -> None:
            for tap in taps:
                tap(way, frame)
            onward(frame)

        return tell
