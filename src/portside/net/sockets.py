"""Every socket starts here: binding, listening, accepting, addresses, and what the kernel's errors mean.

The only module that imports ``socket``; the other rooms take ``Socket`` and the few constants they need from here.
Sources: socket(7), tcp(7), ip(7), ipv6(7), unix(7), sd_listen_fds(3).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import stat
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    AI_ADDRCONFIG,
    AI_CANONNAME,
    AI_NUMERICHOST,
    AI_NUMERICSERV,
    AI_PASSIVE,
    AI_V4MAPPED,
    EAI_ADDRFAMILY,
    EAI_AGAIN,
    EAI_FAIL,
    EAI_NODATA,
    EAI_NONAME,
    EAI_SERVICE,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_PKTINFO,
    IPV6_V6ONLY,
    MSG_DONTWAIT,
    MSG_PEEK,
    MSG_TRUNC,
    NI_DGRAM,
    NI_NAMEREQD,
    NI_NUMERICHOST,
    NI_NUMERICSERV,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    gaierror,
    getaddrinfo,
    gethostname,
    getnameinfo,
    getservbyname,
    getservbyport,
    herror,
    socketpair,
)
from typing import Final, TypeAlias

from portside.address import (
    ANY_HOST,
    Address,
    Endpoint,
    InternetAddress,
    SocketOptions,
    UnixAddress,
    from_sockaddr,
    is_ip_literal,
)
from portside.errors import (
    AddressInUse,
    AddressNotAvailable,
    LocalError,
    NameNotFound,
    NotPermitted,
    PortsideError,
)
from portside.net.any_port import any_port
from portside.net.failures import DENIED, NO_SUCH_ADDRESS, translate

__all__ = [
    "AF_INET",
    "AF_INET6",
    "AF_UNIX",
    "AI_ADDRCONFIG",
    "AI_CANONNAME",
    "AI_NUMERICHOST",
    "AI_NUMERICSERV",
    "AI_PASSIVE",
    "AI_V4MAPPED",
    "EAI_ADDRFAMILY",
    "EAI_AGAIN",
    "EAI_FAIL",
    "EAI_NODATA",
    "EAI_NONAME",
    "EAI_SERVICE",
    "IPPROTO_IP",
    "IPPROTO_IPV6",
    "IPPROTO_TCP",
    "IPPROTO_UDP",
    "IPV6_PKTINFO",
    "IPV6_V6ONLY",
    "IP_PKTINFO",
    "MSG_DONTWAIT",
    "MSG_PEEK",
    "MSG_TRUNC",
    "NI_DGRAM",
    "NI_NAMEREQD",
    "NI_NUMERICHOST",
    "NI_NUMERICSERV",
    "SHUT_RD",
    "SHUT_RDWR",
    "SHUT_WR",
    "SOCK_DGRAM",
    "SOCK_RAW",
    "SOCK_SEQPACKET",
    "SOCK_STREAM",
    "Bound",
    "Socket",
    "accept_nowait",
    "bind",
    "bind_client",
    "connect_nowait",
    "family_of",
    "gaierror",
    "getaddrinfo",
    "gethostname",
    "getnameinfo",
    "getservbyname",
    "getservbyport",
    "give_to",
    "herror",
    "interface_index",
    "interface_names",
    "listen_at",
    "local_address",
    "open_datagram",
    "open_netlink",
    "open_packets",
    "open_slot",
    "open_stream",
    "peer_address",
    "peer_has_hung_up",
    "pending_error",
    "prepare_datagrams",
    "prepare_stream",
    "remove_path",
    "sockaddr_of",
    "socketpair",
    "translate",
    "unacknowledged_bytes",
]

Socket: TypeAlias = socket.socket

PORT_TRIES: Final = 16  # of finding one free port for all addresses of a name, or past a listen() that lost a race
_TRIES: Final = range(PORT_TRIES - 1, -1, -1)  # how many are left behind each

# socket.family without its enum member, which costs as much as a system call.
_family_number: Final[Callable[[Socket], int]] = vars(socket.socket.__mro__[1])["family"].__get__
_INTERNET_FAMILIES: Final = (int(AF_INET), int(AF_INET6))

# Not in the socket module of Python 3.11; from linux/in.h. With it set, recvmsg tells which address was asked.
IP_PKTINFO: Final = 8


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that is bound, and listening if it is a stream.

    ``endpoint`` is as it came to be: with the real port, and tcp, tls, udp or unix for its scheme. The socket is
    non-blocking and goes to children by fork only (CLOEXEC). ``made_file`` identifies a unix path that we made.
    """

    endpoint: Endpoint
    socket: Socket
    made_file: tuple[int, int] | None = None  # device and inode

    @property
    def address(self) -> Address:
        endpoint = self.endpoint
        return InternetAddress(endpoint.host, endpoint.port) if endpoint.is_internet else local_address(self.socket)


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def local_address(sock: Socket) -> Address:
    """Return where the socket is bound, an IPv4-mapped address as IPv4."""
    return from_sockaddr(sock.getsockname())


