"""What a run has done, noted while it runs: every flight of a frame, what each connection knows, queues, faults.

A trace draws no chance and schedules nothing: a run is the same with it and without. Memory is bounded: beyond
``FLIGHTS_MAX`` flights are only counted, and samples of a value are thinned to every second one when there are many.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from portside.sim.addresses import to_text
from portside.sim.clock import SECOND
from portside.sim.frame import AnyFrame, IcmpFrame, TcpFrame, UdpFrame
from portside.sim.link import Fate, Line
from portside.sim.tcp.connection import Connection
from portside.sim.tcp.numbers import SYN
from portside.sim.words import segment_words, words

if TYPE_CHECKING:
    from portside.sim.world import World

FLIGHTS_MAX: Final = 20_000
SAMPLES_MAX: Final = 4_000
ARRIVES: Final = frozenset({"delivered", "overtaken", "duplicated", "damaged"})

Conversation = tuple[str, str, str]  # protocol and both ends, in the order of the first frame


@dataclass(frozen=True, slots=True)
class Flight:
    """A frame on one line: from which device to which, when it began to be sent and arrived, and what became of it."""

    source: str
    target: str
    conversation: Conversation | None
    sent_ns: int
    arrives_ns: int
    fate: Fate
    words: str
    is_again: bool  # carries what was sent before: a retransmission of TCP

    @property
    def arrives(self) -> bool:
        return self.fate in ARRIVES


@dataclass(slots=True)
class Series:
    """A value over time, in seconds since the world began; thinned when there is too much of it."""

    points: list[tuple[float, float]] = field(default_factory=list)
    _every: int = 1
    _seen: int = 0

    def add(self, time_s: float, value: float) -> None:
        """Note a value."""
        self._seen += 1
        if self._seen % self._every:
            return
        self.points.append((time_s, value))
        if len(self.points) >= SAMPLES_MAX:
            del self.points[::2]
            self._every *= 2


@dataclass(slots=True)
class Flow:
    """What one side of a connection knew while it ran; bytes, and times in seconds."""

    host: str
    name: str
    opened_s: float
    segment_bytes: int = 0
    cwnd: Series = field(default_factory=Series)
    ssthresh: Series = field(default_factory=Series)
    srtt: Series = field(default_factory=Series)
    rto: Series = field(default_factory=Series)
    acknowledged: Series = field(default_factory=Series)
    retransmits: int = 0
    timeouts: int = 0
    acknowledged_bytes: int = 0
    last_s: float = 0.0

    @property
    def throughput(self) -> float:
        """Bytes a second that the peer has acknowledged, from the opening to the last acknowledgement."""
        lasted_s = self.last_s - self.opened_s
        return self.acknowledged_bytes / lasted_s if lasted_s > 0 else 0.0


class Trace:
    """Made before the run, of a world whose links are all laid."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.flights: list[Flight] = []
        self.flights_seen = 0
        self.fates: dict[str, Counter[str]] = {}  # of every line, by its name
        self.queues: dict[str, Series] = {}
        self.flows: list[Flow] = []
        self.marks: list[tuple[float, str]] = []
        self.ended_s = 0.0
        self.digest = ""
        self._flows: dict[Connection, Flow] = {}
        self._ends: dict[Line, tuple[str, str]] = {}
        self._highest: dict[tuple[int, int, int, int, Line], int] = {}
        self._initial: dict[tuple[tuple[int, int], tuple[int, int]], int] = {}
        self._conversations: dict[frozenset[str], Conversation] = {}
        for link in world.links:
            (one, _), (other, _) = link.ends
            for line, ends in zip(link.lines, ((one.name, other.name), (other.name, one.name)), strict=True):
                self._ends[line] = ends
                self.fates[line.name] = Counter()
                line.watch(self._saw)
        for host in world.hosts:
            host.watch_connections(partial(self._heard, host.name))

    def mark(self, text: str) -> None:
        """Note that something was done to the world now: a fault, or its end."""
        self.marks.append((self.world.now_s, text))

    def end(self) -> None:
        """Note how the run ended: before its world is closed, in which programs clean up."""
        self.ended_s, self.digest = self.world.now_s, self.world.digest()

    # ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _saw(self, line: Line, frame: AnyFrame, fate: Fate, sent_ns: int, arrives_ns: int) -> None:
        self.flights_seen += 1
        self.fates[line.name][fate] += 1
        if line.settings.rate is not None:
            self.queues.setdefault(line.name, Series()).add(self.world.now_s, line.queued()[0])
        is_again = self._is_again(line, frame)
        if len(self.flights) < FLIGHTS_MAX:
            source, target = self._ends[line]
            conversation = self._conversation(frame)
            flight = Flight(source, target, conversation, sent_ns, arrives_ns, fate, self._words(frame), is_again)
            self.flights.append(flight)

    def _words(self, frame: AnyFrame) -> str:
        """Return the frame in words; numbers of TCP count from the initial ones, where those were seen."""
        if not isinstance(frame, TcpFrame):
            return words(frame)
        ends, back = (frame.source, frame.source_port), (frame.target, frame.target_port)
        if frame.flags & SYN:
            self._initial[ends, back] = frame.sequence
        return segment_words(frame, self._initial.get((ends, back), 0), self._initial.get((back, ends), 0))

    def _is_again(self, line: Line, frame: AnyFrame) -> bool:
        if not isinstance(frame, TcpFrame):
            return False
        length = len(frame.payload) + (frame.flags & 1) + (frame.flags >> 1 & 1)  # FIN and SYN count as one
        if not length:
            return False
        key = (frame.source, frame.source_port, frame.target, frame.target_port, line)
        behind = frame.sequence + length
        highest = self._highest.get(key)
        if (highest is not None and (behind - highest) % 2**32 >= 2**31) or behind == highest:
            return True
        self._highest[key] = behind
        return False

    def _conversation(self, frame: AnyFrame) -> Conversation | None:
        match frame:
            case TcpFrame() | UdpFrame():
                kind = "TCP" if isinstance(frame, TcpFrame) else "UDP"
                one = f"{to_text(frame.source)} port {frame.source_port}"
                other = f"{to_text(frame.target)} port {frame.target_port}"
            case IcmpFrame():
                kind, one, other = "ICMP", to_text(frame.source), to_text(frame.target)
            case _:
                return None
        return self._conversations.setdefault(frozenset((kind, one, other)), (kind, one, other))

    @property
    def conversations(self) -> list[Conversation]:
        """Return who has talked with whom, in the order in which they began."""
        return list(self._conversations.values())

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _heard(self, host: str, connection: Connection, what: str) -> None:
        flow = self._flows.get(connection)
        now_s = self.world.now_s
        if flow is None:
            ends = [f"{to_text(address)}:{port}" for address, port in (connection.local, connection.remote)]
            flow = self._flows[connection] = Flow(host, " → ".join(ends), now_s)
            self.flows.append(flow)
        out = connection.out
        flow.timeouts += what == "timeout"
        flow.retransmits = out.retransmits
        flow.segment_bytes = out.mss
        flow.acknowledged_bytes = max(0, min(out.una, out.end) - connection.iss - 1)
        if what == "acknowledged":
            flow.last_s = now_s
        flow.cwnd.add(now_s, out.congestion.cwnd)
        if out.congestion.ssthresh < 2**61:
            flow.ssthresh.add(now_s, out.congestion.ssthresh)
        if out.rtt.srtt_ns is not None:
            flow.srtt.add(now_s, out.rtt.srtt_ns / SECOND)
        flow.rto.add(now_s, out.rtt.rto_ns / SECOND)
        flow.acknowledged.add(now_s, flow.acknowledged_bytes)
