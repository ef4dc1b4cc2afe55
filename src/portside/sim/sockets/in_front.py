"""What a socket that stands in front of another one hands on to it as it is."""

from __future__ import annotations

from typing import Any

from portside.sim.sockets.sim_socket import SimSocket


class InFront:
    """Names, options, times to wait, and the end, which is that of the socket below."""

    _below: SimSocket
    _closed: bool
    _io_refs: int

    def bind(self, address: Any) -> None:
        self._below.bind(address)

    def listen(self, *backlog: int) -> None:
        self._below.listen(*backlog)

    def settimeout(self, value: float | None) -> None:
        self._below.settimeout(value)

    def gettimeout(self) -> float | None:
        return self._below.gettimeout()

    def setblocking(self, flag: bool) -> None:
        self._below.setblocking(flag)

    def getblocking(self) -> bool:
        return self._below.gettimeout() != 0.0

    def setsockopt(self, *arguments: Any) -> None:
        self._below.setsockopt(*arguments)

    def getsockopt(self, *arguments: Any) -> Any:
        return self._below.getsockopt(*arguments)

    def getsockname(self) -> Any:
        return self._below.getsockname()

    def getpeername(self) -> Any:
        return self._below.getpeername()

    def detach(self) -> int:
        return self._below.detach()

    @property
    def family(self) -> Any:
        return self._below.family

    @property
    def type(self) -> Any:
        return self._below.type

    @property
    def proto(self) -> int:
        return self._below.proto

    @property
    def timeout(self) -> float | None:
        return self._below.gettimeout()

    def _real_close(self, *_: Any) -> None:
        self._below.close()
