"""Users of simulated TCP connections, for tests without a loop: they note what they are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from portside.sim.addresses import to_int
from portside.sim.chance import stream
from portside.sim.clock import Scheduler
from portside.sim.frame import Offer, TcpFrame
from portside.sim.impairments import LinkSettings
from portside.sim.ip.stack import Stack
from portside.sim.link import Link
from portside.sim.profile import LINUX, RFC, Profile
from portside.sim.tcp import Tcp
from portside.sim.tcp.numbers import WORD

ALICE, BOB = to_int("10.0.0.1"), to_int("10.0.0.2")


class Talker:
    """Sends what it is given as fast as it may, and reads everything at once."""

    def __init__(self, *, reads: bool = True) -> None:
        self.connection: Any = None
        self.told: list[str] = []
        self.errors: list[int | None] = []
        self.received = bytearray()
        self.ended = False
        self.reads = reads
        self._to_send = memoryview(b"")
        self._closes = False

    def say(self, data: bytes, *, close: bool = False) -> None:
        """Send this, and end the stream behind it if ``close``."""
        self._to_send = memoryview(bytes(self._to_send) + data)
        self._closes = self._closes or close
        self.writable()

    def attach(self, connection: Any) -> None:
        self.connection = connection
        connection.user = self
        if connection.readable_bytes or connection.has_ended:
            self.readable()

    def established(self) -> None:
        self.told.append("established")
        self.writable()

    def readable(self) -> None:
        if not self.reads:
            return
        while data := self.connection.receive(65_536):
            self.received += data
        self.ended = self.ended or self.connection.has_ended

    def writable(self) -> None:
        if self.connection is None or self.connection.is_opening:
            return
        while self._to_send:
            taken = self.connection.send(self._to_send)
            self._to_send = self._to_send[taken:]
            if not taken:
                return
        if self._closes:
            self._closes = False
            self.connection.shutdown()

    def failed(self, error: OSError) -> None:
        self.told.append("failed")
        self.errors.append(error.errno)

    def finished(self) -> None:
        self.told.append("finished")


class Pair:
    """Two hosts on one link, each with TCP."""

    def __init__(self, seed: int = 1, profile: Profile = LINUX, mtu: int = 1_500, **link: Any) -> None:
        self.scheduler = Scheduler()
        self.alice = self._host("alice", "10.0.0.1", 1, seed, profile, mtu)
        self.bob = self._host("bob", "10.0.0.2", 2, seed, profile, mtu)
        settings = LinkSettings.of(**(link or {"delay": "10ms"}))
        ports = (self.alice.interfaces[0].port, self.bob.interfaces[0].port)
        self.link = Link("cable", self.scheduler, seed, ports, (settings, settings))
        self.alice.interfaces[0].neighbors.confirm(BOB, 2)
        self.bob.interfaces[0].neighbors.confirm(ALICE, 1)

    def _host(  # noqa: PLR0917 -- what a host is made of
        self, name: str, address: str, mac: int, seed: int, profile: Profile, mtu: int
    ) -> Any:
        stack = Stack(name, self.scheduler, stream(seed, name), profile)
        stack.add_interface("eth0", mac, [(to_int(address), 120)], mtu)
        stack.attach_tcp(Tcp(stack))  # type: ignore[arg-type]
        return stack

    def connect(self, *, reads: bool = True, backlog: int = 10) -> tuple[Talker, Talker]:
        """Return both ends of a connection from alice to bob, before anything was sent."""
        client, server = Talker(), Talker(reads=reads)
        listener = self.bob.tcp.listen((0, 80), backlog, lambda: server.attach(listener.accept()))
        client.connection = self.alice.tcp.connect(client, (BOB, 80))
        return client, server

    def run(self, seconds: float = 60) -> None:
        self.scheduler.run(self.scheduler.now + round(seconds * 1e9))


@dataclass(frozen=True)
class Segment:
    """A segment that the stack has sent, its numbers counted from both initial sequence numbers."""

    flags: str
    sequence: int
    ack: int
    size: int
    window: int
    at_ms: float
    frame: TcpFrame

    @property
    def brief(self) -> tuple[str, int, int]:
        return self.flags, self.sequence, self.size

    @property
    def sack(self) -> list[tuple[int, int]]:
        return [((left - PEER_ISS) & WORD, (right - PEER_ISS) & WORD) for left, right in self.frame.sack]


PEER_ISS = 0xFFFF_FF00  # the numbers of the wire begin anew within the first segments
BITS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}


class Peer:
    """A peer of which every segment is made by hand, facing one host: what RFC 9293's figures draw as the other side.

    Numbers are relative: 0 is a side's SYN, 1 the first byte behind it.
    """

    def __init__(self, profile: Profile = RFC, *, mtu: int = 1_500, port: int = 40_000, seed: int = 1) -> None:
        self.scheduler = Scheduler()
        profile = replace(profile, neighbor_reachable_ns=10**18)  # we speak no ARP
        self.stack: Any = Stack("alice", self.scheduler, stream(seed, "alice"), profile)
        self.port = self.stack.add_interface("eth0", 1, [(ALICE, 120)], mtu).port
        self.stack.attach_tcp(Tcp(self.stack))
        self.tcp: Any = self.stack.tcp
        self.stack.interfaces[0].neighbors.confirm(BOB, 2)
        self.port.tap(self._note)
        self.talker = Talker()
        self.local, self.remote = 80, port  # the stack's port, and ours
        self.iss: int | None = None  # the stack's
        self.clock: int | None = None  # what our segments have as timestamp, None for none
        self.echo: int | None = None
        self._heard: list[Segment] = []

    def _note(self, way: str, frame: Any) -> None:
        if way != "out" or not isinstance(frame, TcpFrame):
            return
        if frame.flags & BITS["S"]:
            self.iss, self.local = frame.sequence, frame.source_port
        names = "".join(name for name in "SFRPA" if frame.flags & BITS[name])
        sequence = (frame.sequence - (self.iss or 0)) & WORD
        ack = (frame.ack - PEER_ISS) & WORD if "A" in names else 0
        at_ms = self.scheduler.now / 1e6
        self._heard.append(Segment(names, sequence, ack, len(frame.payload), frame.window, at_ms, frame))

    def listen(self, backlog: int = 10) -> Any:
        listener = self.tcp.listen((0, 80), backlog, lambda: self.talker.attach(listener.accept()))
        return listener

    def connect(self) -> None:
        self.talker.connection = self.tcp.connect(self.talker, (BOB, self.remote))

    def say(
        self,
        flags: str,
        sequence: int,
        ack: int = 0,
        data: bytes = b"",
        *,
        window: int = 65_535,
        sack: Sequence[tuple[int, int]] = (),
        offer: Offer | None = None,
        clock: int | None = None,
    ) -> list[Segment]:
        """Send a segment, and return what the stack has answered at once."""
        bits = sum(BITS[name] for name in flags)
        iss = self.iss or 0
        number = (iss + ack) & WORD if "A" in flags else 0
        blocks = tuple(((iss + left) & WORD, (iss + right) & WORD) for left, right in sack)
        clock = self.clock if clock is None else clock
        frame = TcpFrame(
            BOB, self.remote, ALICE, self.local, (PEER_ISS + sequence) & WORD, number, bits, window, data,
            clock, self.echo or 0, blocks, offer,
        )  # fmt: skip
        frame.source_mac, frame.target_mac = 2, 1
        self.port.deliver(frame)
        self.run(0)
        return self.heard()

    def heard(self) -> list[Segment]:
        """Return what the stack has sent since this was asked last."""
        heard, self._heard = self._heard, []
        return heard

    def run(self, seconds: float) -> None:
        self.scheduler.run(self.scheduler.now + round(seconds * 1e9))

    def wait(self, seconds: float) -> list[Segment]:
        """Let time pass, and return what the stack sends meanwhile."""
        self.run(seconds)
        return self.heard()

    def open(self, offer: Offer | None = None, *, window: int = 65_535, answer: int | None = None) -> Any:
        """Go through the handshake, the stack being the one that listens; the connection is returned."""
        self.listen()
        self.say("S", 0, window=window, offer=offer)
        self.say("A", 1, 1, window=window if answer is None else answer)
        return self.talker.connection

    @property
    def state(self) -> str:
        return str(self.talker.connection.state)
