"""UDP: datagrams with their return address, answered from the address that was asked.

A host has many addresses, and a client throws away an answer that comes from another one than it asked. The kernel
tells the address with each datagram (IP_PKTINFO, ip(7); IPV6_RECVPKTINFO, RFC 3542 section 6) and takes it back with
the answer. Nothing here waits for room to send: a datagram that does not fit is lost, as UDP may lose any.
"""

from __future__ import annotations

import errno
import select
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from portside.address import Address, Endpoint, InternetAddress, from_sockaddr, unmapped
from portside.contracts import Network
from portside.errors import ConnectionClosed, HandlerError, NetworkError, UsageError
from portside.net.closing import ClosedAtBlockEnd
from portside.net.deadline import Deadline
from portside.net.drive import DONE
from portside.net.sockets import (
    IP_PKTINFO,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_PKTINFO,
    MSG_DONTWAIT,
    MSG_TRUNC,
    Socket,
    bind,
    connect_nowait,
    local_address,
    open_datagram,
    prepare_datagrams,
    sockaddr_of,
    translate,
)

if TYPE_CHECKING:
    import asyncio

DATAGRAM_BYTES_MAX: Final = 65_535  # the length field of UDP has 16 bits, RFC 768; every payload is shorter
TROUBLES_MAX: Final = 64  # of old refusals and cut datagrams skipped in one go, before others have their turn
PRIVILEGED_PORTS: Final = 1_024  # below it services answer: a forged source there makes two of them talk for ever

# struct in_pktinfo: interface, local address, header destination; struct in6_pktinfo: address, interface.
_PKTINFO4_BYTES: Final = 12
_PKTINFO6_BYTES: Final = 20
_CONTROL_BYTES: Final = 64  # room for either with its header, CMSG_SPACE(20) being 40

Ancillary: TypeAlias = list[tuple[int, int, bytes]]
"""Control messages as ``recvmsg`` gives and ``sendmsg`` takes them: level, type, bytes."""

AnswerGuard: TypeAlias = "Callable[[UdpMessage, bytes], bool]"
"""Asked before each answer of a service: False drops it. See ``is_modest``."""


class UdpMessage:
    """A datagram with its return address. See ``contracts.Message``."""

    __slots__ = ("_ancillary", "_guard", "_sockaddr", "_socket", "answered_bytes", "data", "local", "peer")

    def __init__(
        self,
        data: bytes,
        *,
        peer: Address,
        local: Address,
        sock: Socket,
        sockaddr: Any,
        ancillary: Ancillary,
        guard: AnswerGuard | None = None,
    ) -> None:
        self.data = data
        self.peer = peer
        self.local = local
        self.answered_bytes = 0  # of all answers so far
        self._socket = sock
        self._sockaddr = sockaddr
        self._ancillary = ancillary
        self._guard = guard

    def reply(self, data: bytes) -> Awaitable[None]:
        """Send a datagram back, now; what is returned need not be awaited. Raises: NetworkError if it is too long."""
        welcome = self._guard is None or self._guard(self, data)
        if welcome and _send_back(self._socket, data, self._ancillary, self._sockaddr):
            self.answered_bytes += len(data)
        return DONE

    def tap(self, told: Callable[[bytes], object]) -> None:
        """Have every answer told that is sent from now on."""
        guard = self._guard

        def telling(question: UdpMessage, answer: bytes) -> bool:
            if welcome := guard is None or guard(question, answer):
                told(answer)
            return welcome

        self._guard = telling


def is_modest(question: UdpMessage, answer: bytes) -> bool:
    """Return whether the answer cannot be used to flood somebody in whose name the question was forged.

    All answers together must not be longer than the question, and none goes to a port below 1024, where another
    service might answer the answer.
    """
    peer = question.peer
    if isinstance(peer, InternetAddress) and peer.port < PRIVILEGED_PORTS:
        return False
    return question.answered_bytes + len(answer) <= len(question.data)


def _send_back(sock: Socket, data: bytes, ancillary: Ancillary, sockaddr: Any) -> bool:
    """Send the answer from the address that was asked; False when it was lost on the way out of this machine."""
    try:
        try:
            sock.sendmsg((data,), ancillary, MSG_DONTWAIT, sockaddr)
        except OSError as error:
            # A broadcast or multicast address was asked, or one that is gone: no answer can leave from there.
            if error.errno not in {errno.EINVAL, errno.EADDRNOTAVAIL, errno.ENETUNREACH} or not ancillary:
                raise
            sock.sendmsg((data,), (), MSG_DONTWAIT, sockaddr)
    except OSError as error:
        if error.errno in {errno.EMSGSIZE, errno.EBADF}:
            raise translate(error) from error
        return False  # no room, no route, a packet filter: the peer asks again, or does not
    return True


# ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────────


def receive_nowait(sock: Socket) -> tuple[bytes, Address, Address, Ancillary] | None:
    """Return the next datagram, its source, the address it was sent to, and what makes an answer leave from there.

    None when nothing waits. Raises: NetworkError when an earlier datagram of ours was refused.
    """
    received = _receive(sock)
    if received is None:
        return None
    data, control, sockaddr = received
    local, ancillary = _asked(control, local_address(sock))
    return data, from_sockaddr(sockaddr), local, ancillary


def _receive(sock: Socket) -> tuple[bytes, list[tuple[int, int, bytes]], Any] | None:
    """Return a whole datagram, its control messages and the sockaddr of its source; None when nothing waits."""
    for _ in range(TROUBLES_MAX):
        try:
            data, control, flags, sockaddr = sock.recvmsg(DATAGRAM_BYTES_MAX, _CONTROL_BYTES, MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            raise translate(error) from error
        if not flags & MSG_TRUNC:  # one that was cut, an IPv6 jumbogram, is none that anybody sent
            return data, control, sockaddr
    return None


def _asked(control: Ancillary, bound: Address) -> tuple[Address, Ancillary]:
    """Return the address a datagram was sent to, and the control messages by which an answer leaves from it.

    Interfaces are left to the routing table, except for link-local addresses, which mean nothing without one.
    """
    port = bound.port if isinstance(bound, InternetAddress) else 0
    for level, kind, data in control:
        if level == IPPROTO_IP and kind == IP_PKTINFO and len(data) == _PKTINFO4_BYTES:
            answers_from, asked = data[4:8], data[8:12]
            return InternetAddress(str(IPv4Address(asked)), port), [(level, kind, bytes(4) + answers_from + bytes(4))]
        if level == IPPROTO_IPV6 and kind == IPV6_PKTINFO and len(data) == _PKTINFO6_BYTES:
            address = IPv6Address(data[:16])
            interface = data[16:] if address.is_link_local else bytes(4)
            return InternetAddress(str(unmapped(address)), port), [(level, kind, data[:16] + interface)]
    return bound, []


class Mailbox:
    """The UDP socket of a service: takes its messages, and guards its answers."""

    __slots__ = ("_bound", "_guard", "socket")

    def __init__(self, sock: Socket, guard: AnswerGuard | None = None) -> None:
        self.socket = sock
        self._guard = guard
        self._bound = local_address(sock)

    @property
    def address(self) -> Address:
        return self._bound

    def take_nowait(self) -> UdpMessage | None:
        """Return the next message, None when none waits. What peers and networks do wrong is skipped."""
        for _ in range(TROUBLES_MAX):
            try:
                received = _receive(self.socket)
            except NetworkError:
                continue
            if received is None:
                return None
            data, control, sockaddr = received
            local, ancillary = _asked(control, self._bound)
            return UdpMessage(
                data,
                peer=from_sockaddr(sockaddr),
                local=local,
                sock=self.socket,
                sockaddr=sockaddr,
                ancillary=ancillary,
                guard=self._guard,
            )
        return None


# ── sockets of one's own: clients, and handlers that open one ────────────────────────────────────────────────────────


def bind_datagrams(endpoint: Endpoint) -> Socket:
    """Return a non-blocking UDP socket bound to the endpoint; to its first address where it has several."""
    first, *others = bind(as_udp(endpoint))
    for bound in others:
        bound.socket.close()
    return first.socket


def connect_datagrams(endpoint: Endpoint, addresses: list[InternetAddress]) -> Socket:
    """Return a non-blocking UDP socket whose peer is the first of the addresses that a route leads to.

    The kernel then delivers only that peer's datagrams, and tells when its host refuses ours.
    Raises: NetworkError with what the last one said.
    """
    as_udp(endpoint)
    failure = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    for address in addresses:
        sock = open_datagram(address)
        try:
            prepare_datagrams(sock)
            connect_nowait(sock, address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise translate(failure, str(endpoint)) from failure


def as_udp(endpoint: Endpoint) -> Endpoint:
    # The short forms HOST:PORT and :PORT read as TCP; who opens datagrams with one means UDP.
    if endpoint.scheme == "udp":
        return endpoint
    if endpoint.scheme == "tcp":
        return Endpoint("udp", host=endpoint.host, port=endpoint.port, options=endpoint.options)
    raise UsageError(f"{endpoint} carries no datagrams: udp://HOST:PORT does")


class _Datagrams(ClosedAtBlockEnd):
    """What the blocking and the event socket share. See ``contracts.Datagrams``."""

    __slots__ = ("_mailbox_address", "_network", "_peer", "_socket")

    def __init__(self, sock: Socket, network: Network) -> None:
        self._socket = sock
        self._network = network
        self._mailbox_address: Address | None = None
        try:
            self._peer: Address | None = from_sockaddr(sock.getpeername())
        except OSError:
            self._peer = None

    @property
    def address(self) -> Address:
        if self._mailbox_address is None:
            self._mailbox_address = local_address(self._socket)
        return self._mailbox_address

    def _check_open(self) -> None:
        if self._socket.fileno() < 0:
            raise ConnectionClosed("the datagram socket is closed")

    def _receive_nowait(self) -> UdpMessage | None:
        self._check_open()
        try:
            received = _receive(self._socket)
        except NetworkError as error:
            raise self._of_peer(error) from error.__cause__
        if received is None:
            return None
        data, control, sockaddr = received
        local, ancillary = _asked(control, self.address)
        return UdpMessage(
            data, peer=from_sockaddr(sockaddr), local=local, sock=self._socket, sockaddr=sockaddr, ancillary=ancillary
        )

    def _send_nowait(self, data: bytes, peer: InternetAddress | None) -> bool:
        """Send the datagram; False when there is no room now."""
        self._check_open()
        try:
            if peer is not None:
                self._socket.sendto(data, MSG_DONTWAIT, sockaddr_of(peer, self._socket.family))
            elif self._peer is not None:
                self._socket.send(data, MSG_DONTWAIT)
            else:
                raise ValueError("the socket is not connected: say to whom the datagram goes")
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._of_peer(translate(error)) from error
        return True

    def _of_peer(self, error: Exception) -> Exception:
        """Return the error with the name of the peer, where there is just one."""
        is_its = self._peer is not None and isinstance(error, NetworkError)
        return NetworkError(f"udp://{self._peer}: {error}") if is_its else error

    async def close(self) -> None:
        self._socket.close()


class BlockingDatagrams(_Datagrams):
    """Datagrams of one thread."""

    __slots__ = ()

    async def receive(self, timeout_s: float | None = None) -> UdpMessage:
        deadline = Deadline(self._network, timeout_s)
        while (message := self._receive_nowait()) is None:
            if not self._poll(select.POLLIN, deadline.left_s()):
                raise TimeoutError(f"no datagram came within {timeout_s:g} s")
        return message

    async def send(self, data: bytes, peer: InternetAddress | None = None) -> None:
        while not self._send_nowait(data, peer):
            self._poll(select.POLLOUT, None)

    def _poll(self, event: int, timeout_s: float | None) -> bool:
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(None if timeout_s is None else timeout_s * 1_000))


class EventDatagrams(_Datagrams):
    """Datagrams of an event loop, any that has ``add_reader``; one task may receive, and any send."""

    __slots__ = ("_loop", "_reader", "_writers")

    def __init__(self, sock: Socket, network: Network, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock, network)
        self._loop = loop
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []

    async def receive(self, timeout_s: float | None = None) -> UdpMessage:
        if self._reader is not None:
            raise HandlerError("two tasks receive from one datagram socket at once")
        deadline = Deadline(self._network, timeout_s)
        while (message := self._receive_nowait()) is None:
            self._reader = self._loop.create_future()
            left_s = deadline.left_s()
            timer = None if left_s is None else self._loop.call_later(left_s, _time_out, self._reader, timeout_s)
            descriptor = self._socket.fileno()
            self._loop.add_reader(descriptor, _wake, self._reader)
            try:
                await self._reader
            finally:
                self._reader = None
                if timer is not None:
                    timer.cancel()
                if self._socket.fileno() >= 0:  # close() has taken it out already
                    self._loop.remove_reader(descriptor)
        return message

    async def send(self, data: bytes, peer: InternetAddress | None = None) -> None:
        while not self._send_nowait(data, peer):
            if not self._writers:
                self._loop.add_writer(self._socket.fileno(), self._wake_writers)
            self._writers.append(self._loop.create_future())
            await self._writers[-1]

    def _wake_writers(self) -> None:
        self._loop.remove_writer(self._socket.fileno())
        writers, self._writers = self._writers, []
        for writer in writers:
            _wake(writer)

    async def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._wake_writers()
        await super().close()
        if self._reader is not None:
            _wake(self._reader)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _time_out(future: asyncio.Future[None], timeout_s: float | None) -> None:
    if not future.done():
        future.set_exception(TimeoutError(f"no datagram came within {timeout_s:g} s"))
