"""Names to addresses and back, as the system's resolver gives them: every function here may block for seconds.

Callers under an event loop move them to a thread. The system's resolver is the right one to ask even where a DNS
library is at hand: it knows /etc/hosts, mDNS and what else the operator configured (nsswitch.conf(5)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Literal, TypeAlias

from portside.address import Address, InternetAddress, from_sockaddr
from portside.errors import NameNotFound, NetworkError
from portside.net import sockets

Family: TypeAlias = Literal["ipv4", "ipv6"]
Kind: TypeAlias = Literal["stream", "datagram", "raw"]

_FAMILIES: Final[dict[Family, int]] = {"ipv4": sockets.AF_INET, "ipv6": sockets.AF_INET6}
_KINDS: Final[dict[Kind, int]] = {
    "stream": sockets.SOCK_STREAM,
    "datagram": sockets.SOCK_DGRAM,
    "raw": sockets.SOCK_RAW,
}
_FAMILY_NAMES: Final = {number: name for name, number in _FAMILIES.items()}
_KIND_NAMES: Final = {number: name for name, number in _KINDS.items()}
_PROTOCOL_NAMES: Final = {0: "ip", sockets.IPPROTO_TCP: "tcp", sockets.IPPROTO_UDP: "udp"}

NO_ADDRESS: Final = "the name exists, but has no address"
NO_HOST_NAME: Final = "this is no host name"
_WHY: Final = {
    sockets.EAI_NONAME: "there is no such name",
    sockets.EAI_NODATA: NO_ADDRESS,
    sockets.EAI_ADDRFAMILY: "the name exists, but has no address of this family",
    sockets.EAI_AGAIN: "the name servers do not answer, it may work later",
    sockets.EAI_FAIL: "the name servers refuse or fail",
    sockets.EAI_SERVICE: "there is no such service",
}


@dataclass(frozen=True, slots=True)
class Resolution:
    """One answer of the resolver: an address and what kind of socket reaches it.

    ``canonical_name`` is where aliases led, and is the same for all answers of one question.
    """

    address: InternetAddress
    family: Family
    kind: Kind
    protocol: str
    canonical_name: str | None = None


def resolve(
    host: str,
    port: int | str = 0,
    *,
    family: Family | None = None,
    kind: Kind | None = None,
    canonical_name: bool = False,
    passive: bool = False,
    numeric: bool = False,
) -> list[Resolution]:
    """Return every answer for the host, in the order in which the system would have a program try them (RFC 6724).

    ``port`` may be a service's name. ``family`` and ``kind`` narrow the question; without a kind each address comes
    once per kind of socket. ``passive`` asks for addresses to bind, where ``""`` is every address of this machine;
    ``numeric`` refuses names.
    Raises: NameNotFound with the reason.
    """
    if "\0" in host:  # the C library would look up what stands before it
        raise NameNotFound(host, NO_HOST_NAME)
    flags = (
        (sockets.AI_CANONNAME if canonical_name else 0)
        | (sockets.AI_PASSIVE if passive else 0)
        | (sockets.AI_NUMERICHOST if numeric else 0)
    )
    try:
        answers = sockets.getaddrinfo(
            host if host or not passive else None,
            port,
            family=_FAMILIES[family] if family else 0,
            type=_KINDS[kind] if kind else 0,
            flags=flags,
        )
    except sockets.gaierror as error:
        name = str(port) if error.errno == sockets.EAI_SERVICE else host
        raise NameNotFound(name, why_not_found(error)) from error
    except ValueError as error:  # IDNA refuses a label
        raise NameNotFound(host, NO_HOST_NAME) from error
    canonical = next((answer[3] for answer in answers if answer[3]), None)
    found = []
    for family_number, kind_number, protocol, _, sockaddr in answers:
        address = from_sockaddr(sockaddr)
        if family_number in _FAMILY_NAMES and kind_number in _KIND_NAMES and isinstance(address, InternetAddress):
            names = _FAMILY_NAMES[family_number], _KIND_NAMES[kind_number], _PROTOCOL_NAMES.get(protocol, str(protocol))
            found.append(Resolution(address, *names, canonical))
    return found


def why_not_found(error: OSError) -> str:
    """Return the reason that an error of the resolver's gives, in words."""
    return _WHY.get(error.errno or 0) or error.strerror or str(error)


def addresses_of(host: str, port: int = 0) -> list[InternetAddress]:
    """Return the host's addresses in the order to try them: the system's, with the families interleaved.

    Raises: NameNotFound.
    """
    answers = resolve(host, port, kind="stream")
    if not answers:
        raise NameNotFound(host, NO_ADDRESS)
    return order(list(dict.fromkeys(answer.address for answer in answers)))


def order(addresses: Sequence[InternetAddress]) -> list[InternetAddress]:
    """Return the addresses with the families taking turns, beginning with the family of the first.

    So one family that does not work at all costs one attempt, not all of its own.
    Source: RFC 8305 section 4, with a First Address Family Count of 1.
    """
    if not addresses:
        return []
    first_is_6 = ":" in addresses[0].host
    preferred = [address for address in addresses if (":" in address.host) == first_is_6]
    others = [address for address in addresses if (":" in address.host) != first_is_6]
    return [address for turn in zip_longest(preferred, others) for address in turn if address is not None]


def reverse(address: Address) -> str:
    """Return the host name registered for the address (PTR, or /etc/hosts).

    The name is what the owner of the *address* claims; only a look-up of the name that leads back proves it.
    Raises: NameNotFound with the reason.
    """
    if not isinstance(address, InternetAddress):
        raise NameNotFound(str(address), "a unix socket has no host name")
    try:
        name, _ = sockets.getnameinfo(_numeric(address), sockets.NI_NAMEREQD)
    except sockets.gaierror as error:
        why = "no name is registered for it" if error.errno == sockets.EAI_NONAME else why_not_found(error)
        raise NameNotFound(address.host, why) from error
    return name


def _numeric(address: InternetAddress) -> tuple[str, int] | tuple[str, int, int, int]:
    sockaddr = sockets.sockaddr_of(address)
    assert isinstance(sockaddr, tuple)  # only unix addresses are not
    return sockaddr


def name_of(address: Address) -> str | None:
    """Return the host name registered for the address, or None where there is none or the resolver cannot say."""
    try:
        return reverse(address)
    except NetworkError:
        return None


def port_of(service: str, protocol: str = "tcp") -> int:
    """Return the port of a service by its name in services(5). Raises: NameNotFound."""
    try:
        return sockets.getservbyname(service, protocol)
    except (OSError, ValueError) as error:
        raise NameNotFound(f"{service}/{protocol}", _WHY[sockets.EAI_SERVICE]) from error


def service_of(port: int, protocol: str = "tcp") -> str | None:
    """Return the name that services(5) gives the port, or None."""
    try:
        return sockets.getservbyport(port, protocol)
    except (OSError, OverflowError):
        return None