def peer_address(sock: Socket) -> Address:
    """Return what the socket is connected to. Raises: ConnectionLost when the peer is gone already."""
    try:
        return from_sockaddr(sock.getpeername())
    except OSError as error:
        raise translate(error) from error


def family_of(address: Address) -> int:
    """Return the address family a socket for this address needs."""
    if isinstance(address, UnixAddress):
        return AF_UNIX
    return AF_INET6 if ":" in address.host else AF_INET


def sockaddr_of(
    address: Address, family: int | None = None
) -> tuple[str, int] | tuple[str, int, int, int] | str | bytes:
    """Return the address as the calls of the socket module take it.

    With ``family`` AF_INET6 an IPv4 address is mapped, for a dual-stack socket (RFC 4291 section 2.5.5.2).
    """
    if isinstance(address, UnixAddress):
        if address.is_abstract:
            return b"\0" + address.path[1:].encode("utf-8", "surrogateescape")
        return address.path
    host, _, zone = address.host.partition("%")
    if ":" in host:
        # Python takes the scope from the tuple and forgets a zone in the text.
        return host, address.port, 0, _zone_index(zone) if zone else 0
    if family == AF_INET6:
        return f"::ffff:{host}", address.port, 0, 0
    return host, address.port


def _zone_index(zone: str) -> int:
    if zone.isdigit():
        return int(zone)
    try:
        return socket.if_nametoindex(zone)
    except OSError as error:
        raise AddressNotAvailable(f"this machine has no network interface {zone!r}") from error


def interface_index(zone: str) -> int | None:
    """Return the number of the interface that a zone names (RFC 4007 section 11.2), or None if it is not ours."""
    try:
        return _zone_index(zone)
    except (AddressNotAvailable, ValueError):
        return None


def interface_names() -> dict[int, str]:
    """Return the names of this machine's network interfaces by their numbers; none where the system does not tell."""
    try:
        return dict(socket.if_nameindex())
    except OSError:
        return {}


# ── opening and connecting, for clients ──────────────────────────────────────────────────────────────────────────────


def open_stream(address: Address) -> Socket:
    """Return a non-blocking stream socket of the address's family, not yet connected. Raises: LocalError."""
    return _open(family_of(address), SOCK_STREAM)


def open_datagram(address: Address) -> Socket:
    """Return a non-blocking datagram socket of the address's family, not yet bound. Raises: LocalError."""
    return _open(family_of(address), SOCK_DGRAM)


def _open(family: int, kind: int) -> Socket:
    try:
        sock = socket.socket(family, kind)
    except OSError as error:
        raise translate(error) from error
    sock.setblocking(False)
    return sock


def open_netlink(protocol: int) -> Socket:
    """Return a blocking netlink socket that speaks ``protocol`` with this kernel. Raises: LocalError.

    Source: netlink(7). Where there is no netlink, which only Linux has, the error says so.
    """
    if not hasattr(socket, "AF_NETLINK"):
        raise LocalError("this system has no netlink")
    try:
        sock = socket.socket(socket.AF_NETLINK, SOCK_RAW, protocol)
        sock.connect((0, 0))  # the kernel's address: nobody else's messages are taken for its answers
    except OSError as error:
        raise translate(error, "netlink") from error
    return sock


def open_packets(protocol: int) -> Socket:
    """Return a socket for whole packets of an EtherType, their link's header included; of 0 none, until it is bound.

    Raises: NotPermitted without the capability CAP_NET_RAW; LocalError. Source: packet(7).
    """
    if not hasattr(socket, "AF_PACKET"):
        raise LocalError("this system has no packet sockets: only Linux has")
    try:
        return socket.socket(socket.AF_PACKET, SOCK_RAW, socket.htons(protocol))
    except OSError as error:
        raise translate(error, "packets") from error


