"""The module ``socket`` as hosts see it: sockets of their stack, and names that their resolver knows.

``socket.socket`` stays the class it is, so that ``isinstance`` and whoever imported it by name need no help; on a host
it makes a ``SimSocket``, which is one.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from typing import Any, Final

from portside.sim import threads
from portside.sim.environment.escape import Escape
from portside.sim.environment.replacing import Dispatcher, Replacement
from portside.sim.here import Machine, here
from portside.sim.loop import addrinfo
from portside.sim.sockets import SimSocket
from portside.sim.sockets.looking_up import look_up_blocking
from portside.sim.sockets.secured import wrap_socket

NO_SOCKET: Final = "use asyncio's streams, whose TLS is simulated too; a subclass of socket needs a descriptor"
NO_PAIR: Final = "use two datagram endpoints"
NO_DESCRIPTOR: Final = "descriptors are this machine's; hand the socket object on instead"
HOST_NOT_FOUND: Final = 1  # of <netdb.h>'s h_errno
KIND_MASK: Final = 0xF  # beside it stand flags: SOCK_NONBLOCK, SOCK_CLOEXEC

_network: Final[Any] = sys.modules["socket"]
_new: Final = _network.socket.__new__
_getaddrinfo: Final = _network.getaddrinfo
_getnameinfo: Final = _network.getnameinfo
_gethostbyname: Final = _network.gethostbyname
_gethostbyname_ex: Final = _network.gethostbyname_ex
_gethostbyaddr: Final = _network.gethostbyaddr
_socketpair: Final = _network.socketpair
_fromfd: Final = _network.fromfd


def _make(kind: type, *arguments: Any, **more: Any) -> Any:
    """Make a socket: ``type.__call__`` then calls ``__init__`` of whatever class this returns."""
    machine = here.machine
    if machine is None or issubclass(kind, SimSocket):
        return _new(kind, *arguments, **more)
    if kind is _network.socket:
        return SimSocket.__new__(SimSocket)
    raise Escape(machine.name, f"a {kind.__qualname__}", NO_SOCKET)


class Resolver(Dispatcher):
    """The functions of ``socket`` that ask for names, and the one that makes two sockets."""

    GLOBAL_NAME = "resolver"

    def getaddrinfo(  # noqa: PLR0917 -- as socket.getaddrinfo has them
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        machine = here.machine
        if machine is None:
            return _getaddrinfo(host, port, family, type, proto, flags)
        number = addrinfo.service_port(port, flags)
        name = host.decode("idna") if isinstance(host, bytes) else host
        addresses = addrinfo.numeric(name, family, flags)
        if addresses is None:
            addresses = look_up_blocking(machine, name, family)
        canonical = name if flags & _network.AI_CANONNAME and name else ""
        return addrinfo.infos(addresses, number, type, proto, canonical)

    def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        machine = here.machine
        if machine is None:
            return _getnameinfo(sockaddr, flags)
        service = addrinfo.service_of(sockaddr[1], flags)
        if flags & _network.NI_NUMERICHOST:
            return sockaddr[0], service
        try:
            return _name_of(machine, sockaddr[0]), service
        except OSError:
            if flags & _network.NI_NAMEREQD:
                raise
            return sockaddr[0], service

    def gethostbyname(self, hostname: Any) -> str:
        machine = here.machine
        if machine is None:
            return str(_gethostbyname(hostname))
        return str(self.getaddrinfo(hostname, None, _network.AF_INET, _network.SOCK_STREAM)[0][4][0])

    def gethostbyname_ex(self, hostname: Any) -> Any:
        machine = here.machine
        if machine is None:
            return _gethostbyname_ex(hostname)
        infos = self.getaddrinfo(hostname, None, _network.AF_INET, _network.SOCK_STREAM)
        return hostname, [], [info[4][0] for info in infos]

    def gethostbyaddr(self, address: Any) -> Any:
        machine = here.machine
        if machine is None:
            return _gethostbyaddr(address)
        numeric = self.getaddrinfo(address, None, 0, _network.SOCK_STREAM)[0][4][0]
        try:
            return _name_of(machine, numeric), [], [numeric]
        except _network.gaierror:
            raise _network.herror(HOST_NOT_FOUND, "Unknown host") from None

    def socketpair(self, family: Any = None, type: int = _network.SOCK_STREAM, proto: int = 0) -> Any:
        machine = here.machine
        if machine is None:
            return _socketpair(family, type, proto)
        if type & KIND_MASK != _network.SOCK_STREAM:
            raise Escape(machine.name, "a pair of sockets that are no streams", NO_PAIR)
        loop: Any = machine.loop
        return tuple(SimSocket.holding(machine, one, _network.AF_UNIX) for one in loop.unix_names.pair())

    def fromfd(self, fd: Any, family: Any, type: Any, proto: int = 0) -> Any:
        machine = here.machine
        if machine is None:
            return _fromfd(fd, family, type, proto)
        raise Escape(machine.name, "socket.fromfd", NO_DESCRIPTOR)


def _name_of(machine: Machine, address: str) -> str:
    """Find the name of an address, in a thread of blocking code. Raises: socket.gaierror."""
    answers: list[Any] = []

    def register(wake: Any) -> None:
        def done(answer: Any) -> None:
            answers.append(answer)
            wake()

        machine.names.reverse(addrinfo.end_of((address, 0))[0], done)

    threads.wait(register)
    if isinstance(answers[0], OSError):
        raise answers[0]
    return str(answers[0])


resolver: Final = Resolver()


def replacements() -> Iterator[Replacement]:
    """Yield what takes the place of the functions that ask a resolver."""
    names = ("getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "socketpair", "fromfd")
    yield from resolver.replacing(_network, *names)


def install() -> None:
    """Let ``socket.socket`` make what fits where it is called, and ``ssl`` secure it."""
    _network.socket.__new__ = _make
    setattr(ssl.SSLContext, "wrap_socket", wrap_socket)  # noqa: B010 -- to the type checker it is not to be replaced
