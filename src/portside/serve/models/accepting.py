"""What the blocking models share: waiting for whoever comes, the gate, and a connection's way to its handler."""

from __future__ import annotations

import logging
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from portside.address import Address, Endpoint, from_sockaddr
from portside.errors import LocalError, OutOfDescriptors, PortsideError
from portside.net.blocking import NETWORK, BlockingConnection
from portside.net.datagrams import Mailbox
from portside.net.proxy_protocol import take_header, take_header_nowait
from portside.net.sockets import Bound, Socket, accept_nowait
from portside.serve.service import HANDSHAKE_S, PROXY_HEADER_S, Service
from portside.serve.worker import Worker

log = logging.getLogger("portside")

# One of the waiters is woken for each event, not all of them (epoll_ctl(2), since Linux 4.5).
EXCLUSIVELY: Final = select.EPOLLIN | getattr(select, "EPOLLEXCLUSIVE", 0)


@dataclass(frozen=True, slots=True)
class Visit:
    """A connection that has passed the gate: its place is taken and must be given back."""

    socket: Socket
    peer: Address
    endpoint: Endpoint


@dataclass(slots=True)
class _Waiting:
    """A connection from a trusted proxy whose header has not come yet."""

    socket: Socket
    proxy: Address
    endpoint: Endpoint
    deadline_s: float
    taken: bytearray = field(default_factory=bytearray)


