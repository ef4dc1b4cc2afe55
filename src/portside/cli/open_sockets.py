"""The open sockets of this machine with their owners: from the kernel, or from psutil where it cannot be asked."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from portside.address import (
    Address,
    InternetAddress,
    UnixAddress,
    parse_ip,
    unmapped,
)
from portside.errors import LocalError, MissingExtra
from portside.net.netlink import ask
from portside.net.owners import Process, processes_by_socket
from portside.net.sockets import interface_names
from portside.wire.netlink import DumpReader, DumpRefused
from portside.wire.sock_diag import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    NETLINK_SOCK_DIAG,
    SOCK_DIAG_BY_FAMILY,
    InetParser,
    OpenSocket,
    build_inet_request,
    build_unix_request,
    parse_unix_sockets,
)

PROTOCOLS: Final = ("tcp", "udp", "unix")
TRIES: Final = 4  # of a dump that the kernel says was interrupted; then what came has to do
_NO_SOCK_DIAG: Final = frozenset({errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Entry:
    """A socket with what is known of its owner."""

    socket: OpenSocket
    user: str | None
    processes: tuple[Process, ...]


def list_sockets(protocols: Collection[str]) -> list[Entry]:
    """Return the sockets of these protocols with their owners: by netlink, or by psutil where there is none.

    Raises: MissingExtra where there is neither.
    """
    try:
        sockets = list(_ask_kernel(protocols))
    except DumpRefused as error:
        if error.code not in _NO_SOCK_DIAG:
            raise
        return _ask_psutil(protocols, error)
    except LocalError as error:
        return _ask_psutil(protocols, error)
    owners = processes_by_socket({found.inode for found in sockets if found.inode})
    return [Entry(found, user_name(found.uid), owners.get(found.inode, ())) for found in sockets]


def _ask_kernel(protocols: Collection[str]) -> Iterator[OpenSocket]:
    interfaces = interface_names()
    for name, number in (("tcp", IPPROTO_TCP), ("udp", IPPROTO_UDP)):
        if name in protocols:
            parser = InetParser(number, interfaces)
            for family in (AF_INET, AF_INET6):
                payloads = dump(lambda sequence, f=family, n=number: build_inet_request(f, n, sequence))  # type: ignore[misc]
                yield from map(parser.parse, payloads)
    if "unix" in protocols:
        yield from parse_unix_sockets(dump(build_unix_request))


def dump(
    build_request: Callable[[int], bytes], asking: Callable[[int, bytes, DumpReader], None] = ask
) -> list[memoryview]:
    """Return the answer to a request built for a sequence number; asked again while it comes interrupted."""
    for sequence in range(1, TRIES + 1):
        reader = DumpReader(SOCK_DIAG_BY_FAMILY, sequence)
        asking(NETLINK_SOCK_DIAG, build_request(sequence), reader)
        if not reader.was_interrupted:
            break
    return reader.payloads


def _ask_psutil(protocols: Collection[str], why: LocalError) -> list[Entry]:
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtra("listing sockets without netlink", "standard") from why
    try:
        found = psutil.net_connections(kind="all")
    except psutil.AccessDenied as error:
        raise LocalError("listing the sockets of all users needs root on this system") from error
    entries = (_from_psutil(connection) for connection in found)
    return [entry for entry in entries if entry.socket.protocol in protocols]


_PSUTIL_STATES: Final = {
    "SYN_RECV": "SYN-RECEIVED",
    "FIN_WAIT1": "FIN-WAIT-1",
    "FIN_WAIT2": "FIN-WAIT-2",
    "CLOSE": "CLOSED",
}
_PSUTIL_KINDS: Final = {1: "stream", 2: "datagram", 5: "seqpacket"}


def _from_psutil(connection: Any) -> Entry:
    """Return psutil's named tuple as ours; it knows neither queues nor inodes, and of owners only the process."""
    kind = _PSUTIL_KINDS.get(int(connection.type), str(connection.type))
    family = connection.family.name
    protocol = "unix" if family == "AF_UNIX" else "tcp" if kind == "stream" else "udp"
    local, peer = (_psutil_address(end, family) for end in (connection.laddr, connection.raddr))
    state = _PSUTIL_STATES.get(connection.status, connection.status.replace("_", "-"))
    if protocol != "tcp":
        state = "CONNECTED" if peer else "UNCONNECTED"
    processes: tuple[Process, ...] = ()
    if connection.pid:
        processes = (Process(connection.pid, _program(connection.pid)),)
    found = OpenSocket(
        protocol=protocol,
        kind=kind,
        family={"AF_INET": "IPv4", "AF_INET6": "IPv6"}.get(family, "unix"),
        state=state,
        local=local or (UnixAddress("") if protocol == "unix" else InternetAddress("0.0.0.0", 0)),
        peer=peer,
        receive_queue=None,
        send_queue=None,
        uid=None,
        inode=0,
    )
    return Entry(found, None, processes)


def _psutil_address(end: Any, family: str) -> Address | None:
    if not end:
        return None
    if family == "AF_UNIX":
        return UnixAddress(str(end))
    return InternetAddress(str(unmapped(parse_ip(end.ip))), end.port)


def _program(pid: int) -> str:
    import psutil

    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return "?"


@lru_cache(maxsize=1_024)
def user_name(uid: int | None) -> str | None:
    """Return the user's name, the number as text if it has none, None for None."""
    if uid is None:
        return None
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)
