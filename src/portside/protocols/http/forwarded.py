"""What trusted proxies say of the client behind them: X-Forwarded-For and X-Forwarded-Proto.

Each proxy appends whom it talked to, so the list is read from its end: what a trusted proxy wrote is believed, and the
first address that is not a trusted proxy's is the client. What stands before it may be anybody's invention.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

from portside.address import Address, InternetAddress, parse_ip, parse_port, split_host_port, unmapped
from portside.errors import UsageError

IPNetwork: TypeAlias = IPv4Network | IPv6Network
Client: TypeAlias = tuple[str, int]

EVERYBODY: Final = "*"
UNIX: Final = "unix"  # whoever comes over a unix socket
_REMEMBERED: Final = 1_024


class Proxies:
    """Whose word is believed. ``texts`` are networks, ``unix`` for unix sockets, ``*`` for everybody; commas separate.

    Raises: UsageError.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        words = [word.strip() for text in texts for word in text.split(",") if word.strip()]
        self._trusts_all = EVERYBODY in words
        self._trusts_unix = self._trusts_all or UNIX in words
        self._networks = tuple(_parse_network(word) for word in words if word not in (EVERYBODY, UNIX))
        self._is_trusted_host = functools.lru_cache(_REMEMBERED)(self._is_within)
        self.client_of = functools.lru_cache(_REMEMBERED)(self._find_client)

    def trusts(self, peer: Address) -> bool:
        """Whether the peer of a connection is a proxy to be believed."""
        return self._is_trusted_host(peer.host) if isinstance(peer, InternetAddress) else self._trusts_unix

    def _is_within(self, host: str) -> bool:
        if self._trusts_all:
            return True
        try:
            ip = unmapped(parse_ip(host))
        except UsageError:
            return False
        return any(ip in network for network in self._networks)

    def _find_client(self, forwarded_for: bytes) -> Client | None:
        """Return the client that X-Forwarded-For names, with port 0 where it tells none; None if it names nobody."""
        client = None
        for item in reversed(forwarded_for.decode("latin-1").split(",")):
            hop = _parse_hop(item.strip())
            if hop is None:
                break  # whoever wrote that told us nothing, and nobody before can be believed
            client = hop
            if not self._is_trusted_host(hop[0]):
                break
        return client


def _parse_network(text: str) -> IPNetwork:
    try:
        return ip_network(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a network: write 192.0.2.0/24, 2001:db8::/32, one address or unix"
        ) from error


def _parse_hop(text: str) -> Client | None:
    try:
        host, port = split_host_port(text)
        return str(unmapped(parse_ip(host))), parse_port(port) if port else 0
    except UsageError:
        return None


def forwarded_for(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return all that the request's X-Forwarded-For fields say, in their order."""
    return b",".join([value for name, value in headers if name == b"x-forwarded-for"])


def forwarded_scheme(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the scheme that the last proxy says its client spoke: http or https, None where it does not say so."""
    for name, value in reversed(headers):
        if name == b"x-forwarded-proto":
            scheme = value.rpartition(b",")[2].strip().lower()
            return {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}.get(scheme)
    return None
