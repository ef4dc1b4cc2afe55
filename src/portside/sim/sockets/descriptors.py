"""Descriptors of simulated sockets: numbers by which ``select`` and its kin find them, and which nothing else takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from portside.sim.here import Machine

if TYPE_CHECKING:
    from portside.sim.sockets.sim_socket import SimSocket

FIRST: Final = 1 << 20  # above what a process has by itself (fs.nr_open), so that none is taken for one of its files


class Descriptors:
    """Those of one host, counted up: the same run gives the same ones."""

    def __init__(self) -> None:
        self._next = FIRST
        self._sockets: WeakValueDictionary[int, SimSocket] = WeakValueDictionary()

    def give(self, sock: SimSocket) -> int:
        """Return a number for a socket."""
        number = self._next
        self._next += 1
        self._sockets[number] = sock
        return number

    def socket_of(self, number: int) -> SimSocket | None:
        """Return the socket with that number, None if there is none."""
        return self._sockets.get(number)


_of_hosts: WeakKeyDictionary[Machine, Descriptors] = WeakKeyDictionary()


def descriptors_of(machine: Machine) -> Descriptors:
    """Return the descriptors of a host."""
    found = _of_hosts.get(machine)
    if found is None:
        found = _of_hosts[machine] = Descriptors()
    return found
