"""``contracts.Network`` over blocking sockets: connect, listen, resolve and wait, each in the caller's own thread."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from portside.address import Address, Endpoint, InternetAddress, from_sockaddr, parse_endpoint
from portside.contracts import Network
from portside.errors import ConnectionClosed, NameNotFound, UsageError
from portside.net.blocking_stream import BlockingConnection
from portside.net.closing import ClosedAtBlockEnd
from portside.net.deadline import Deadline
from portside.net.sockets import Bound, accept_nowait, bind, remove_path
from portside.net.work import ThreadWork

if TYPE_CHECKING:
    import ssl
    from concurrent.futures import Executor

    from portside.net.datagrams import BlockingDatagrams

__all__ = ["NETWORK", "BlockingConnection", "BlockingListener", "BlockingNetwork"]

Result = TypeVar("Result")


class BlockingListener(ClosedAtBlockEnd):
    """Waits for connections on the sockets of one endpoint.

    Closing it while another thread waits in ``accept`` leaves its descriptors to that thread: whoever polls one that
    is closed meanwhile may be polling somebody else's that got the number.
    """

    __slots__ = ("_accepting", "_address", "_bounds", "_closed_fd", "_is_closed", "_lock", "_network", "_poll")

    def __init__(self, bounds: list[Bound], network: Network) -> None:
        self._bounds = bounds
        self._network = network
        self._address = bounds[0].address
        self._lock = threading.Lock()
        self._accepting = 0  # threads that are in accept()
        self._is_closed = False
        self._closed_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._closed_fd, select.POLLIN)
        for bound in bounds:
            self._poll.register(bound.socket, select.POLLIN)

    @property
    def address(self) -> Address:
        return self._address

    async def accept(self, timeout_s: float | None = None) -> BlockingConnection:
        with self._lock:
            self._check_open()
            self._accepting += 1
        try:
            return self._accept(Deadline(self._network, timeout_s), timeout_s)
        finally:
            with self._lock:
                self._accepting -= 1
                if self._is_closed and not self._accepting:
                    self._close_sockets()

    def _accept(self, deadline: Deadline, timeout_s: float | None) -> BlockingConnection:
        while True:
            left_s = deadline.left_s()
            ready = {descriptor for descriptor, _ in self._poll.poll(None if left_s is None else left_s * 1_000)}
            self._check_open()
            for bound in self._bounds:
                if bound.socket.fileno() in ready and (accepted := accept_nowait(bound.socket)):
                    sock, peer = accepted
                    return BlockingConnection(sock, network=self._network, peer=from_sockaddr(peer))
            if deadline.left_s() == 0:
                raise TimeoutError(f"nobody connected within {timeout_s:g} s")

    async def close(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for bound in self._bounds:
                remove_path(bound)
            if self._accepting:
                os.eventfd_write(self._closed_fd, 1)
            else:
                self._close_sockets()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ConnectionClosed("the listener is closed")

    def _close_sockets(self) -> None:
        os.close(self._closed_fd)
        for bound in self._bounds:
            bound.socket.close()


class BlockingNetwork:
    """``contracts.Network`` over blocking sockets. It keeps nothing, so one serves all threads: ``NETWORK``."""

    __slots__ = ()

    async def connect(
        self,
        endpoint: Endpoint | str,
        *,
        timeout_s: float | None = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        local: InternetAddress | None = None,
    ) -> BlockingConnection:
        from portside.net.dial import connect_blocking

        endpoint = _parsed(endpoint)
        deadline = Deadline(self, timeout_s)
        connection = BlockingConnection(connect_blocking(endpoint, timeout_s, local=local), network=self)
        if tls is not None or endpoint.scheme == "tls":
            from portside.net.tls import client_context

            try:
                connection.shake_hands(
                    tls if tls is not None else client_context(),
                    server_side=False,
                    server_name=server_name or endpoint.host or None,
                    timeout_s=deadline.left_s(),
                )
            except BaseException:
                connection.abort()
                raise
        return connection

    async def listen(self, endpoint: Endpoint | str) -> BlockingListener:
        endpoint = _parsed(endpoint)
        if endpoint.is_datagram:
            raise UsageError(f"{endpoint} has no connections to listen for: use open_datagrams")
        return BlockingListener(bind(endpoint), self)

    async def open_datagrams(self, endpoint: Endpoint | str, *, connect: bool = False) -> BlockingDatagrams:
        from portside.net.datagrams import BlockingDatagrams, bind_datagrams, connect_datagrams

        endpoint = _parsed(endpoint)
        if connect:
            sock = connect_datagrams(endpoint, await self.resolve(endpoint.host, endpoint.port))
        else:
            sock = bind_datagrams(endpoint)
        return BlockingDatagrams(sock, self)

    async def resolve(self, host: str, port: int = 0) -> list[InternetAddress]:
        from portside.net.resolve import addresses_of

        return addresses_of(host, port)

    async def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None:
        from portside.net.resolve import reverse

        found: list[str | None] = []

        def look_up() -> None:
            with contextlib.suppress(NameNotFound):
                found.append(reverse(address))

        # The system's resolver knows no time limit: what takes longer goes on, unheeded, in its own thread.
        thread = threading.Thread(target=look_up, name="portside-name-of", daemon=True)
        thread.start()
        thread.join(timeout_s)
        return found[0] if found else None

    async def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))  # noqa: ASYNC251  (there is no loop to hold up)

    def now_s(self) -> float:
        return time.monotonic()

    async def run_blocking(
        self, function: Callable[..., Result], *arguments: Any, pool: Executor | None = None
    ) -> Result:
        return function(*arguments) if pool is None else pool.submit(function, *arguments).result()

    def start(self, work: Coroutine[Any, Any, None]) -> ThreadWork:
        return ThreadWork(work)


def _parsed(endpoint: Endpoint | str) -> Endpoint:
    return parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint


NETWORK: Final = BlockingNetwork()
