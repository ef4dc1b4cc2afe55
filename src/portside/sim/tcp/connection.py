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
from portside.sim.tcp import arrival
from portside.sim.tcp.numbers import (
    ACK,
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
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
from portside.sim.tcp.receiver import SHIFT_MAX, Receiver, shift_for
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
        "_idle",
        "_keepalive",
        "_keepalive_on",
        "_last",
        "_soft_error",
        "_told_readable",
        "_ts_offset",
        "into",
        "is_abandoned",
        "iss",
        "keepalive_count",
        "keepalive_idle_ns",
        "keepalive_interval_ns",
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
        self._told_readable = False
        self._error: OSError | None = None
        self._soft_error: OSError | None = None
        self._keepalive_on = False
        self._keepalive = 0  # probes without an answer
        self._idle: Timer | None = None
        self._last: Timer | None = None  # FIN-WAIT-2 of who has let go, and TIME-WAIT

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_opening(self) -> bool:
        return self.state in {SYN_SENT, SYN_RECEIVED}

    def open(self) -> None:
        """Begin to connect: send a SYN."""
        self.become(SYN_SENT)
        self.into.shift = shift_for(self.into.buffer_bytes)
        self.send_syn()

    def answer(self, frame: TcpFrame) -> None:
        """Answer a SYN that came for a port that is listened at."""
        self.become(SYN_RECEIVED)
        self.take_offer(frame)
        self.send_syn()

    def take_offer(self, frame: TcpFrame) -> None:
        """Take what the peer's SYN offers; what it does not, neither side uses. RFC 9293 section 3.7.1."""
        offer = frame.offer or Offer()
        into, out = self.into, self.out
        into.begin(frame.sequence)
        self.ts_on = self.ts_on and frame.timestamp is not None
        if frame.timestamp is not None:
            into.ts_recent = frame.timestamp
        self.sack_on = self.sack_on and offer.sack
        into.shift = 0 if offer.shift is None else shift_for(into.buffer_bytes)
        self.shifts = offer.shift is not None
        self.peer_shift = min(offer.shift or 0, SHIFT_MAX)
        if offer.mss is not None:
            self.peer_mss = max(offer.mss, 64)
        out.begin(self.segment_bytes())
        out.wl1, out.wl2 = frame.sequence, out.una
        out.edge = out.una + frame.window + (1 if out.una == self.iss else 0)  # the window of a SYN is never scaled
        out.window_max = frame.window

    def segment_bytes(self) -> int:
        """Return how many bytes of data a segment has at most: RFC 9293 section 3.7.1, RFC 6691."""
        headers = IPV4_HEADERS if self.v4 else IPV6_HEADERS
        return max(min(self.peer_mss, self.mtu - headers) - TIMESTAMPS_BYTES * self.ts_on, 1)

    def send_syn(self) -> None:
        """Send the SYN, or the SYN that answers one; for the first time, or again."""
        out, into = self.out, self.into
        offers_shift = self.state == SYN_SENT or self.shifts
        headers = IPV4_HEADERS if self.v4 else IPV6_HEADERS
        offer = Offer(self.mtu - headers, into.shift if offers_shift else None, self.sack_on)
        flags = SYN if self.state == SYN_SENT else SYN | ACK  # both, in simultaneous open: RFC 9293 section 3.5
        window = min(into.buffer_bytes, 65_535)
        if self.state != SYN_SENT:
            into.edge = max(into.edge, into.queue.next + window)
        self.emit(self.iss & WORD, flags, b"", offer, window)
        if out.next == self.iss:
            out.next = self.iss + 1
        if not out.timer.is_set:
            out.timer.start(out.rtt.rto_ns)

    def opening_timed_out(self) -> None:
        """Send the SYN again, or give up. Linux does not back off at first: net.ipv4.tcp_syn_linear_timeouts."""
        out, profile = self.out, self.profile
        out.retries += 1
        linear = profile.syn_linear_timeouts if self.state == SYN_SENT else 0
        most = profile.syn_retries + linear if self.state == SYN_SENT else profile.synack_retries
        if out.retries > most:
            self.time_out()
            return
        if out.retries > linear:
            out.rtt.back_off()
        out.retransmits += 1
        out.timer.start(out.rtt.rto_ns)
        self.send_syn()
        self.tell("retransmit")

    def opened(self, ack: int) -> None:
        """The handshake is done."""
        out = self.out
        was_lost = out.retries > 0
        out.una = ack
        out.timer.cancel()
        out.retries = 0
        if was_lost:
            out.rtt.after_syn_loss()  # RFC 6298 section 5.7
            out.congestion.restarted(out.mss)  # RFC 5681 section 3.1: a lost SYN leaves one segment
        self.become(ESTABLISHED)
        if self.keepalive:
            self._watch_idleness()
        if self.listener is not None:
            self.listener.is_done(self)
        else:
            self.user.established()

    # ── sending segments ─────────────────────────────────────────────────────────────────────────────────────────────

    def emit(
        self, sequence: int, flags: int, payload: bytes = b"", offer: Offer | None = None, window: int | None = None
    ) -> None:
        """Send one segment, with whatever there is to acknowledge."""
        into = self.into
        ack, blocks = 0, NO_BLOCKS
        if flags & ACK:
            ack = into.queue.next & WORD
            if window is None:
                window = into.window()
            if self.sack_on and not flags & SYN:
                blocks = into.sack(BLOCKS_MAX - self.ts_on)
        timestamp = self.timestamp() if self.ts_on else None
        frame = TcpFrame(
            self.local[0],
            self.local[1],
            self.remote[0],
            self.remote[1],
            sequence,
            ack,
            flags,
            window or 0,
            payload,
            timestamp,
            into.ts_recent if flags & ACK else 0,
            blocks,
            offer,
        )
        if flags & ACK:
            into.told()
        try:
            self.network.send(frame)
        except OSError as error:
            self._soft_error = error
            if error.errno == errno.EMSGSIZE:
                self.scheduler.soon(self._fit)

    def room(self) -> int:
        """Return how many bytes of data the next segment has room for, beside the blocks it will tell."""
        into = self.into
        if self.sack_on and into.has_blocks:
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

    def _reset_peer(self) -> None:
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
        taken = self.out.put(data)
        self.out.output()
        return taken

    def receive(self, limit: int) -> bytes:
        """Return up to so many bytes that have come."""
        data = self.into.queue.take(limit)
        if not self.into.queue.ready_bytes:
            self._told_readable = False
        if data and self.state in RECEIVING and self.into.has_opened():
            self.acknowledge()
        return data

    def shutdown(self) -> None:
        """End our stream behind what was sent."""
        if self.state == ESTABLISHED:
            self.become(FIN_WAIT_1)
        elif self.state == CLOSE_WAIT:
            self.become(LAST_ACK)
        else:
            return
        self.out.fin_queued = True
        self.out.output()

    def close(self) -> None:
        """Let go: see ``seams.TcpConnection``."""
        if self.is_abandoned or self.state == CLOSED:
            return
        self.is_abandoned = True
        if self.state == TIME_WAIT:
            return
        if self.state == SYN_SENT:
            self._end()
        elif self.state == SYN_RECEIVED or self.linger_s == 0 or self.into.queue.ready_bytes:
            self.abort()
        else:
            self.shutdown()
            if self.state == FIN_WAIT_2:
                self._wait_for_fin()

    def abort(self) -> None:
        """Send a reset and forget the connection."""
        if self.state in {CLOSED, TIME_WAIT}:
            self._end()
            return
        if self.state != SYN_SENT:
            self._reset_peer()
        self._end()

    # ── keepalive: RFC 9293 section 3.8.4 ────────────────────────────────────────────────────────────────────────────

    @property
    def keepalive(self) -> bool:
        return self._keepalive_on

    @keepalive.setter
    def keepalive(self, is_on: bool) -> None:
        self._keepalive_on = is_on
        if is_on and self._is_kept_alive:
            self._watch_idleness()

    @property
    def _is_kept_alive(self) -> bool:
        return self._keepalive_on and not self.is_abandoned and self.state in {ESTABLISHED, CLOSE_WAIT, FIN_WAIT_2}

    def _watch_idleness(self) -> None:
        if self._idle is None:
            self._idle = Timer(self.scheduler, self._has_idled)
        self._keepalive = 0
        self._idle.start(self.keepalive_idle_ns)

    def heard(self) -> None:
        """Take note that the peer is there."""
        if self._idle is not None and self._is_kept_alive:
            self._watch_idleness()

    def _has_idled(self) -> None:
        if not self._is_kept_alive:
            return
        assert self._idle is not None
        if self.out.unacknowledged:  # the retransmission timer finds out, as in Linux's tcp_keepalive_timer
            self._idle.start(self.keepalive_idle_ns)
            return
        if self._keepalive >= self.keepalive_count:
            self._reset_peer()
            self.time_out()
            return
        self._keepalive += 1
        self.emit((self.out.next - 1) & WORD, ACK)
        self._idle.start(self.keepalive_interval_ns)

    # ── how it goes on and ends ──────────────────────────────────────────────────────────────────────────────────────

    def receive_frame(self, frame: TcpFrame) -> None:
        """Take a segment of this connection."""
        arrival.take(self, frame)

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
        if not self._told_readable:
            self._told_readable = True
            self.user.readable()

    def our_fin_is_acknowledged(self) -> None:
        """Go on where the peer has heard that our stream has ended."""
        if self.state == FIN_WAIT_1:
            self.become(FIN_WAIT_2)
            if self.is_abandoned:
                self._wait_for_fin()
        elif self.state == CLOSING:
            self.wait_time()
        elif self.state == LAST_ACK:
            self._end()
            self.user.finished()

    def _wait_for_fin(self) -> None:
        """Wait for the peer's FIN, but not for ever: nobody would read what comes before it."""
        if self.profile.fin_wait_2_ns is not None:
            self._end_after(self.profile.fin_wait_2_ns)

    def _end_after(self, delay_ns: int) -> None:
        self._last = self._last or Timer(self.scheduler, self._end)
        self._last.start(delay_ns)

    def their_fin(self) -> None:
        """Go on where the peer's stream has ended."""
        self.must_ack = True
        if self.state == ESTABLISHED:
            self.become(CLOSE_WAIT)
        elif self.state == FIN_WAIT_1:
            self.become(CLOSING)  # or TIME-WAIT, if our FIN is acknowledged by the same segment: that came first
        elif self.state == FIN_WAIT_2:
            self.acknowledge()
            self.wait_time()

    def wait_time(self) -> None:
        """Wait until no segment of this connection can be anywhere any more: RFC 9293 section 3.6.1."""
        was_waiting = self.state == TIME_WAIT
        if not was_waiting:
            self.become(TIME_WAIT)
            self.out.halt()
        self._end_after(self.profile.time_wait_ns)
        if not was_waiting:
            self.user.finished()

    def time_out(self) -> None:
        """Give up: the peer has not answered for too long."""
        self.fail(self._soft_error or timed_out())

    def fail(self, error: OSError) -> None:
        """End, and tell the user why."""
        self._error = error
        self._end()
        if not self.is_abandoned:
            self.user.failed(error)

    def _end(self) -> None:
        if self.state != CLOSED:
            self.become(CLOSED)
        self.halt()
        self.tcp.forget(self)

    def halt(self) -> None:
        """Let no timer ring any more."""
        self.out.halt()
        self.into.halt()
        for timer in (self._idle, self._last):
            if timer is not None:
                timer.cancel()

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
            "recovery": out.recovery,
            "unacknowledged": out.unacknowledged,
            "acknowledged": out.una - self.iss,
            "received": self.into.queue.next,
        }
