"""A socket object on a simulated stack: what programs get from ``socket.socket`` while they run on a host.

It is a ``socket.socket`` by type, and no descriptor of the process is behind it: ``fileno`` gives a number by which
``select``, ``poll``, ``epoll`` and ``selectors`` know it on its host.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Self

from portside.sim import threads
from portside.sim.here import Machine, here
from portside.sim.loop import addrinfo
from portside.sim.seams import End
from portside.sim.sockets import options
from portside.sim.sockets.descriptors import descriptors_of
from portside.sim.sockets.looking_up import look_up_blocking
from portside.sim.sockets.moving import os_error
from portside.sim.sockets.settable import Settable

DATAGRAMS_BYTES_MAX: Final = 212_992  # net.core.rmem_default


class SimSocket(Settable):
    """See ``socket.socket``. ``connection``, ``listener`` and ``udp`` are what it stands for, in ``seams``."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)

    def __init__(  # a socket of the kernel is not made
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        if fileno is not None:
            raise NotImplementedError("a simulated socket cannot be made of a descriptor of this machine")
        machine = here.machine
        assert machine is not None
        self._io_refs = 0
        self._closed = False
        self.machine: Machine = machine
        self._family = socket.AF_INET if family == -1 else family
        self._type = socket.SOCK_STREAM if type == -1 else type & 0xF
        self._proto = max(proto, 0)
        if self._family not in {socket.AF_INET, socket.AF_INET6, socket.AF_UNIX}:
            raise os_error(errno.EAFNOSUPPORT)
        if self._type not in {socket.SOCK_STREAM, socket.SOCK_DGRAM}:
            raise os_error(errno.EPERM)  # raw sockets: as for who is not root
        self._timeout: float | None = socket.getdefaulttimeout()
        if type != -1 and type & socket.SOCK_NONBLOCK:
            self._timeout = 0.0
        self._options: dict[tuple[int, int], Any] = {(socket.IPPROTO_TCP, socket.TCP_NODELAY): 0}
        self._bound: Any = None
        self.connection: Any = None
        self.listener: Any = None
        self.udp: Any = None
        self._is_connecting = False
        self._failure: OSError | None = None
        self._shut_reading = False
        self._arrived: deque[tuple[bytes, End]] = deque()
        self._arrived_bytes = 0
        self._watchers: dict[Callable[[], None], None] = {}
        self._is_view = False
        self._number: int | None = None  # its descriptor, once somebody has asked for it

    @classmethod
    def of(cls, machine: Machine, of: Any, family: int | None = None) -> SimSocket:
        """Return a socket object that shows something which others use: a connection, a listener, a UDP socket."""
        made = cls.__new__(cls)
        before, here.machine = here.machine, machine
        try:
            if family is None:
                local = of.local
                unix = isinstance(local, str)
                family = socket.AF_UNIX if unix else socket.AF_INET if local[0] >> 32 == 0xFFFF else socket.AF_INET6
            kind = socket.SOCK_DGRAM if hasattr(of, "broadcast") else socket.SOCK_STREAM
            made.__init__(family, kind)  # type: ignore[misc]
        finally:
            here.machine = before
        made._is_view = True
        if kind == socket.SOCK_DGRAM:
            made.udp = of
        elif hasattr(of, "accept"):
            made.listener = of
        else:
            made.connection = of
        made._bound = of.local
        made._timeout = 0.0
        return made

    @classmethod
    def holding(cls, machine: Machine, connection: Any, family: int) -> SimSocket:
        """Return a socket object to which a connection belongs: it hears of it, and closes it."""
        made = cls.of(machine, connection, family)
        made._is_view = False
        made._timeout = socket.getdefaulttimeout()
        connection.user = made
        return made

    def move(self) -> SimSocket:
        """Return a socket that has taken this one's place; this one is closed, and nothing of what it was is."""
        made = SimSocket.__new__(SimSocket)
        made.__dict__.update(self.__dict__)  # those who watch among it: a listener goes on telling this one
        made._io_refs, made._closed, made._number = 0, False, None
        if made.connection is not None and not made._is_view:
            made.connection.user = made
        self._closed = self._is_view = True
        self.connection = self.listener = None
        return made

    # ── what it is ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def family(self) -> Any:
        return socket.AddressFamily(self._family)

    @property
    def type(self) -> Any:
        return socket.SocketKind(self._type)

    @property
    def proto(self) -> int:
        return self._proto

    def fileno(self) -> int:
        if self._closed:
            return -1
        if self._number is None:
            self._number = descriptors_of(self.machine).give(self)
        return self._number

    def detach(self) -> int:
        raise NotImplementedError("a simulated socket has no descriptor that could be detached")

    def __repr__(self) -> str:
        state = "closed" if self._closed else getattr(self.connection, "state", "open")
        return f"<SimSocket on {self.machine.name} {self._bound} {state}>"

    def getsockname(self) -> Any:
        if self._family == socket.AF_UNIX:
            return self._bound or ""
        for one in (self.connection, self.listener, self.udp):
            if one is not None:
                return addrinfo.sockaddr(one.local, self._family)
        return addrinfo.sockaddr(self._bound or (addrinfo.end_of(("", 0), self._family)), self._family)

    def getpeername(self) -> Any:
        remote = self.connection.remote if self.connection is not None else getattr(self.udp, "remote", None)
        if remote is None or self._is_connecting:
            raise os_error(errno.ENOTCONN)
        return remote if isinstance(remote, str) else addrinfo.sockaddr(remote, self._family)

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def bind(self, address: Any) -> None:
        if self._family == socket.AF_UNIX:
            self._bound = os.fsdecode(address)
            return
        end = self._end(address)
        if self._type == socket.SOCK_DGRAM:
            self.udp = self._open_udp(end)
            end = self.udp.local
        else:
            end = self._reserve(end)
        self._bound = end

    def _reserve(self, end: End) -> End:
        """Take a port, and give it back at once: nobody else runs before ``listen`` or ``connect`` takes it again."""
        tcp = self.machine.stack.tcp
        probe = tcp.listen(end, 0, lambda: None, only_v6=self._only_v6)
        probe.close()
        reserved: End = probe.local
        return reserved

    def _end(self, address: Any) -> End:
        (found, *_) = self._look_up(address[0], address[1])
        return addrinfo.end_of(found[4], self._family)

    def _look_up(self, host: Any, port: Any) -> list[Any]:
        flags = socket.AI_PASSIVE
        addresses = addrinfo.numeric(host, self._family, flags)
        if addresses is None:
            addresses = look_up_blocking(self.machine, host, self._family)
        return addrinfo.infos(addresses, addrinfo.service_port(port), self._type, 0)

    def _open_udp(self, end: End | None) -> Any:
        reuse = bool(
            self._options.get((socket.SOL_SOCKET, socket.SO_REUSEADDR))
            or self._options.get((socket.SOL_SOCKET, socket.SO_REUSEPORT))
        )
        broadcast = bool(self._options.get((socket.SOL_SOCKET, socket.SO_BROADCAST)))
        anywhere = addrinfo.end_of(("", 0), self._family)
        return self.machine.stack.udp.open(
            self, end or anywhere, reuse=reuse, broadcast=broadcast, only_v6=self._only_v6
        )

    @property
    def _only_v6(self) -> bool:
        return bool(self._options.get((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), 0))

    def listen(self, backlog: int = 128) -> None:
        if self._type != socket.SOCK_STREAM:
            raise os_error(errno.EOPNOTSUPP)
        if self.listener is None:
            self.listener = self.take_listener(backlog, self._changed, keep=True)

    def take_listener(self, backlog: int, ready: Callable[[], object], *, keep: bool = False) -> Any:
        """Begin to listen where it is bound; without ``keep`` the listener is the caller's from then on."""
        if self.listener is not None and not keep:
            listener, self.listener = self.listener, None
            self._is_view = True
            listener.close()
        if self._family == socket.AF_UNIX:
            loop: Any = self.machine.loop
            listener = loop.unix_names.listen(self._bound, backlog, ready)
        else:
            bound = self._bound or addrinfo.end_of(("", 0), self._family)
            listener = self.machine.stack.tcp.listen(bound, backlog, ready, only_v6=self._only_v6)
        if not keep:
            self._bound = listener.local
            self.listener, self._is_view = listener, True
        return listener

    def connect(self, address: Any) -> None:
        self._connect(address)
        self.end_connecting()

    def end_connecting(self) -> None:
        """Wait until the handshake that ``connect`` began is done. Raises: BlockingIOError, and why it failed."""
        self._wait_until(lambda: not self._is_connecting, errno.EINPROGRESS)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self.connection = None
            raise failure

    def connect_ex(self, address: Any) -> int:
        try:
            self.connect(address)
        except BlockingIOError:
            return errno.EINPROGRESS
        except socket.gaierror:
            raise
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def _connect(self, address: Any) -> None:
        if self.connection is not None:
            if not self._is_connecting and self._failure is None:
                raise os_error(errno.EISCONN)
            return
        if self._family == socket.AF_UNIX:
            loop: Any = self.machine.loop
            self.connection = loop.unix_names.connect(os.fsdecode(address))
            self.connection.user = self
            return
        end = self._end(address)
        if self._type == socket.SOCK_DGRAM:
            self.udp = self.udp or self._open_udp(None)
            self.udp.connect(end)
            return
        self._is_connecting = True
        try:
            self.connection = self.machine.stack.tcp.connect(self, end, self._bound)
        except BaseException:
            self._is_connecting = False
            raise
        self._apply_options()

    def _apply_options(self) -> None:
        for (level, option), value in self._options.items():
            if value is not None:
                options.apply(self.connection, level, option, value)

    def accept(self) -> tuple[Any, Any]:
        if self.listener is None:
            raise os_error(errno.EINVAL)
        self._wait_until(lambda: self.listener.has_waiting, errno.EAGAIN)
        connection = self.listener.accept()
        made = SimSocket.holding(self.machine, connection, self._family)
        return made, connection.remote if self._family == socket.AF_UNIX else made.getpeername()

    def take_connection(self) -> Any:
        """Hand the connection over: it is the caller's from then on, and this shows it only."""
        if self.connection is None or self._is_connecting:
            raise ValueError("A Stream Socket was expected, that is connected")
        self._is_view = True
        return self.connection

    def take_datagrams(self, user: Any) -> Any:
        """Hand the UDP socket over, to that user."""
        self.udp = self.udp or self._open_udp(None)
        self._is_view = True
        self.udp.user = user
        for data, remote in self._arrived:
            user.received(data, remote, self.udp.local)
        self._arrived.clear()
        return self.udp

    # ── what the stack tells ─────────────────────────────────────────────────────────────────────────────────────────

    def established(self) -> None:
        self._is_connecting = False
        self._changed()

    def readable(self) -> None:
        self._changed()

    writable = finished = readable

    def failed(self, error: OSError) -> None:
        self._is_connecting = False
        self._failure = error
        self._changed()

    def received(self, data: bytes, remote: End, local: End) -> None:
        if self._arrived_bytes + len(data) <= DATAGRAMS_BYTES_MAX:
            self._arrived.append((data, remote))
            self._arrived_bytes += len(data)
            self._changed()

    def _changed(self) -> None:
        for watcher in list(self._watchers):
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have this called whenever something may have become readable or writable, until ``unwatch``."""
        self._watchers[watcher] = None

    def unwatch(self, watcher: Callable[[], None]) -> None:
        self._watchers.pop(watcher, None)

    def is_readable(self) -> bool:
        """Return whether ``recv`` or ``accept`` would not wait."""
        if self.listener is not None:
            return bool(self.listener.has_waiting)
        if self._type == socket.SOCK_DGRAM:
            return bool(self._arrived) or self._failure is not None
        connection = self.connection
        if connection is None or self._is_connecting:
            return False
        ended = connection.has_ended or self._shut_reading or connection.state == "CLOSED"
        return bool(connection.readable_bytes or ended or self._failure is not None)

    def is_writable(self) -> bool:
        """Return whether ``send`` would not wait, or ``connect`` is done."""
        if self._type == socket.SOCK_DGRAM or self._failure is not None:
            return True
        connection = self.connection
        if connection is None or self._is_connecting:
            return False
        return bool(connection.unsent_bytes < connection.send_buffer)

    def _wait_until(self, is_so: Callable[[], bool], number: int) -> None:
        """Wait in a thread of blocking code. Raises: BlockingIOError where the socket does not block; TimeoutError."""
        if is_so():
            return
        if self._timeout == 0.0:
            raise BlockingIOError(number, os.strerror(number))
        if not threads.wait_for([self], is_so, self._timeout, "waiting for a socket"):
            raise TimeoutError("timed out")

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def shutdown(self, how: int) -> None:
        if self.connection is None or self._is_connecting:
            raise os_error(errno.ENOTCONN)
        if how in {socket.SHUT_RD, socket.SHUT_RDWR}:
            self._shut_reading = True
            self._changed()
        if how in {socket.SHUT_WR, socket.SHUT_RDWR}:
            self.connection.shutdown()

    def _real_close(self, *_: Any) -> None:
        if self._is_view:
            return
        for one in (self.connection, self.listener, self.udp):
            if one is not None:
                one.close()

    def dup(self) -> Any:
        raise NotImplementedError("a simulated socket cannot be duplicated")

    def __del__(self) -> None:
        """Leave it: a program that lets go of a socket without closing it is not told of by this machine."""