class Acceptor:
    """Waits on the sockets of a worker, for one thread.

    Iterating gives a Visit for each connection that passed the gate, and the Mailbox of each UDP socket that has
    messages; it ends when the worker shall stop. Other descriptors can be ``watched`` too; they are given as they are,
    and after each ``patience_s`` without anything else comes a None.

    With ``one_at_a_time`` whoever iterates is with one connection until it ends: then a proxy's header is waited for
    on the spot, so that no connection waits here while other processes are free. Without it, headers are waited for
    beside everything else.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        one_at_a_time: bool,
        watched: Sequence[int] = (),
        patience_s: Callable[[], float] | None = None,
    ) -> None:
        self._worker = worker
        self._service = worker.service
        self._one_at_a_time = one_at_a_time
        self._watched = frozenset(watched)
        self._patience = patience_s
        self._listens = True
        self._waiting: dict[int, _Waiting] = {}
        service = self._service
        self._mailboxes = {
            bound.socket.fileno(): Mailbox(bound.socket, service.answer_guard)
            for bound in worker.bounds
            if bound.endpoint.is_datagram
        }
        self._bounds = {bound.socket.fileno(): bound for bound in worker.bounds if not bound.endpoint.is_datagram}
        self._epoll = select.epoll()
        self._epoll.register(worker.stop_fd, select.EPOLLIN)
        for descriptor in self._watched:
            self._epoll.register(descriptor, select.EPOLLIN)
        for descriptor in (*self._mailboxes, *self._bounds):
            self._epoll.register(descriptor, EXCLUSIVELY)

    def close(self) -> None:
        """Stop watching, and drop those whose header has not come. The sockets stay open."""
        for one in list(self._waiting.values()):
            self._forget(one)
            one.socket.close()
        self._epoll.close()

    def let_go_in_child(self) -> None:
        """In a forked child: the descriptors only; the epoll is the worker's, and unregistering would reach it."""
        self._epoll.close()
        for one in self._waiting.values():
            one.socket.close()

    def __iter__(self) -> Iterator[Visit | Mailbox | int | None]:
        while self._goes_on():
            ready = self._epoll.poll(self._patience_s())
            if not ready and self._patience is not None:
                yield None
            for descriptor, _ in ready:
                if descriptor in self._watched:
                    yield descriptor
                elif (one := self._waiting.get(descriptor)) is not None:
                    if (visit := self._listen_to(one)) is not None:
                        yield visit
                elif self._worker.is_draining:
                    continue
                elif (bound := self._bounds.get(descriptor)) is not None:
                    # Also in the turn in which a newer worker takes over: of all who wait we are the one that was woken
                    # for this connection, and nobody else will be.
                    if (visit := self._accept(bound)) is not None:
                        yield visit
                elif (mailbox := self._mailboxes.get(descriptor)) is not None:
                    yield mailbox
            if self._waiting:
                self._drop_the_silent()

    def _goes_on(self) -> bool:
        """Whether there is anybody to wait for: in a reload those whose header has not come are still served."""
        if not self._worker.stopping.is_set():
            return True
        if self._listens:
            self._listens = False
            for descriptor in (self._worker.stop_fd, *self._bounds, *self._mailboxes):
                with suppress(OSError):  # closed by another thread, and so taken out already
                    self._epoll.unregister(descriptor)
        return bool(self._waiting) and not self._worker.is_draining

    def _patience_s(self) -> float:
        patience_s = -1.0 if self._patience is None else self._patience()
        if not self._waiting:
            return patience_s
        header_s = max(0.0, min(one.deadline_s for one in self._waiting.values()) - monotonic())
        return header_s if patience_s < 0 else min(header_s, patience_s)

    # ── accepting ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _accept(self, bound: Bound) -> Visit | None:
        try:
            accepted = accept_nowait(bound.socket)
        except OutOfDescriptors as error:
            if not self._service.shed(bound, error):
                self._pause()
            return None
        except LocalError:
            if not self._worker.stopping.is_set():  # another thread may have closed it to stop
                log.exception("%s: accepting on %s failed", self._service.name, bound.endpoint)
                self._pause()
            return None
        if accepted is None:
            return None
        sock, sockaddr = accepted
        peer = from_sockaddr(sockaddr)
        if not self._service.is_proxy(peer):
            return self._admit(sock, peer, bound.endpoint)
        return self._await_header(_Waiting(sock, peer, bound.endpoint, monotonic() + PROXY_HEADER_S))

    def _admit(self, sock: Socket, peer: Address, endpoint: Endpoint) -> Visit | None:
        limit = self._service.admit(peer)
        if limit is None:
            return Visit(sock, peer, endpoint)
        self._service.turn_away(sock, endpoint, limit)
        return None

    def _pause(self) -> None:
        """Nothing can be accepted right now: wait a little, but not past a stop."""
        stop = select.poll()
        stop.register(self._worker.stop_fd, select.POLLIN)
        stop.poll(100)

    # ── PROXY headers ────────────────────────────────────────────────────────────────────────────────────────────────

    def _await_header(self, one: _Waiting) -> Visit | None:
        if self._one_at_a_time:
            try:
                header = take_header(one.socket, PROXY_HEADER_S)
            except (PortsideError, TimeoutError) as error:
                self._drop(one, error)
                return None
            return self._admit(one.socket, header.source or one.proxy, one.endpoint)
        if len(self._waiting) >= self._service.settings.limits.connections:
            self._service.refuse(one.proxy, "connections")
            self._service.turn_away(one.socket, one.endpoint, "connections")
            return None
        visit = self._listen_to(one)
        if visit is None and not one.socket.fileno() < 0:
            self._waiting[one.socket.fileno()] = one
            self._service.begin_work()
            self._epoll.register(one.socket.fileno(), select.EPOLLIN)
        return visit

    def _listen_to(self, one: _Waiting) -> Visit | None:
        try:
            header = take_header_nowait(one.socket, one.taken)
        except PortsideError as error:  # the way there too may fail: no route to the host
            self._forget(one)
            self._drop(one, error)
            return None
        if header is None:
            return None
        self._forget(one)
        return self._admit(one.socket, header.source or one.proxy, one.endpoint)

    def _drop_the_silent(self) -> None:
        now_s = monotonic()
        for one in [one for one in self._waiting.values() if one.deadline_s <= now_s]:
            self._forget(one)
            self._drop(one, TimeoutError(f"no whole PROXY header within {PROXY_HEADER_S:g} s"))

    def _forget(self, one: _Waiting) -> None:
        if self._waiting.pop(one.socket.fileno(), None) is not None:
            self._epoll.unregister(one.socket.fileno())
            self._service.end_work()

    def _drop(self, one: _Waiting, error: Exception) -> None:
        log.debug("%s: closed the connection of %s: %s", self._service.name, one.proxy, error)
        self._service.refuse(one.proxy, "proxy")
        one.socket.close()


# ── a connection's way to its handler ────────────────────────────────────────────────────────────────────────────────


def serve_visit(service: Service, visit: Visit) -> None:
    """Take an admitted connection from its handshake to its end. Raises nothing."""
    connection = connect_visit(service, visit)
    if connection is not None:
        service.converse_blocking(connection)


def connect_visit(service: Service, visit: Visit) -> BlockingConnection | None:
    """Return an admitted connection that is ready for its handler; None if it did not come to that."""
    try:
        connection = BlockingConnection(visit.socket, network=NETWORK, peer=visit.peer)
    except OSError:  # gone already, or no memory: there is nothing to close towards
        visit.socket.close()
        service.release(visit.peer)
        return None
    if not service.is_tls(visit.endpoint):
        return connection
    assert service.tls is not None
    try:
        connection.shake_hands(service.tls.context, timeout_s=HANDSHAKE_S)
    except Exception as error:  # whatever it was, the place must be given back
        connection.abort()
        service.failed_handshake(connection, error)
        return None
    return connection
