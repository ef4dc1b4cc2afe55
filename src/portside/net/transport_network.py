"""``contracts.Network`` over what every event loop offers by itself: its servers, connections, names and executor.

For loops that know neither ``add_reader`` nor a kernel, as the simulated internet's, and for platforms without epoll.
Nothing here opens a socket: a dual-stack listener is a server for each family where the loop's ``::`` is IPv6 only.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from portside.address import Address, Endpoint, InternetAddress, UnixAddress, from_sockaddr
from portside.contracts import Network
from portside.errors import AddressInUse, AddressNotAvailable, ConnectFailed, NameNotFound, NotPermitted, UsageError
from portside.net.deadline import Deadline
from portside.net.dial import Race, answer_of, known_targets, too_late
from portside.net.failures import translate
from portside.net.loop_network import LoopNetwork, parsed, parsed_to_listen, secure
from portside.net.resolve import NO_ADDRESS, NO_HOST_NAME, order, why_not_found
from portside.net.sockets import NI_NAMEREQD, SOCK_STREAM, Socket, family_of, gaierror, prepare_stream
from portside.net.transport import TransportConnection
from portside.net.transport_listener import TransportListener
from portside.net.turns import Turns

if TYPE_CHECKING:
    import ssl

    from portside.net.transport_datagrams import TransportDatagrams


OF_LOCAL: Final = (AddressInUse, AddressNotAvailable, NotPermitted)


class TransportNetwork(LoopNetwork):
    """The network of any event loop. ``adopt`` and options beyond no delay need one that has sockets.

    A ``local`` port of ``connect`` is the loop's to bind: asyncio's do so without SO_REUSEADDR.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(loop)
        self.turns = Turns(self.loop)

    def new_connection(self, made: Callable[[TransportConnection], None] | None = None) -> TransportConnection:
        """Return a connection that waits for its transport: a protocol factory. ``made`` is called when it has one."""
        return TransportConnection(self.turns, self, made)

    async def adopt(self, sock: Socket) -> TransportConnection:
        """Return the connection over a connected socket, which is the loop's from now on."""
        sock.setblocking(False)
        _, connection = await self.loop.connect_accepted_socket(self.new_connection, sock)
        return connection

    # ── connecting ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def connect(
        self,
        endpoint: Endpoint | str,
        *,
        timeout_s: float | None = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        local: InternetAddress | None = None,
    ) -> TransportConnection:
        endpoint = parsed(endpoint)
        deadline = Deadline(self, timeout_s)
        targets: Sequence[Address] = known_targets(endpoint)
        if not targets:
            try:
                async with asyncio.timeout(timeout_s):
                    targets = await self.resolve(endpoint.host, endpoint.port)
            except TimeoutError:
                silent = (endpoint.host, "the name servers have not answered")
                raise too_late(endpoint, timeout_s, (silent,)) from None
        if local is not None:
            targets = _of_family(targets, endpoint, local)
        connection = await self._first_of(targets, endpoint, deadline, timeout_s, local)
        await secure(connection, endpoint, tls, server_name, deadline)
        return connection

    async def _first_of(
        self,
        targets: Sequence[Address],
        endpoint: Endpoint,
        deadline: Deadline,
        timeout_s: float | None,
        local: InternetAddress | None,
    ) -> TransportConnection:
        """Return the first connection that stands of those tried by RFC 8305; the others are given up."""
        race = Race(targets, self.now_s())
        attempts: dict[asyncio.Task[TransportConnection], Address] = {}
        try:
            while True:
                while (address := race.due(self.now_s())) is not None:
                    attempts[self.loop.create_task(self._attempt(address, endpoint, local))] = address
                if race.lost:
                    raise ConnectFailed(str(endpoint), race.attempts)
                left_s, next_s = deadline.left_s(), race.next_s
                if left_s is not None and left_s <= 0:
                    raise too_late(endpoint, timeout_s, race.attempts)
                wait_s = min(
                    math.inf if left_s is None else left_s,
                    math.inf if next_s is None else max(0.0, next_s - self.now_s()),
                )
                done, _ = await asyncio.wait(
                    attempts, timeout=None if wait_s == math.inf else wait_s, return_when=asyncio.FIRST_COMPLETED
                )
                for attempt in sorted(done, key=list(attempts).index):
                    error = attempt.exception()
                    if error is None:
                        del attempts[attempt]
                        return attempt.result()
                    if not isinstance(error, OSError):
                        raise error
                    race.failed(attempts.pop(attempt), answer_of(error), self.now_s())
        finally:
            for attempt in attempts:
                attempt.cancel()
                attempt.add_done_callback(_give_up)

    async def _attempt(
        self, address: Address, endpoint: Endpoint, local: InternetAddress | None
    ) -> TransportConnection:
        if isinstance(address, UnixAddress):
            path = "\0" + address.path[1:] if address.is_abstract else address.path
            _, connection = await self.loop.create_unix_connection(self.new_connection, path)
            return connection
        try:
            transport, connection = await self.loop.create_connection(
                self.new_connection,
                address.host,
                address.port,
                local_addr=None if local is None else (local.host, local.port),
            )
        except OSError as error:
            # The loop does not say whether it was bind(2) or connect(2) that failed; these are about our own address.
            if local is not None and isinstance(why := translate(error, f"tcp://{local}"), OF_LOCAL):
                raise why from error
            raise
        if connection.local == connection.peer:
            # A free port of this machine's own range can be connected to itself: RFC 9293 figure 7, by accident.
            connection.abort()
            raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")
        options = endpoint.options
        sock = transport.get_extra_info("socket")
        if sock is not None and (options.keepalive_s is not None or not options.nodelay):
            prepare_stream(sock, options)
        return connection

    # ── listening, datagrams ─────────────────────────────────────────────────────────────────────────────────────────

    async def listen(self, endpoint: Endpoint | str) -> TransportListener:
        endpoint = parsed_to_listen(endpoint)
        if not endpoint.is_internet and endpoint.scheme != "unix":
            raise UsageError(f"{endpoint} is a socket of the kernel's, which only other networks listen on")
        listener = TransportListener(self)
        await listener.open(endpoint)
        return listener

    async def open_datagrams(self, endpoint: Endpoint | str, *, connect: bool = False) -> TransportDatagrams:
        from portside.net.datagrams import as_udp
        from portside.net.transport_datagrams import open_transport

        endpoint = as_udp(parsed(endpoint))
        addresses = await self.resolve(endpoint.host, endpoint.port)
        return await open_transport(self, endpoint, addresses, connect=connect)

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def resolve(self, host: str, port: int = 0) -> list[InternetAddress]:
        try:
            answers = await self.loop.getaddrinfo(host, port, type=SOCK_STREAM)
        except gaierror as error:
            raise NameNotFound(host, why_not_found(error)) from error
        except ValueError as error:  # IDNA refuses a label
            raise NameNotFound(host, NO_HOST_NAME) from error
        addresses = dict.fromkeys(from_sockaddr(answer[4]) for answer in answers)
        found = order([address for address in addresses if isinstance(address, InternetAddress)])
        if not found:
            raise NameNotFound(host, NO_ADDRESS)
        return found

    async def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None:
        if not isinstance(address, InternetAddress):
            return None
        try:
            async with asyncio.timeout(timeout_s):
                name, _ = await self.loop.getnameinfo((address.host, address.port), NI_NAMEREQD)
        except (OSError, TimeoutError):
            return None
        return name

    def close(self) -> None:
        self.turns.close()


def _of_family(targets: Sequence[Address], endpoint: Endpoint, local: InternetAddress) -> Sequence[Address]:
    """Return the targets that can be reached from the local address. Raises: ConnectFailed when none can."""
    reachable = [address for address in targets if family_of(address) == family_of(local)]
    if not reachable:
        attempts = tuple((str(address), f"not of the same family as {local.host}") for address in targets)
        raise ConnectFailed(str(endpoint), attempts)
    return reachable


def _give_up(attempt: asyncio.Task[TransportConnection]) -> None:
    """Let go of an attempt that lost the race, though it may have succeeded meanwhile."""
    with contextlib.suppress(asyncio.CancelledError, OSError):
        attempt.result().abort()


def _is_network(network: TransportNetwork) -> Network:
    """Let mypy check that the class keeps the contract."""
    return network
