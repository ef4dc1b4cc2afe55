"""The gate of a service: who may come in, decided from addresses and counts before anything is read from a peer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import monotonic
from typing import Final

from portside.address import Address, InternetAddress, parse_ip, unmapped
from portside.errors import MalformedAddress
from portside.events import Limit
from portside.serve.ledger import Host, Ledger
from portside.serve.settings import IPNetwork, Limits

REMEMBERED_HOSTS: Final = 4_096  # verdicts of the allow and deny lists; parsing an address costs microseconds

PLAIN_REASONS: Final[dict[Limit, str]] = {
    "connections": "too many connections",
    "per_ip": "too many connections from your address",
    "accept_rate": "too many connections per second",
    "datagrams": "too many datagrams",
    "denied": "your address is not welcome here",
    "amplification": "the answer would be longer than the question",
    "proxy": "a PROXY header was expected",
}
"""What a peer is told in its protocol's words, where there are any."""


class Gate:
    """Lists first, then places, then the rate: a peer that is turned away for itself uses up nobody else's share.

    A peer on a unix socket has no address: the lists and the limit per address do not concern it.
    """

    def __init__(
        self,
        limits: Limits,
        ledger: Ledger,
        *,
        allow: tuple[IPNetwork, ...] = (),
        deny: tuple[IPNetwork, ...] = (),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.limits = limits
        self.ledger = ledger
        self._clock = clock
        self._has_lists = bool(allow or deny)
        self._is_welcome = functools.lru_cache(REMEMBERED_HOSTS)(functools.partial(is_welcome, allow=allow, deny=deny))

    def admit(self, peer: Address) -> Limit | None:
        """Take a place for the peer and return None, or return the limit that stands against it."""
        host = host_of(peer)
        if self._has_lists and host and not self._is_welcome(host):
            return "denied"
        limits = self.limits
        return self.ledger.take(
            host,
            self._clock(),
            connections=limits.connections,
            per_ip=limits.per_ip,
            accept_rate=limits.accept_rate,
        )

    def release(self, peer: Address) -> None:
        """Give back the place that ``admit`` gave."""
        self.ledger.give_back(host_of(peer))

    def admit_datagram(self, peer: Address) -> Limit | None:
        """Return the limit that stands against one more datagram of the peer's host, or None."""
        host = host_of(peer)
        if self._has_lists and host and not self._is_welcome(host):
            return "denied"
        if not self.ledger.take_datagram(host, self._clock(), per_s=self.limits.datagrams_per_s):
            return "datagrams"
        return None


def host_of(peer: Address) -> Host:
    return peer.host if isinstance(peer, InternetAddress) else ""


def is_welcome(host: Host, *, allow: tuple[IPNetwork, ...], deny: tuple[IPNetwork, ...]) -> bool:
    """Return whether the lists let the host in: deny wins, and a list of whom to allow shuts out everybody else."""
    if is_within(host, deny):
        return False
    return not allow or is_within(host, allow)


def is_within(host: Host, networks: tuple[IPNetwork, ...]) -> bool:
    """Return whether the host's address lies in one of the networks; an IPv4-mapped address counts as IPv4."""
    try:
        ip = unmapped(parse_ip(host))
    except MalformedAddress:
        return False
    return any(ip.version == network.version and ip in network for network in networks)