def bind_client(sock: Socket, address: InternetAddress) -> None:
    """Have the socket connect from an address of ours, whose port may be 0.

    With SO_REUSEADDR, so that a port that many connections come from one after the other (FTP's data port, 20) is free
    again although the earlier ones are in TIME-WAIT. Raises: AddressInUse, AddressNotAvailable, NotPermitted.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(sockaddr_of(address, sock.family))
    except OSError as error:
        raise _why_not_bound(error, Endpoint("tcp", host=address.host), address) from error  # no search for its holder


def connect_nowait(sock: Socket, address: Address) -> bool:
    """Begin to connect. True if the connection stands at once, as on unix sockets; False if it will be told by poll.

    Raises: OSError, untranslated: who tries several addresses collects what each said.
    """
    code = sock.connect_ex(sockaddr_of(address, sock.family))
    if code == 0:
        return True
    if code in {errno.EINPROGRESS, errno.EINTR}:
        return False
    raise OSError(code, os.strerror(code))


def pending_error(sock: Socket) -> OSError | None:
    """Return and clear the error waiting on the socket (SO_ERROR): how a connect that poll reported came out."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(code, os.strerror(code)) if code else None


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def prepare_stream(sock: Socket, options: SocketOptions) -> None:
    """Set what the endpoint asks for. Accepted sockets inherit it from their listener, which ``bind`` has prepared."""
    if _family_number(sock) not in _INTERNET_FAMILIES:
        return
    sock.setsockopt(IPPROTO_TCP, socket.TCP_NODELAY, int(options.nodelay))
    # Else a byte that is sent as urgent is missing from its stream: FTP clients send the end of ABOR so. RFC 6093
    # section 6 has it in line.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    if options.keepalive_s is not None:
        idle_s = max(1, round(options.keepalive_s))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
        # A dead peer is noticed after twice the silence: three probes, a third of it apart.
        sock.setsockopt(IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, idle_s // 3))
        sock.setsockopt(IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def unacknowledged_bytes(sock: Socket) -> int:
    """Return how many bytes the kernel holds that the peer's side has not acknowledged: SIOCOUTQ, tcp(7), unix(7)."""
    try:
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:  # closed meanwhile
        return 0


def peer_has_hung_up(sock: Socket) -> bool:
    """Return whether the peer's end of stream, or a reset, has arrived, read or not. Source: poll(2), POLLRDHUP."""
    poll = select.poll()
    try:
        poll.register(sock, select.POLLRDHUP)  # POLLHUP and POLLERR are told in any case
        return bool(poll.poll(0))
    except (ValueError, OSError):  # closed by another thread meanwhile
        return True


def reset_on_close(sock: Socket) -> None:
    """Let the next close throw away what is unsent and reset the connection: SO_LINGER with no time, socket(7)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def prepare_datagrams(sock: Socket) -> None:
    """Have every datagram tell which of our addresses it was sent to, so that the answer can leave from there."""
    if sock.family == AF_INET6:
        # On a dual-stack socket this covers IPv4 too: the address then comes, and is given back, IPv4-mapped.
        sock.setsockopt(IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    elif sock.family == AF_INET:
        sock.setsockopt(IPPROTO_IP, IP_PKTINFO, 1)


# ── binding ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def bind(endpoint: Endpoint) -> list[Bound]:
    """Return the sockets that serve the endpoint: several for a name with several addresses and for systemd.

    On ``::`` one socket serves both families. With port 0 all of them share the port the kernel chose.

    Raises: AddressInUse with the process that holds it, where visible; AddressNotAvailable; NotPermitted;
            NameNotFound; LocalError when an inherited descriptor is not what it should be.
    """
    match endpoint.scheme:
        case "unix":
            return [_bind_unix(endpoint)]
        case "fd":
            return [_adopt(endpoint, endpoint.fd)]
        case "systemd":
            return [_adopt(endpoint, descriptor) for descriptor in _passed_descriptors(endpoint.name)]
    return _bind_internet(endpoint)


def open_slot(bound: Bound) -> Bound:
    """Return one more socket on the same address, among which the kernel spreads the peers (SO_REUSEPORT).

    The first socket of an address is bound without SO_REUSEPORT, so that a foreign listener on it is noticed, and
    gets the option afterwards. The kernel lets only sockets of one user share: see ``give_to``. Unix paths and
    sockets handed to us by another process cannot be opened again; they are shared.
    """
    endpoint = bound.endpoint
    if not endpoint.is_internet or bound.socket.family not in {AF_INET, AF_INET6}:
        return replace(bound, socket=_duplicate(bound.socket.fileno()), made_file=None)
    with _closed_on_error(_open(bound.socket.family, bound.socket.type)) as sock:
        try:
            # Nobody else may hold the port without our user's SO_REUSEPORT, so joining is safe.
            bound.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            _bind_and_listen(sock, bound.socket.getsockname(), endpoint)
        except OSError as error:
            raise _why_not_bound(error, endpoint, bound.address) from error
    return Bound(endpoint, sock)


def give_to(bound: Bound, user_id: int) -> None:
    """Make the user the socket's owner: after dropping privileges ``open_slot`` goes on working for it."""
    os.fchown(bound.socket.fileno(), user_id, -1)


def listen_at(endpoint: Endpoint) -> Socket:
    """Return the listening socket of a tcp or tls endpoint whose host is an address.

    It is what ``bind`` makes, without all that a service wants to know of it: FTP listens once for each file.
    Raises: AddressInUse, AddressNotAvailable, NotPermitted.
    """
    for tries_left in _TRIES:
        port = endpoint.port or (any_port() if tries_left else 0)
        try:
            return _open_bound(endpoint, InternetAddress(endpoint.host, port))
        except AddressInUse:
            if endpoint.port or not tries_left:
                raise
    raise AssertionError("unreachable")


def _bind_internet(endpoint: Endpoint) -> list[Bound]:
    addresses = _addresses_to_bind(endpoint)
    for tries_left in _TRIES:
        is_chosen = bool(endpoint.port) or endpoint.is_datagram or not tries_left
        try:
            return _bind_all(endpoint, addresses, endpoint.port if is_chosen else any_port())
        except AddressInUse:
            # Only a port that nobody asked for may be another one: free on one address, taken on the next.
            if endpoint.port or not tries_left:
                raise
    raise AssertionError("unreachable")


def _addresses_to_bind(endpoint: Endpoint) -> list[InternetAddress]:
    host = endpoint.host or ANY_HOST
    if is_ip_literal(host):
        return [InternetAddress(host, endpoint.port)]
    kind = SOCK_DGRAM if endpoint.is_datagram else SOCK_STREAM
    try:
        answers = getaddrinfo(host, endpoint.port, type=kind, flags=AI_PASSIVE)
    except (gaierror, UnicodeError) as error:
        raise NameNotFound(host, str((isinstance(error, gaierror) and error.strerror) or error)) from error
    addresses = [from_sockaddr(answer[4]) for answer in answers]
    return list(dict.fromkeys(address for address in addresses if isinstance(address, InternetAddress)))


def _bind_all(endpoint: Endpoint, addresses: list[InternetAddress], port: int) -> list[Bound]:
    bounds: list[Bound] = []
    skipped: PortsideError | None = None
    try:
        for address in addresses:
            try:
                bound = _bind_one(endpoint, InternetAddress(address.host, port))
            except AddressNotAvailable as error:
                # /etc/hosts names ::1 for localhost on machines that have no IPv6.
                skipped = error
                continue
            bounds.append(bound)
            port = bound.endpoint.port
    except BaseException:
        for bound in bounds:
            bound.socket.close()
        raise
    if not bounds:
        raise skipped or AddressNotAvailable(f"{endpoint}: the name has no address")
    return bounds


def _bind_one(endpoint: Endpoint, address: InternetAddress) -> Bound:
    sock = _open_bound(endpoint, address)
    return Bound(endpoint.at(local_address(sock)), sock)


def _open_bound(endpoint: Endpoint, address: InternetAddress) -> Socket:
    kind = SOCK_DGRAM if endpoint.is_datagram else SOCK_STREAM
    try:
        sock = socket.socket(family_of(address), kind)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT and address.host == ANY_HOST:
            return _open_bound(endpoint, InternetAddress("0.0.0.0", address.port))  # a machine without IPv6
        raise _why_not_bound(error, endpoint, address) from error
    try:  # and no ``with``: FTP makes a socket for each file
        sock.setblocking(False)
        _bind_and_listen(sock, sockaddr_of(address), endpoint)
        return sock
    except OSError as error:
        sock.close()
        raise _why_not_bound(error, endpoint, address) from error
    except BaseException:
        sock.close()
        raise


def _bind_and_listen(sock: Socket, sockaddr: object, endpoint: Endpoint) -> None:
    if _family_number(sock) == AF_INET6:
        # Only the unspecified address speaks for both families.
        dual = isinstance(sockaddr, tuple) and sockaddr[0] == ANY_HOST
        sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, int(not dual))
    if endpoint.is_datagram:
        # No SO_REUSEADDR: for UDP it would let a second server take the port unnoticed.
        prepare_datagrams(sock)
        sock.bind(sockaddr)  # type: ignore[arg-type]
        return
    # Bind again while connections of the server before us are still in TIME-WAIT.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(sockaddr)  # type: ignore[arg-type]
    prepare_stream(sock, endpoint.options)
    sock.listen(endpoint.options.backlog)  # with SO_REUSEADDR two may bind; the second to listen gets EADDRINUSE


@contextlib.contextmanager
def _closed_on_error(sock: Socket) -> Iterator[Socket]:
    try:
        yield sock
    except BaseException:
        sock.close()
        raise


def _duplicate(descriptor: int) -> Socket:
    sock = socket.socket(fileno=os.dup(descriptor))
    sock.setblocking(False)
    return sock


# ── unix ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bind_unix(endpoint: Endpoint) -> Bound:
    address = UnixAddress(endpoint.path)
    sockaddr = sockaddr_of(address)
    with _closed_on_error(_open(AF_UNIX, SOCK_STREAM)) as sock:
        try:
            try:
                sock.bind(sockaddr)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or address.is_abstract or not _is_stale(endpoint):
                    raise
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(endpoint.path)
                sock.bind(sockaddr)
            # Nobody can connect before listen(), so nobody gets in before the mode holds.
            if endpoint.mode is not None and not address.is_abstract:
                os.chmod(endpoint.path, endpoint.mode)
            sock.listen(endpoint.options.backlog)
        except OSError as error:
            raise _why_not_bound(error, endpoint, address) from error
        return Bound(endpoint, sock, None if address.is_abstract else _file_identity(endpoint.path))


def _is_stale(endpoint: Endpoint) -> bool:
    """Return whether the path is a socket that nobody listens on any more; an old server's, not a file of anyone's."""
    try:
        if not stat.S_ISSOCK(os.lstat(endpoint.path).st_mode):
            raise AddressInUse(str(endpoint), "a file that is not a socket")
    except FileNotFoundError:
        return True
    with _open(AF_UNIX, SOCK_STREAM) as probe:
        # A full backlog says EAGAIN, a datagram socket EPROTOTYPE: both are alive.
        return probe.connect_ex(endpoint.path) in {errno.ECONNREFUSED, errno.ENOENT}


def _file_identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove_path(bound: Bound) -> bool:
    """Remove the unix path that ``bind`` made, unless somebody has replaced it since. True if it was removed.

    To be called before the socket is closed: only as long as it is open its inode's number is nobody else's.
    """
    path = bound.endpoint.path
    if bound.made_file is None or bound.socket.fileno() < 0 or _file_identity(path) != bound.made_file:
        return False
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


# ── sockets made by somebody else ────────────────────────────────────────────────────────────────────────────────────

SYSTEMD_FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START


def _adopt(endpoint: Endpoint, descriptor: int) -> Bound:
    """Serve a socket that we inherited, whatever its family and type; listen if it does not yet.

    It is duplicated: the original stays for a later reload, which may let the service go and come.
    """
    try:
        os.set_inheritable(descriptor, False)
        with _closed_on_error(_duplicate(descriptor)) as sock:
            return _adopt_socket(endpoint, sock)
    except OSError as error:
        name = f"descriptor {descriptor}" if endpoint.scheme == "systemd" else str(endpoint)
        what = {errno.EBADF: "is not open", errno.ENOTSOCK: "is not a socket"}
        said = what.get(error.errno or 0, f"cannot be served: {error.strerror}")
        raise LocalError(f"{endpoint}: {name} {said}" if name != str(endpoint) else f"{name} {said}") from error


def _adopt_socket(endpoint: Endpoint, sock: Socket) -> Bound:
    if sock.family not in {AF_INET, AF_INET6, AF_UNIX} or sock.type not in {SOCK_STREAM, SOCK_DGRAM}:
        raise LocalError(f"{endpoint} is neither a stream nor a UDP socket")
    address = local_address(sock)
    if sock.type == SOCK_DGRAM:
        if not isinstance(address, InternetAddress):
            raise LocalError(f"{endpoint} is a unix datagram socket; only streams are served on unix")
        prepare_datagrams(sock)
        return Bound(replace(endpoint, scheme="udp", host=address.host, port=address.port), sock)
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        if _is_connected(sock):
            raise LocalError(f"{endpoint} is a connection, not a listening socket")
        sock.listen(endpoint.options.backlog)
    prepare_stream(sock, endpoint.options)
    return Bound(endpoint.at(address), sock)


def _is_connected(sock: Socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _passed_descriptors(name: str) -> list[int]:
    """Return the descriptors that a service manager passed under this name; without a name, those that have none.

    A socket unit without FileDescriptorName= passes its own name, ``x.socket``: that counts as none.
    Source: sd_listen_fds_with_names(3), systemd.socket(5).
    """
    count_text, process = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID", "")
    where = f"systemd://{name}"
    if not count_text.isdigit() or not int(count_text):
        raise LocalError(f"{where}: no sockets were passed (LISTEN_FDS is {count_text or 'not set'})")
    if process != str(os.getpid()):
        raise LocalError(
            f"{where}: the sockets were passed to process {process or '(LISTEN_PID is not set)'}, not to us"
        )
    count = int(count_text)
    names_text = os.environ.get("LISTEN_FDNAMES")
    names = names_text.split(":") if names_text is not None else []
    names += [""] * (count - len(names))
    found = [SYSTEMD_FIRST_DESCRIPTOR + index for index in range(count) if _is_asked_for(names[index], name)]
    if not found:
        passed = ", ".join(sorted({text or "(unnamed)" for text in names[:count]}))
        raise LocalError(f"{where}: no such socket was passed; there are: {passed}")
    return found


def _is_asked_for(passed: str, asked: str) -> bool:
    if not asked:
        return passed in {"", "unknown"} or passed.endswith(".socket")
    return passed in {asked, f"{asked}.socket"}


# ── accepting ────────────────────────────────────────────────────────────────────────────────────────────────────────

# Linux hands accept() the errors already pending on the new connection: that peer is gone, the listener is well.
_PEER_GONE: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENONET,
        errno.ETIMEDOUT,
        errno.EPERM,  # a packet filter's doing
    }
)


