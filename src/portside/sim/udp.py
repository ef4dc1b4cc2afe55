"""UDP: ports, and nothing else (RFC 768; RFC 1122 section 4.1)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final

from portside.sim.addresses import ANY, ANY_V4, is_multicast, is_v4
from portside.sim.frame import AnyIpFrame, UdpFrame
from portside.sim.ip.icmp import NO_PORT
from portside.sim.ports import ephemeral
from portside.sim.seams import End, Trouble, UdpUser

if TYPE_CHECKING:
    from portside.sim.ip.stack import Stack

DATA_BYTES_MAX: Final = 65_507  # what an IPv4 packet of 65,535 bytes has room for


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class UdpSocket:
    """One bound port: see ``seams.UdpSocket``."""

    def __init__(self, udp: Udp, user: UdpUser, local: End, *, reuse: bool, broadcast: bool, only_v6: bool) -> None:
        self.user = user
        self.local = local
        self.remote: End | None = None
        self.reuse = reuse
        self.broadcast = broadcast
        self.only_v6 = only_v6
        self.groups: dict[int, None] = {}
        self.is_closed = False
        self._udp = udp

    def connect(self, remote: End) -> None:
        """Hear only this peer from now on, and send to it. Raises: OSError ENETUNREACH."""
        source = self._udp.stack.source_for(remote[0])
        if self.local[0] in {ANY, ANY_V4}:
            self.local = (source, self.local[1])
        self.remote = remote

    def send(self, data: bytes, remote: End | None = None) -> None:
        """Send a datagram: see ``seams.UdpSocket``."""
        target = remote or self.remote
        if target is None:
            raise _error(errno.EDESTADDRREQ)
        if len(data) > DATA_BYTES_MAX:
            raise _error(errno.EMSGSIZE)
        stack = self._udp.stack
        if is_v4(target[0]) and not self.broadcast and stack.is_broadcast(target[0]):
            raise _error(errno.EACCES)
        if target[1] == 0:
            raise _error(errno.EINVAL)
        source = self.local[0] if self.local[0] not in {ANY, ANY_V4} else stack.source_for(target[0])
        if is_v4(source) != is_v4(target[0]):
            raise _error(errno.ENETUNREACH)
        frame = UdpFrame(source, self.local[1], target[0], target[1], bytes(data), stack.profile.ttl)
        if is_multicast(target[0]):
            frame.ttl = 1  # RFC 1112 section 6.1
        frame.dont_fragment = is_v4(target[0]) and frame.size - 14 <= stack.mtu_to(target[0])
        stack.send(frame)

    def close(self) -> None:
        """Let go of the port."""
        if not self.is_closed:
            self.is_closed = True
            self._udp.forget(self)


class Udp:
    """All UDP sockets of a host: see ``seams.Udp``."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._by_port: dict[int, list[UdpSocket]] = {}

    def open(
        self,
        user: UdpUser,
        local: End = (ANY, 0),
        *,
        reuse: bool = False,
        broadcast: bool = False,
        only_v6: bool = False,
    ) -> UdpSocket:
        """Bind. Port 0 chooses one. Raises: OSError EADDRINUSE, EADDRNOTAVAIL."""
        address, port = local
        stack = self.stack
        is_named = address not in {ANY, ANY_V4} and not is_multicast(address) and not stack.is_broadcast(address)
        if is_named and not stack.is_ours(address):
            raise _error(errno.EADDRNOTAVAIL)
        socket = UdpSocket(self, user, local, reuse=reuse, broadcast=broadcast, only_v6=only_v6)
        if port == 0:
            socket.local = (address, ephemeral(stack.chance, lambda one: one in self._by_port))
        elif any(self._collide(socket, other) for other in self._by_port.get(port, ())):
            raise _error(errno.EADDRINUSE)
        self._by_port.setdefault(socket.local[1], []).append(socket)
        return socket

    @staticmethod
    def _collide(one: UdpSocket, other: UdpSocket) -> bool:
        """Return whether two sockets would hear the same datagrams, and not both allow that."""
        if one.reuse and other.reuse:
            return False
        here, there = one.local[0], other.local[0]
        if here == there:
            return True
        for this, that in ((one, there), (other, here)):
            if this.local[0] == ANY and (not is_v4(that) or not this.only_v6):
                return True
            if this.local[0] == ANY_V4 and is_v4(that):
                return True
        return False

    def join(self, socket: UdpSocket, group: int) -> None:
        """Hear what is sent to a group of multicast, too."""
        if group not in socket.groups:
            self.stack.join(group)
            socket.groups[group] = None

    def forget(self, socket: UdpSocket) -> None:
        """Let go of a socket's port."""
        same = self._by_port.get(socket.local[1], [])
        if socket in same:
            same.remove(socket)
            if not same:
                del self._by_port[socket.local[1]]

    def sockets(self) -> list[UdpSocket]:
        """Return every socket, in the order of their ports' first use."""
        return [socket for same in self._by_port.values() for socket in same]

    # ── from below ───────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, frame: AnyIpFrame) -> None:
        """Take a datagram for this host."""
        assert isinstance(frame, UdpFrame)
        local, remote = (frame.target, frame.target_port), (frame.source, frame.source_port)
        if is_multicast(frame.target) or self.stack.is_broadcast(frame.target):
            for socket in list(self._by_port.get(frame.target_port, ())):
                if self._fitness(socket, local, remote) >= 0:
                    socket.user.received(frame.payload, remote, local)
            return
        found = self._find(local, remote)
        if found is None:
            self.stack.count("udp no port")
            self.stack.icmp.complain(frame, NO_PORT)
        else:
            found.user.received(frame.payload, remote, local)

    def _find(self, local: End, remote: End) -> UdpSocket | None:
        best, best_fitness = None, -1
        for socket in self._by_port.get(local[1], ()):
            fitness = self._fitness(socket, local, remote)
            if fitness > best_fitness:
                best, best_fitness = socket, fitness
        return best

    @staticmethod
    def _fitness(socket: UdpSocket, local: End, remote: End) -> int:
        """Return how exactly a socket is meant by a datagram, below 0 if it is not."""
        address = socket.local[0]
        if socket.remote is not None:
            return 3 if socket.remote == remote and address == local[0] else -1
        if address == local[0]:
            return 2
        if is_multicast(local[0]) and local[0] not in socket.groups:
            return -1
        if address == ANY_V4:
            return 1 if is_v4(local[0]) else -1
        if address == ANY:
            return 0 if not is_v4(local[0]) or not socket.only_v6 else -1
        return -1

    def troubled(self, local: End, remote: End, trouble: Trouble) -> None:
        """Hear that a datagram did not arrive: connected sockets are told, as on Linux without IP_RECVERR."""
        found: Any = self._find(local, remote)
        if found is not None and found.remote == remote:
            found.user.failed(trouble.error)
