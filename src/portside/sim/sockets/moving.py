"""The calls of a socket object that move bytes, over what ``SimSocket`` knows of itself."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from typing import Any

from portside.sim.loop import addrinfo
from portside.sim.seams import End


def os_error(number: int) -> OSError:
    """Return the error that the kernel would give."""
    return OSError(number, os.strerror(number))


class Moving(socket.socket):
    """``recv``, ``send`` and their kin."""

    connection: Any
    udp: Any
    _family: int
    _type: int
    _timeout: float | None
    _is_connecting: bool
    _failure: OSError | None
    _shut_reading: bool
    _arrived: deque[tuple[bytes, End]]
    _arrived_bytes: int

    def is_readable(self) -> bool:
        """Return whether ``recv`` or ``accept`` would not wait."""
        raise NotImplementedError

    def is_writable(self) -> bool:
        """Return whether ``send`` would not wait."""
        raise NotImplementedError

    def _wait_until(self, is_so: Any, number: int) -> None:
        raise NotImplementedError

    def _open_udp(self, end: End | None) -> Any:
        raise NotImplementedError

    def _end(self, address: Any) -> End:
        raise NotImplementedError

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        return self.recvfrom(bufsize, flags)[0]

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        if self._type == socket.SOCK_DGRAM:
            return self._recv_datagram(bufsize, flags)
        if self.connection is None or self._is_connecting:
            raise os_error(errno.ENOTCONN)
        self._wait_until(self.is_readable, errno.EAGAIN)
        connection = self.connection
        if connection.readable_bytes and not self._shut_reading:
            if flags & socket.MSG_PEEK:
                return self._peek(bufsize), None
            return connection.receive(bufsize), None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return b"", None

    def _peek(self, count: int) -> bytes:
        queue: Any = self.connection.into.queue
        return bytes(queue.peek(count))

    def _recv_datagram(self, bufsize: int, flags: int) -> tuple[bytes, Any]:
        if self.udp is None:
            self.udp = self._open_udp(None)
        self._wait_until(self.is_readable, errno.EAGAIN)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        data, remote = self._arrived[0]
        if not flags & socket.MSG_PEEK:
            self._arrived.popleft()
            self._arrived_bytes -= len(data)
        return data[:bufsize], addrinfo.sockaddr(remote, self._family)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        view = memoryview(buffer).cast("B")
        data, address = self.recvfrom(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data), address

    def send(self, data: Any, flags: int = 0) -> int:
        if self._type == socket.SOCK_DGRAM:
            return self.sendto(data, self.getpeername())
        connection = self.connection
        if connection is None or self._is_connecting:
            raise os_error(errno.ENOTCONN)
        view = memoryview(data).cast("B")
        if not view:
            return 0
        taken: int = connection.send(view)
        while not taken:
            self._wait_until(lambda: self.is_writable() or connection.state == "CLOSED", errno.EAGAIN)
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            taken = connection.send(view)
            if not taken and self._timeout == 0.0:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return taken

    def sendall(self, data: Any, flags: int = 0) -> None:
        view = memoryview(data).cast("B")
        while view:
            view = view[self.send(view, flags) :]

    def sendto(self, data: Any, *rest: Any) -> int:
        if self._type == socket.SOCK_STREAM:
            return self.send(data)
        address = rest[-1]
        if self.udp is None:
            self.udp = self._open_udp(None)
        self.udp.send(bytes(data), self._end(address))
        return len(data)

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        data = b"".join(bytes(one) for one in buffers)
        return self.sendto(data, address) if address is not None else self.send(data)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        file.seek(offset)
        sent = 0
        while count is None or sent < count:
            data = file.read(65_536 if count is None else min(65_536, count - sent))
            if not data:
                break
            self.sendall(data)
            sent += len(data)
        return sent
