"""What is set about a socket object: its options, and how long it waits."""

from __future__ import annotations

import socket
from typing import Any

from portside.sim.here import Machine
from portside.sim.loop import addrinfo
from portside.sim.sockets import options
from portside.sim.sockets.moving import Moving


class Settable(Moving):
    """``setsockopt``, ``settimeout`` and their kin."""

    machine: Machine
    listener: Any
    _options: dict[tuple[int, int], Any]

    def setsockopt(self, level: int, option: int, value: Any = None, length: int = 0) -> None:
        self._options[level, option] = value
        if self.connection is not None and value is not None:
            options.apply(self.connection, level, option, value)
        if self.udp is not None and (level, option) == (socket.SOL_SOCKET, socket.SO_BROADCAST):
            self.udp.broadcast = bool(value)
        if (level, option) == (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP) and self.udp is not None:
            group = addrinfo.end_of((socket.inet_ntoa(value[:4]), 0))[0]
            self.machine.stack.udp.join(self.udp, group)

    def getsockopt(self, level: int, option: int, length: int = 0) -> Any:
        match level, option:
            case socket.SOL_SOCKET, socket.SO_ERROR:
                failure, self._failure = self._failure, None
                return failure.errno if failure is not None else 0
            case socket.SOL_SOCKET, socket.SO_TYPE:
                return self._type
            case socket.SOL_SOCKET, socket.SO_ACCEPTCONN:
                return int(self.listener is not None)
        found = self._options.get((level, option), options.default_of(level, option))
        if length and isinstance(found, int):
            return found.to_bytes(length, "little")
        return found

    def settimeout(self, value: float | None) -> None:
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = value

    def gettimeout(self) -> float | None:
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        return self._timeout != 0.0

    @property
    def timeout(self) -> float | None:
        return self._timeout

    def get_inheritable(self) -> bool:
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        """Do nothing: there is nobody to inherit it."""
