"""One connection: the states of RFC 9293 section 3.3.2, and what a segment or a call does in each of them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from portside.sim.addresses import is_v4
from portside.sim.clock import MILLISECOND, Timer
from portside.sim.frame import NO_BLOCKS, Offer, TcpFrame
from portside.sim.seams import End, TcpUser, Trouble
from portside.sim.tcp import closing, handshake
from portside.sim.tcp.keepalive import Keeper
from portside.sim.tcp.numbers import (
    ACK,
    CLOSED,
    FIN_WAIT_2,
    RECEIVING,
    RST,
    SENDING,
    SYN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    WORD,
    os_error,
    timed_out,
)
from portside.sim.tcp.receiver import Receiver
from portside.sim.tcp.sender import Sender

if TYPE_CHECKING:
    from portside.sim.tcp.listener import Listener
    from portside.sim.tcp.tcp import Tcp

IPV4_HEADERS: Final = 40  # IP's and TCP's, without options: RFC 9293 section 3.7.1
IPV6_HEADERS: Final = 60
TIMESTAMPS_BYTES: Final = 12
MSS_DEFAULT_V4: Final = 536  # RFC 9293 section 3.7.1
MSS_DEFAULT_V6: Final = 1_220
BLOCKS_MAX: Final = 4  # three beside timestamps: RFC 2018 section 3


class Nobody:
    """The user of a connection that has none: it is not accepted yet, or was let go."""

    def established(self) -> None:
        """Hear nothing."""

    readable = writable = finished = established

    def failed(self, error: OSError) -> None:
        """Hear nothing."""


NOBODY: Final = Nobody()


class Connection:
    """See ``seams.TcpConnection`` for the calls. ``watch`` is told of ``(connection, what)`` that is of interest."""

    __slots__ = (
        "_error",
        "_soft_error",
                "_ts_offset",
        "headers_bytes",
        "into",
        "is_abandoned",
        "iss",
        "keepalive_count",
        "keepalive_idle_ns",
        "keepalive_interval_ns",
        "keeper",
        "last",
        "linger_s",
        "listener",
        "local",
        "mtu",
        "must_ack",
        "network",
        "nodelay",
        "opened_ns",
        "out",
        "peer_mss",
        "peer_shift",
        "profile",
        "remote",
        "sack_on",
        "scheduler",
        "shifts",
        "state",
        "tcp",
        "told_readable",
        "ts_on",
        "user",
        "v4",
        "watch",
    )  # fmt: skip

    def __init__(self, tcp: Tcp, local: End, remote: End, user: TcpUser) -> None:
        self.tcp = tcp
        self.network = tcp.network
        self.scheduler = tcp.network.scheduler
        self.profile = profile = tcp.network.profile
        chance: Random = tcp.network.chance
        self.local, self.remote, self.user = local, remote, user
        self.v4 = is_v4(remote[0])
        self.headers_bytes = IPV4_HEADERS if self.v4 else IPV6_HEADERS
        self.state = CLOSED
        self.nodelay = True
        self.linger_s: int | None = None
        self.keepalive_idle_ns = profile.keepalive_idle_ns
        self.keepalive_interval_ns = profile.keepalive_interval_ns
        self.keepalive_count = profile.keepalive_count
        self.is_abandoned = False  # nobody will call any more: what comes now is for nobody
        self.must_ack = False
        self.ts_on = self.sack_on = True
        self.shifts = False  # whether both scale their windows, and by how much the peer does
        self.peer_shift = 0
        self.opened_ns = self.scheduler.now
        self.listener: Listener | None = None
        self.watch: Callable[[Connection, str], object] | None = None
        self.mtu = tcp.network.mtu_to(remote[0])
        self.peer_mss = MSS_DEFAULT_V4 if self.v4 else MSS_DEFAULT_V6
        self.iss = chance.getrandbits(32)  # RFC 9293 section 3.4.1: nobody shall guess it
        self._ts_offset = chance.getrandbits(32)  # RFC 7323 section 5.4
        self.out = Sender(self, self.iss, profile.send_buffer_bytes)
        self.into = Receiver(self, profile.receive_buffer_bytes)
        self.told_readable = False
        self._error: OSError | None = None
        self._soft_error: OSError | None = None
        self.keeper = Keeper(self)
        self.last: Timer | None = None  # FIN-WAIT-2 of who has let go, and TIME-WAIT

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_opening(self) -> bool:
        return self.state in {SYN_SENT, SYN_RECEIVED}

    def open(self) -> None:
        """Begin to connect: send a SYN."""
        handshake.begin(self)

    def segment_bytes(self) -> int:
        """Return how many bytes of data a segment has at most: RFC 9293 section 3.7.1, RFC 6691."""
        return max(min(self.peer_mss, self.mtu - self.headers_bytes) - TIMESTAMPS_BYTES * self.ts_on, 1)

    # ── sending segments ─────────────────────────────────────────────────────────────────────────────────────────────

    def emit(
        self, sequence: int, flags: int, payload: bytes = b"", offer: Offer | None = None, window: int | None = None
    ) -> None:
        """Send one segment, with whatever there is to acknowledge."""
        into = self.into
        ack, echo, blocks = 0, 0, NO_BLOCKS
        if flags & ACK:
            ack, echo = into.queue.next & WORD, into.ts_recent
            if window is None:
                window = into.window()
            if (into.queue.starts or into.duplicate) and self.sack_on and not flags & SYN:
                blocks = into.sack(BLOCKS_MAX - self.ts_on)
            into.told()
        timestamp = None
        if self.ts_on:
            timestamp = (self.scheduler.now // MILLISECOND + self._ts_offset) & WORD  # ``timestamp``, written out
        (source, source_port), (target, target_port) = self.local, self.remote
        frame = TcpFrame(
            source,
            source_port,
            target,
            target_port,
            sequence,
            ack,
            flags,
            window or 0,
            payload,
            timestamp,
            echo,
            blocks,
            offer,
        )
        try:
            self.network.send(frame)
        except OSError as error:
            self._soft_error = error
            if error.errno == errno.EMSGSIZE:
                self.scheduler.soon(self._fit)

    def room(self) -> int:
        """Return how many bytes of data the next segment has room for, beside the blocks it will tell."""
        into = self.into
        if into.has_blocks and self.sack_on:
            return self.out.mss - into.sack_bytes(BLOCKS_MAX - self.ts_on)
        return self.out.mss

    def timestamp(self) -> int:
        """Return the clock that is told to the peer: milliseconds from a number at random. RFC 7323 section 5.4."""
        return (self.scheduler.now // MILLISECOND + self._ts_offset) & WORD

    def sample_echo(self, echo: int) -> None:
        """Measure the round-trip time by a timestamp of ours that has come back: RFC 7323 section 4."""
        passed_ms = (self.timestamp() - echo) & WORD
        if passed_ms < 1 << 31:
            self.out.rtt.sample(max(passed_ms, 1) * MILLISECOND)

    def acknowledge(self) -> None:
        """Send an acknowledgement now."""
        if self.state != CLOSED:
            self.emit(self.out.next & WORD, ACK)

    def challenge(self) -> None:
        """Ask by an acknowledgement whether the peer has really sent that. RFC 5961, bounded by its section 7."""
        if self.tcp.may_challenge():
            self.acknowledge()

    def reset_peer(self) -> None:
        """Send a reset."""
        self.emit(self.out.next & WORD, RST | ACK)

    # ── the user's calls ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def readable_bytes(self) -> int:
        return self.into.queue.ready_bytes

    @property
    def has_ended(self) -> bool:
        into = self.into
        return into.fin_at is not None and into.queue.next > into.fin_at and not into.queue.ready_bytes

    @property
    def unsent_bytes(self) -> int:
        return self.out.unacknowledged

    @property
    def send_buffer(self) -> int:
        return self.out.room_bytes

    @send_buffer.setter
    def send_buffer(self, size: int) -> None:
        self.out.room_bytes = max(size, 2_048)

    @property
    def receive_buffer(self) -> int:
        return self.into.buffer_bytes

    @receive_buffer.setter
    def receive_buffer(self, size: int) -> None:
        self.into.buffer_bytes = max(size, 2_048)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take bytes to be sent, as many as there is room for: see ``seams.TcpConnection``."""
        if self.state not in SENDING:
            if self._error is not None:
                raise self._error
            raise os_error(errno.ENOTCONN if self.is_opening else errno.EPIPE)
        out = self.out
        if out.send_at_once(data):
            return len(data)
        taken = out.put(data)
        out.output()
        return taken

    def receive(self, limit: int) -> bytes:
        """Return up to so many bytes that have come."""
        into = self.into
        queue = into.queue
        data = queue.take(limit)
        if not queue.ready_bytes:
            self.told_readable = False
        if data and into.has_opened() and self.state in RECEIVING:
            self.acknowledge()
        return data

    def shutdown(self) -> None:
        """End our stream behind what was sent."""
        closing.shutdown(self)

    @property
    def keepalive(self) -> bool:
        return self.keeper.is_on

    @keepalive.setter
    def keepalive(self, is_on: bool) -> None:
        self.keeper.turn(on=is_on)

    def close(self) -> None:
        """Let go: see ``seams.TcpConnection``."""
        if self.is_abandoned or self.state == CLOSED:
            return
        self.is_abandoned = True
        if self.state == TIME_WAIT:
            return
        if self.state == SYN_SENT:
            self.end()
        elif self.state == SYN_RECEIVED or self.linger_s == 0 or self.into.queue.ready_bytes:
            self.abort()
        else:
            self.shutdown()
            if self.state == FIN_WAIT_2:
                closing.wait_for_theirs(self)

    def abort(self) -> None:
        """Send a reset and forget the connection."""
        if self.state in {CLOSED, TIME_WAIT}:
            self.end()
            return
        if self.state != SYN_SENT:
            self.reset_peer()
        self.end()

    # ── how it goes on and ends ──────────────────────────────────────────────────────────────────────────────────────

    def become(self, state: str) -> None:
        """Change the state."""
        self.state = state
        if self.watch is not None:
            self.watch(self, "state")

    def tell(self, what: str) -> None:
        """Tell who watches."""
        if self.watch is not None:
            self.watch(self, what)

    def tell_readable(self) -> None:
        """Tell the user that there is something to be read, once."""
        if not self.told_readable:
            self.told_readable = True
            self.user.readable()

    def time_out(self) -> None:
        """Give up: the peer has not answered for too long."""
        self.fail(self._soft_error or timed_out())

    def fail(self, error: OSError) -> None:
        """End, and tell the user why."""
        self._error = error
        self.end()
        if not self.is_abandoned:
            self.user.failed(error)

    def end(self) -> None:
        """Forget the connection."""
        if self.state != CLOSED:
            self.become(CLOSED)
        self.halt()
        self.tcp.forget(self)

    def halt(self) -> None:
        """Let no timer ring any more."""
        self.out.halt()
        self.into.halt()
        self.keeper.halt()
        if self.last is not None:
            self.last.cancel()

    # ── ICMP ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def troubled(self, trouble: Trouble) -> None:
        """Hear what a router or the peer's host says of a segment of ours: RFC 9293 section 3.9.2.2, RFC 5927."""
        out = self.out
        if trouble.sequence is not None and ((trouble.sequence - out.una) & WORD >= max(out.next - out.una, 1)):
            return  # not of what is on its way: somebody guesses (RFC 5927 section 4)
        if trouble.mtu is not None:
            self._fit()
        elif self.is_opening and (trouble.is_hard or self.profile.syn_fails_by_any_error):
            self.fail(trouble.error)
        else:
            self._soft_error = trouble.error

    def _fit(self, _: Any = None) -> None:
        """Send no more than the path carries: RFC 1191 section 6.4."""
        if self.state == CLOSED:
            return
        self.mtu = min(self.mtu, self.network.mtu_to(self.remote[0]))
        self.out.shrink(self.segment_bytes())

    def facts(self) -> dict[str, int | str | None]:
        """Return what ``tcp_info`` has."""
        out = self.out
        return {
            "state": self.state,
            "mss": out.mss,
            "cwnd": out.congestion.cwnd,
            "ssthresh": out.congestion.ssthresh,
            "flight": out.flight,
            "window": out.edge - out.una,
            "srtt_ns": out.rtt.srtt_ns,
            "rttvar_ns": out.rtt.rttvar_ns,
            "rto_ns": out.rtt.rto_ns,
            "retransmits": out.retransmits,
            "recovery": out.recovery.kind,
            "unacknowledged": out.unacknowledged,
            "acknowledged": out.una - self.iss,
            "received": self.into.queue.next,
        }
