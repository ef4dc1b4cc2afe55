"""Where data connections may come in, and what address the client is told for that: ports, and NAT in between."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

from portside.address import PORT_MAX, Endpoint, InternetAddress, is_ip_literal, parse_ip
from portside.contracts import Listener, Network
from portside.errors import AddressInUse, LocalError, MalformedAddress, NameNotFound, UsageError

NAME_LASTS_S: Final = 60.0  # how long an advertised name's address is believed before it is looked up again
PORT_TRIES: Final = 100  # of a range whose ports are held by others: beyond that the client hears it

_chance: Final = random.SystemRandom()
_RANGE: Final = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")

IPNetwork: TypeAlias = IPv4Network | IPv6Network


def parse_passive_ports(text: str) -> range:
    """Return the ports in ``50000-50100``, or a single one. Raises: UsageError."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no range of ports: write 50000-50100")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= PORT_MAX:
        raise UsageError(f"{text!r} is no range of ports: they go from 1 to {PORT_MAX}, the smaller first")
    return range(first, last + 1)


# ── what the client is told ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Advertised:
    """What clients of ``network`` (None: all) are told for our address: an address, or a name that has one."""

    host: str
    network: IPNetwork | None = None

    @property
    def is_name(self) -> bool:
        return not is_ip_literal(self.host)


def parse_advertised(text: str) -> Advertised:
    """Return what ``203.0.113.5``, ``ftp.example.org`` or ``10.0.0.0/8=10.0.0.1`` says. Raises: UsageError."""
    network_text, equals, host = text.strip().rpartition("=")
    network = None
    if equals:
        try:
            network = ip_network(network_text.strip())
        except ValueError as error:
            raise UsageError(f"{text!r}: {error}; write NETWORK=ADDRESS, such as 10.0.0.0/8=10.0.0.1") from error
    host = host.strip().strip("[]")
    advertised = Advertised(host, network)
    if not advertised.is_name:
        try:
            parse_ip(host)
        except MalformedAddress as error:
            raise UsageError(str(error)) from error
        if ":" in host:
            raise UsageError(f"{host} is told to nobody: PASV has words for IPv4 alone, and EPSV tells no address")
    elif not _NAME.fullmatch(host):
        raise UsageError(f"{host!r} is neither an address nor a name to advertise")
    return advertised


class Advertisement:
    """Tells each client the address that data connections to us have from where the client is."""

    def __init__(self, known: tuple[Advertised, ...]) -> None:
        # The narrowest network that holds the client decides.
        self._known = sorted(known, key=lambda one: -1 if one.network is None else one.network.prefixlen, reverse=True)
        self._looked_up: dict[str, tuple[float, str | None]] = {}

    async def host_for(self, network: Network, peer: InternetAddress, local: InternetAddress) -> str:
        """Return what to tell ``peer``, who reached us at ``local``: an IPv4 address in dotted form.

        A name that cannot be looked up keeps the address it had, or else ours as it is.
        """
        for advertised in self._known:
            if advertised.network is None or parse_ip(peer.host) in advertised.network:
                return await self._address_of(network, advertised, local)
        return local.host

    async def _address_of(self, network: Network, advertised: Advertised, local: InternetAddress) -> str:
        if not advertised.is_name:
            return advertised.host
        now_s = network.now_s()
        looked_up_s, host = self._looked_up.get(advertised.host, (-NAME_LASTS_S, None))
        if now_s - looked_up_s >= NAME_LASTS_S:
            try:
                found = await network.resolve(advertised.host)
                host = next((address.host for address in found if ":" not in address.host), host)
            except NameNotFound:
                pass
            self._looked_up[advertised.host] = (now_s, host)
        return host or local.host


# ── where data connections come in ───────────────────────────────────────────────────────────────────────────────────


async def listen(network: Network, host: str, ports: range | None) -> Listener:
    """Return a listener on the host, on a port of the range that is free, or on any. Raises: LocalError."""
    if ports is None:
        return await network.listen(Endpoint("tcp", host=host, port=0))
    for port in _by_chance(ports):
        try:
            return await network.listen(Endpoint("tcp", host=host, port=port))
        except AddressInUse:
            continue
    raise LocalError(f"no port from {ports.start} to {ports.stop - 1} is free")


def _by_chance(ports: range) -> Iterator[int]:
    """Yield ports to try, each once. Not in order: others take theirs from the same range, and none must be guessed."""
    first = _chance.randrange(len(ports))
    yield ports[first]  # which is free almost always: no need to draw a hundred
    for place in _chance.sample(range(len(ports) - 1), min(PORT_TRIES, len(ports)) - 1):
        yield ports[place + (place >= first)]
