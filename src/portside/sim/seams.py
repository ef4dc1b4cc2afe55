"""What the parts of a host promise each other: network layer, transports, sockets, and the machine around them.

The parts are written against these protocols and are tested alone. Errors are ``OSError`` with the ``errno`` that
Linux gives for the same, so that whatever sits on top cannot tell the difference. An address is an integer as in
``portside.sim.addresses``; an end is an address with a port.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeAlias

from portside.sim.clock import Scheduler
from portside.sim.frame import AnyIpFrame
from portside.sim.profile import Profile

End: TypeAlias = tuple[int, int]  # address, port


class NetworkLayer(Protocol):
    """What TCP, UDP and ICMP need from IP."""

    @property
    def scheduler(self) -> Scheduler: ...

    @property
    def chance(self) -> Random: ...

    @property
    def profile(self) -> Profile: ...

    def source_for(self, target: int) -> int:
        """Return the address that a packet to there is sent from. Raises: OSError ENETUNREACH without a route."""

    def is_ours(self, address: int) -> bool:
        """Return whether the address is one of this host's, its loopback included."""

    def mtu_to(self, target: int) -> int:
        """Return how many bytes a packet of IP to there may have, as far as is known: the path's MTU."""

    def send(self, frame: AnyIpFrame) -> None:
        """Route it, cut it up where it must be, find the next hop's MAC, and put it on the wire.

        ``source`` and ``target`` are filled in; the MACs are ours to fill. A whole frame that needs no cutting is sent
        as the object it is. Raises: OSError ENETUNREACH; EMSGSIZE where it must not be cut and is too long.
        """


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an ICMP error said of a packet of ours, either version's, in one shape."""

    error: OSError  # what a socket is told: ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE…
    is_hard: bool  # whether it ends a connection that is being set up: RFC 9293 section 3.9.2.2, RFC 5461
    mtu: int | None = None  # with "packet too big" and "fragmentation needed": the next hop's
    sequence: int | None = None  # of TCP: the sequence number that was quoted


class Transport(Protocol):
    """What IP needs from a transport protocol."""

    def receive(self, frame: AnyIpFrame) -> None:
        """Take a packet that has arrived, whole and with a good checksum."""

    def troubled(self, local: End, remote: End, trouble: Trouble) -> None:
        """Hear that a packet from ``local`` to ``remote`` did not arrive."""


# ── TCP as sockets use it: the user interface of RFC 9293 section 3.9.1 ──────────────────────────────────────────────


class TcpUser(Protocol):
    """Whoever holds a connection: is told of it, by the stack's own steps, and must not wait or raise."""

    def established(self) -> None:
        """The handshake is done."""

    def readable(self) -> None:
        """Bytes have come, or the peer's end of stream, where nothing was to be read before. Not repeated until
        ``receive`` has emptied the buffer.
        """

    def writable(self) -> None:
        """There is room again, a third of the send buffer at least, after ``send`` took less than it was given."""

    def failed(self, error: OSError) -> None:
        """The connection is gone: ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH… Nothing more is told."""

    def finished(self) -> None:
        """Both sides have ended their streams and everything of ours is acknowledged (TIME-WAIT or CLOSED)."""


