"""Users of simulated TCP connections, for tests without a loop: they note what they are told."""

from __future__ import annotations

from typing import Any

from portside.sim.addresses import to_int
from portside.sim.chance import stream
from portside.sim.clock import Scheduler
from portside.sim.impairments import LinkSettings
from portside.sim.ip.stack import Stack
from portside.sim.link import Link
from portside.sim.profile import LINUX, Profile
from portside.sim.tcp import Tcp

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

    def _host(self, name: str, address: str, mac: int, seed: int, profile: Profile, mtu: int) -> Any:
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
