"""Connecting by RFC 8305, "Happy Eyeballs": every address of a name gets its chance, and a dead one costs 250 ms.

``Race`` decides when which address is tried and knows no socket and no clock; ``connect_blocking`` drives it with
poll(2), ``net.dial_event`` with an event loop's writers. Both return a connected socket that does not block.
"""

from __future__ import annotations

import errno
import math
import select
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final

from portside.address import Address, Endpoint, InternetAddress, UnixAddress
from portside.errors import (
    AddressInUse,
    AddressNotAvailable,
    ConnectFailed,
    ConnectionLost,
    LocalError,
    NotPermitted,
    OutOfDescriptors,
    PortsideError,
    UsageError,
)
from portside.net import resolve
from portside.net.sockets import (
    Socket,
    bind_client,
    connect_nowait,
    family_of,
    local_address,
    open_stream,
    peer_address,
    pending_error,
    prepare_stream,
    translate,
)

ATTEMPT_DELAY_S: Final = 0.25  # Connection Attempt Delay, RFC 8305 section 8: recommended 250 ms
RETRY_S: Final = 0.02  # a unix listener whose backlog is full says EAGAIN at once, and no poll tells when to come again

TAKEN: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})  # of connect(2) from an address of ours

# As a target the unspecified address means this machine: ":9000" is where a server said it listens.
_THIS_MACHINE: Final = {"::": ("::1", "127.0.0.1"), "0.0.0.0": ("127.0.0.1",)}


class Race:
    """The schedule of connection attempts: who may start when, and how everybody came out.

    The next attempt starts ``delay_s`` after the one before it, or at once when any attempt fails. Every method takes
    the time from its caller; times only go forward.
    Source: RFC 8305 section 5.
    """

    __slots__ = ("_answers", "_delay_s", "_next_s", "_order", "_running", "_waiting")

    def __init__(self, addresses: Sequence[Address], now_s: float, delay_s: float = ATTEMPT_DELAY_S) -> None:
        """Begin with the addresses in the order to try them; the first is due now."""
        self._order = tuple(dict.fromkeys(addresses))
        self._waiting = deque(self._order)
        self._running: set[Address] = set()
        self._answers: dict[Address, str] = {}
        self._next_s, self._delay_s = now_s, delay_s

    def due(self, now_s: float) -> Address | None:
        """Return the address to try now, whose attempt counts as running from here on, or None. Ask until None."""
        if not self._waiting or now_s < self._next_s:
            return None
        address = self._waiting.popleft()
        self._running.add(address)
        self._next_s = now_s + self._delay_s
        return address

    def failed(self, address: Address, answer: str, now_s: float) -> None:
        """Note what the attempt at the address got; the next one is due at once."""
        self._running.remove(address)
        self._answers[address] = answer
        self._next_s = now_s

    def postponed(self, address: Address, until_s: float) -> None:
        """Note that the attempt could not begin and must be made again, before all others."""
        self._running.remove(address)
        self._waiting.appendleft(address)
        self._next_s = until_s

    @property
    def next_s(self) -> float | None:
        """When the next attempt is due, None when no address waits."""
        return self._next_s if self._waiting else None

    @property
    def lost(self) -> bool:
        """Whether every address was tried and failed."""
        return not self._waiting and not self._running

    @property
    def attempts(self) -> tuple[tuple[str, str], ...]:
        """Each address that was tried, in order, with what it answered so far."""
        return tuple(
            (str(address), self._answers.get(address, "no answer"))
            for address in self._order
            if address in self._answers or address in self._running
        )


def targets_of(endpoint: Endpoint) -> list[Address]:
    """Return the addresses to try for the endpoint, in order; the look-up of a name may block for seconds.

    Raises: NameNotFound; UsageError for an endpoint that nobody can connect to.
    """
    return known_targets(endpoint) or [*resolve.addresses_of(endpoint.host, endpoint.port)]


def known_targets(endpoint: Endpoint) -> list[Address]:
    """Return the addresses that take no look-up, none when the host is a name."""
    if endpoint.scheme == "unix":
        return [UnixAddress(endpoint.path)]
    if endpoint.scheme not in ("tcp", "tls"):
        raise UsageError(f"{endpoint} is no stream to connect to; tcp, tls and unix endpoints are")
    host = endpoint.host
    if host in _THIS_MACHINE:
        return [InternetAddress(known, endpoint.port) for known in _THIS_MACHINE[host]]
    if ":" in host or host.replace(".", "").isdigit():
        return [InternetAddress(host, endpoint.port)]
    return []


