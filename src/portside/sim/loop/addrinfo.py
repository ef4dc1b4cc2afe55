"""``getaddrinfo`` and ``getnameinfo`` of a host, shaped and ordered as the C library's: RFC 3493 section 6."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final, TypeAlias

from portside.errors import MalformedAddress
from portside.sim.addresses import MAPPED, is_v4, to_int, to_text
from portside.sim.here import Machine
from portside.sim.seams import End

SockAddr: TypeAlias = Any  # ("10.0.0.1", 80), or ("2001:db8::1", 80, 0, 0)
Info: TypeAlias = tuple[int, int, int, str, SockAddr]

# Services that are asked for by name: IANA's registry, a part of what /etc/services has.
SERVICES: Final = {
    "echo": 7, "discard": 9, "daytime": 13, "chargen": 19, "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23,
    "smtp": 25, "time": 37, "domain": 53, "http": 80, "pop3": 110, "ntp": 123, "imap2": 143, "https": 443,
    "submission": 587, "ftps": 990, "imaps": 993, "pop3s": 995, "postgresql": 5432, "redis": 6379,
}  # fmt: skip
_NAMES: Final = {number: name for name, number in SERVICES.items()}
_KINDS: Final = (
    (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    (socket.SOCK_RAW, socket.IPPROTO_IP),
)


def gai_error(number: int) -> socket.gaierror:
    """Return the error that the C library would give."""
    words = {
        socket.EAI_NONAME: "Name or service not known",
        socket.EAI_AGAIN: "Temporary failure in name resolution",
        socket.EAI_FAIL: "Non-recoverable failure in name resolution",
        socket.EAI_SERVICE: "Servname not supported for ai_socktype",
        socket.EAI_FAMILY: "ai_family not supported",
        socket.EAI_ADDRFAMILY: "Address family for hostname not supported",
    }
    return socket.gaierror(number, words.get(number, "error in name resolution"))


def sockaddr(end: End, family: int | None = None) -> SockAddr:
    """Return an end as programs see it; in a socket of AF_INET6 an IPv4 address is a mapped one."""
    address, port = end
    if family is None:
        family = socket.AF_INET if is_v4(address) else socket.AF_INET6
    if family == socket.AF_INET6:
        text = f"::ffff:{to_text(address)}" if is_v4(address) else to_text(address)
        return (text, port, 0, 0)
    return ("0.0.0.0" if address == 0 else to_text(address), port)


def end_of(address: SockAddr, family: int | None = None) -> End:
    """Return the end that a program means, whose address must be a numeric one. Raises: socket.gaierror."""
    host, port = address[0], address[1]
    if host in {"", "0.0.0.0"} and family != socket.AF_INET6:
        return (MAPPED, int(port))
    if host in {"", "::"}:
        return (0, int(port))
    if host == "<broadcast>":
        host = "255.255.255.255"
    try:
        return (to_int(host.partition("%")[0]), int(port))
    except MalformedAddress:
        raise gai_error(socket.EAI_NONAME) from None


def service_port(port: Any, flags: int = 0) -> int:
    """Return the number of a port that may be asked for by name. Raises: socket.gaierror."""
    if port is None:
        return 0
    if isinstance(port, bytes):
        port = port.decode()
    if isinstance(port, int) or port.isdigit():
        return int(port)
    if port not in SERVICES or flags & socket.AI_NUMERICSERV:
        raise gai_error(socket.EAI_SERVICE)
    return SERVICES[port]


def service_of(port: int, flags: int) -> str:
    """Return the name of a port, or its number where it has none or none is wanted."""
    return str(port) if flags & socket.NI_NUMERICSERV else _NAMES.get(port, str(port))


def numeric(host: Any, family: int, flags: int) -> list[int] | None:
    """Return the addresses that need no looking up, None for a name. Raises: socket.gaierror."""
    if host in {None, ""}:
        both = [0, MAPPED] if flags & socket.AI_PASSIVE else [1, MAPPED | 0x7F00_0001]
        return _of_family(both[::-1] if flags & socket.AI_PASSIVE else both, family)
    if host == "localhost":
        return _of_family([1, MAPPED | 0x7F00_0001], family)
    try:
        found = _of_family([to_int(host.partition("%")[0])], family)
    except MalformedAddress:
        if flags & socket.AI_NUMERICHOST:
            raise gai_error(socket.EAI_NONAME) from None
        return None
    if not found:
        raise gai_error(socket.EAI_ADDRFAMILY)
    return found


def _of_family(addresses: list[int], family: int) -> list[int]:
    if family == socket.AF_UNSPEC:
        return addresses
    return [address for address in addresses if is_v4(address) == (family == socket.AF_INET)]


def infos(addresses: list[int], port: int, kind: int, proto: int, name: str = "") -> list[Info]:
    """Return addresses as ``getaddrinfo`` does: each with every kind of socket that was not ruled out."""
    found: list[Info] = []
    for address in addresses:
        family = socket.AF_INET if is_v4(address) else socket.AF_INET6
        for one_kind, one_proto in _KINDS:
            if kind in {0, one_kind} and (proto in {0, one_proto} or one_proto == socket.IPPROTO_IP):
                chosen = socket.SocketKind(one_kind)
                found.append(
                    (socket.AddressFamily(family), chosen, proto or one_proto, name, sockaddr((address, port)))
                )
                name = ""
    return found


async def look_up(  # noqa: PLR0917 -- as socket.getaddrinfo has them
    machine: Machine, host: Any, port: Any, family: int = 0, kind: int = 0, proto: int = 0, flags: int = 0
) -> list[Info]:
    """Find the addresses of a name, with its numeric port: ``loop.getaddrinfo``. Raises: socket.gaierror."""
    number = service_port(port, flags)
    if isinstance(host, bytes):
        host = host.decode("idna")
    addresses = numeric(host, family, flags)
    if addresses is None:
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        machine.names.look_up(host, family, lambda answer: _settle(future, answer))
        addresses = await future
    name = host if flags & socket.AI_CANONNAME and host else ""
    return infos(addresses, number, kind, proto, name)


async def name_of(machine: Machine, address: SockAddr, flags: int = 0) -> tuple[str, str]:
    """Find the names of an address and a port: ``loop.getnameinfo``. Raises: socket.gaierror."""
    host, port = address[0], address[1]
    service = service_of(port, flags)
    if flags & socket.NI_NUMERICHOST:
        return host, service
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    machine.names.reverse(end_of(address)[0], lambda answer: _settle(future, answer))
    try:
        return await future, service
    except OSError:
        if flags & socket.NI_NAMEREQD:
            raise
        return host, service


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, OSError):
        future.set_exception(answer)
    else:
        future.set_result(answer)