class TcpConnection(Protocol):
    """One connection. None of these waits."""

    local: End
    remote: End
    user: TcpUser
    nodelay: bool  # True by default, as asyncio has it: Nagle's algorithm is off (RFC 9293 section 3.7.4)
    linger_s: int | None  # SO_LINGER: None is off, 0 makes ``close`` a reset
    keepalive: bool
    keepalive_idle_ns: int
    keepalive_interval_ns: int
    keepalive_count: int

    @property
    def state(self) -> str:
        """RFC 9293's name of the state: ``ESTABLISHED``, ``FIN-WAIT-1``…"""

    @property
    def readable_bytes(self) -> int:
        """How many bytes ``receive`` would give at once."""

    @property
    def has_ended(self) -> bool:
        """Whether the peer has ended its stream and everything before that was received by the user."""

    @property
    def unsent_bytes(self) -> int:
        """How many bytes of ours are not acknowledged yet, sent or not: SIOCOUTQ."""

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take bytes to be sent, as many as there is room for, and return how many: 0 if the buffer is full.

        Raises: OSError EPIPE after ``shutdown``, ENOTCONN before the handshake, and what ``failed`` told once.
        """

    def receive(self, limit: int) -> bytes:
        """Return up to so many bytes that have come; ``b""`` if there are none (``has_ended`` says why)."""

    def shutdown(self) -> None:
        """End our stream behind what was sent: a FIN. Reading goes on."""

    def close(self) -> None:
        """Let go: a FIN behind what was sent; a reset instead if something came that was not read (RFC 2525 2.17),
        or comes later (RFC 9293 section 3.6), or if ``linger_s`` is 0. The user is told nothing more but ``finished``.
        """

    def abort(self) -> None:
        """Send a reset and forget the connection."""

    def facts(self) -> dict[str, int | str | None]:
        """Return what ``tcp_info`` has: state, cwnd and ssthresh in bytes, srtt_ns, rttvar_ns, rto_ns, retransmits…"""


class TcpListener(Protocol):
    """A port that is listened at."""

    local: End

    def accept(self) -> TcpConnection | None:
        """Return the next connection whose handshake is done, None if there is none. Its ``user`` is to be set."""

    def close(self) -> None:
        """Listen no more; what nobody accepted is reset."""


class Tcp(Transport, Protocol):
    """All connections of a host. ``watch`` is told what happens to every connection made from now on, and in a word."""

    watch: Callable[[Any, str], object] | None

    def connect(self, user: TcpUser, remote: End, local: End | None = None) -> TcpConnection:
        """Begin to connect. Without ``local``, or with port 0 or address 0 in it, what is free is chosen.

        Raises: OSError ENETUNREACH, EADDRNOTAVAIL, EADDRINUSE. What happens later, the user is told.
        """

    def listen(self, local: End, backlog: int, ready: TcpListenerUser, *, only_v6: bool = False) -> TcpListener:
        """Listen. Address ``::`` hears IPv4 as well unless ``only_v6``; port 0 chooses one.

        Raises: OSError EADDRINUSE, EADDRNOTAVAIL.
        """

    def is_connected(self, frame: Any) -> bool:
        """Return whether a segment is of a connection that there is."""

    def is_heard(self, frame: Any) -> bool:
        """Return whether somebody listens where a segment goes to."""

    def halt(self) -> None:
        """Fall silent for ever: the host has crashed."""

    def connections(self) -> Sequence[TcpConnection]:
        """Return every connection there is, TIME-WAIT included, in a fixed order."""


class TcpListenerUser(Protocol):
    """Called whenever ``accept`` would give a connection where it gave none before."""

    def __call__(self) -> object: ...


# ── UDP as sockets use it ────────────────────────────────────────────────────────────────────────────────────────────


class UdpUser(Protocol):
    """Whoever holds a UDP socket."""

    def received(self, data: bytes, remote: End, local: End) -> None:
        """A datagram has come; ``local`` is the address it was sent to."""

    def failed(self, error: OSError) -> None:
        """An ICMP error came for what this socket sent: ECONNREFUSED and so on."""


class UdpSocket(Protocol):
    """One bound port."""

    local: End
    remote: End | None

    def connect(self, remote: End) -> None:
        """Hear only this peer from now on, and send to it. Raises: OSError ENETUNREACH."""

    def send(self, data: bytes, remote: End | None = None) -> None:
        """Send a datagram. Raises: OSError EMSGSIZE over 65,507 bytes, ENETUNREACH, EDESTADDRREQ, EACCES (broadcast
        without leave)."""

    def close(self) -> None:
        """Let go of the port."""


class Udp(Transport, Protocol):
    """All UDP sockets of a host."""

    def open(
        self,
        user: UdpUser,
        local: End = (0, 0),
        *,
        reuse: bool = False,
        broadcast: bool = False,
        only_v6: bool = False,
    ) -> UdpSocket:
        """Bind. Port 0 chooses one. Raises: OSError EADDRINUSE, EADDRNOTAVAIL."""

    def join(self, socket: UdpSocket, group: int) -> None:
        """Hear what is sent to a group of multicast, too."""


class Stack(NetworkLayer, Protocol):
    """A host's network layer with its transports."""

    @property
    def tcp(self) -> Any:
        """A ``Tcp``."""

    @property
    def udp(self) -> Any:
        """A ``Udp``."""


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Names(Protocol):
    """Names of hosts to addresses, and back: a host's file of names first, then its servers of names."""

    def look_up(self, host: str, family: int, done: Callable[[list[int] | OSError], object]) -> None:
        """Find the addresses of a name, in the order to try them. ``family`` is AF_UNSPEC, AF_INET or AF_INET6.

        ``done`` is called by a step of the scheduler, never at once. Errors have a number of
        EAI_* (``socket.gaierror``).
        """

    def reverse(self, address: int, done: Callable[[str | OSError], object]) -> None:
        """Find the name of an address."""