_STREAM_NUMBER: Final = int(SOCK_STREAM)


def accept_nowait(listener: Socket) -> tuple[Socket, object] | None:
    """Return the next connection, as a blocking socket, and its peer's sockaddr; None when nobody waits.

    None also when the peer is gone already. Raises: OutOfDescriptors; LocalError when the listener is unusable.
    """
    try:
        # socket.accept() without its enum members of family and type, which cost as much as the system call.
        descriptor, sockaddr = listener._accept()  # type: ignore[attr-defined]
        return socket.socket(_family_number(listener), _STREAM_NUMBER, 0, descriptor), sockaddr
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in _PEER_GONE:
            return None
        raise translate(error) from error


# ── why an address could not be bound ────────────────────────────────────────────────────────────────────────────────


def _why_not_bound(error: OSError, endpoint: Endpoint, address: Address) -> PortsideError:
    said: PortsideError
    from portside.net.holders import holder_of_path, holder_of_port

    if isinstance(address, InternetAddress):
        here = str(endpoint.at(address))
        if error.errno in DENIED and address.port:
            said = NotPermitted(f"{here}: permission denied (ports under 1024 need root or CAP_NET_BIND_SERVICE)")
        elif error.errno in NO_SUCH_ADDRESS:
            said = AddressNotAvailable(f"{here}: this machine does not have the address {address.host}")
        elif error.errno == errno.EADDRINUSE:
            said = AddressInUse(here, partial(holder_of_port, address, endpoint.is_datagram))
        else:
            return translate(error, here)
    elif error.errno == errno.EADDRINUSE:
        said = AddressInUse(str(endpoint), partial(holder_of_path, address.path))
    elif error.errno == errno.ENOENT:
        said = LocalError(f"{endpoint}: the directory does not exist")
    else:
        return translate(error, str(endpoint))
    said.__cause__ = error
    return said