class Attempts:
    """The sockets of a race, whoever waits for them. With ``local`` they come from that address of ours."""

    __slots__ = ("_addresses", "_endpoint", "_local", "race")

    def __init__(self, endpoint: Endpoint, race: Race, local: InternetAddress | None = None) -> None:
        self._endpoint, self.race, self._local = endpoint, race, local
        self._addresses: dict[Socket, Address] = {}

    def begin(self, now_s: float) -> tuple[list[Socket], Socket | None]:
        """Start every attempt that is due. Returns those that now wait to become writable, and the winner if any.

        Raises: what is wrong with ``local``, and OutOfDescriptors, which no other address could mend; ConnectFailed
        when nobody is left.
        """
        waiting: list[Socket] = []
        while (address := self.race.due(now_s)) is not None:
            sock = None
            try:
                self._check_family(address)
                sock = open_stream(address)
                self._addresses[sock] = address
                prepare_stream(sock, self._endpoint.options)
                if self._local is not None:
                    bind_client(sock, self._local)
                if connect_nowait(sock, address):
                    return waiting, self._win(sock)
                waiting.append(sock)
            except BlockingIOError:
                self._drop(sock)
                self.race.postponed(address, now_s + RETRY_S)
            except (OSError, LocalError) as error:
                self._drop(sock)
                if isinstance(error, OutOfDescriptors | AddressInUse | NotPermitted | AddressNotAvailable):
                    raise
                if self._local is not None and isinstance(error, OSError) and error.errno in TAKEN:
                    # A pair of addresses makes one connection, and the one before it is not forgotten yet.
                    raise AddressInUse(f"tcp://{self._local} (for a connection with {address})") from error
                self.race.failed(address, answer_of(error), now_s)
        self._check()
        return waiting, None

    def _check_family(self, address: Address) -> None:
        if self._local is not None and family_of(address) != family_of(self._local):
            raise LocalError(f"not of the same family as {self._local.host}")

    def settle(self, sock: Socket, now_s: float) -> Socket | None:
        """Return the socket if its attempt succeeded; otherwise it is closed. Raises: ConnectFailed as ``begin``."""
        error: Exception | None = pending_error(sock)
        if error is None:
            try:
                # A free port of this machine's own range can be connected to itself: RFC 9293 figure 7, by accident.
                if local_address(sock) != peer_address(sock) or isinstance(self._addresses[sock], UnixAddress):
                    return self._win(sock)
                error = OSError(errno.ECONNREFUSED, "connection refused")
            except ConnectionLost as lost:
                error = lost
        address = self._addresses[sock]
        self._drop(sock)
        self.race.failed(address, answer_of(error), now_s)
        self._check()
        return None

    def close(self) -> None:
        """Close every socket that has not won."""
        for sock in self._addresses:
            sock.close()
        self._addresses.clear()

    def out_of_time(self, timeout_s: float | None) -> TimeoutError:
        """Return the error that says how long was tried, and what came of it."""
        return too_late(self._endpoint, timeout_s, self.race.attempts)

    def _win(self, sock: Socket) -> Socket:
        del self._addresses[sock]
        return sock

    def _drop(self, sock: Socket | None) -> None:
        if sock is not None:
            del self._addresses[sock]
            sock.close()

    def _check(self) -> None:
        if self.race.lost:
            raise ConnectFailed(str(self._endpoint), self.race.attempts)


_WORDS: Final = {
    errno.ETIMEDOUT: "no answer",
    errno.ECONNRESET: "connection reset",
    errno.ENOENT: "there is no such socket",
    errno.EPROTOTYPE: "this is no stream socket",
}


def answer_of(error: Exception) -> str:
    if isinstance(error, OSError):
        return _WORDS.get(error.errno or 0) or str(translate(error))
    return str(error)


def too_late(endpoint: Endpoint, timeout_s: float | None, attempts: tuple[tuple[str, str], ...] = ()) -> TimeoutError:
    said = "; ".join(f"{address}: {answer}" for address, answer in attempts)
    return TimeoutError(f"cannot connect to {endpoint} within {timeout_s:g} s" + (f": {said}" if said else ""))


# ── with poll ────────────────────────────────────────────────────────────────────────────────────────────────────────


def connect_blocking(
    endpoint: Endpoint,
    timeout_s: float | None = None,
    *,
    addresses: Sequence[Address] | None = None,
    delay_s: float = ATTEMPT_DELAY_S,
    local: InternetAddress | None = None,
) -> Socket:
    """Return a connected socket that does not block, or wait no longer than ``timeout_s`` in all, look-up included.

    ``addresses`` are tried in the place of those that the endpoint's name has. ``local`` is the address to come from,
    and only addresses of its family are tried. Without a timeout the kernel's own patience counts, about two minutes
    per address.
    Raises: TimeoutError; NameNotFound; ConnectFailed with every attempt; OutOfDescriptors; UsageError; AddressInUse,
            NotPermitted and AddressNotAvailable for ``local``.
    """
    deadline_s = math.inf if timeout_s is None else monotonic() + timeout_s
    if addresses is None:
        addresses = _targets_within(endpoint, timeout_s)
    attempts = Attempts(endpoint, Race(addresses, monotonic(), delay_s), local)
    writable, by_descriptor = select.poll(), {}
    try:
        while True:
            now_s = monotonic()
            if now_s >= deadline_s:
                raise attempts.out_of_time(timeout_s)
            waiting, winner = attempts.begin(now_s)
            if winner is not None:
                return winner
            for sock in waiting:
                writable.register(sock, select.POLLOUT)
                by_descriptor[sock.fileno()] = sock
            next_s = attempts.race.next_s
            until_s = min(deadline_s, math.inf if next_s is None else next_s)
            patience_ms = None if until_s == math.inf else max(0, math.ceil((until_s - now_s) * 1_000))
            for descriptor, _ in writable.poll(patience_ms):
                writable.unregister(descriptor)
                winner = attempts.settle(by_descriptor.pop(descriptor), monotonic())
                if winner is not None:
                    return winner
    finally:
        attempts.close()


def _targets_within(endpoint: Endpoint, timeout_s: float | None) -> Sequence[Address]:
    known = known_targets(endpoint)
    if known or timeout_s is None:
        return known or targets_of(endpoint)
    # getaddrinfo cannot be told how long it may take: it is left behind in its thread when the time is over.
    found: list[Sequence[Address] | PortsideError] = []

    def look_up() -> None:
        try:
            found.append(targets_of(endpoint))
        except PortsideError as error:
            found.append(error)

    thread = threading.Thread(target=look_up, name=f"look up {endpoint.host}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not found:
        raise too_late(endpoint, timeout_s, ((endpoint.host, "the name servers have not answered"),))
    if isinstance(found[0], PortsideError):
        raise found[0]
    return found[0]
