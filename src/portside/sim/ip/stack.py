"""A host's network layer: takes what comes to it apart, and sends what its transports and programs say. RFC 1122.

The host is of the weak model (RFC 1122 section 3.3.4.2), as Linux is: an address belongs to the host, and is answered
for at whichever interface it is asked for by IP; by ARP only where it is.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from random import Random
from typing import Final

from portside.errors import MalformedMessage
from portside.sim.addresses import (
    BROADCAST_V4,
    LOOPBACK,
    MAPPED,
    is_link_local,
    is_loopback,
    is_multicast,
    is_v4,
)
from portside.sim.clock import Scheduler
from portside.sim.encoding import decode, open_packet
from portside.sim.frame import (
    ETHERNET_BYTES,
    AnyFrame,
    AnyIpFrame,
    ArpFrame,
    IcmpFrame,
    OpaqueFrame,
    RawFrame,
    TcpFrame,
)
from portside.sim.ip.fragments import Reassembly, cut
from portside.sim.ip.icmp import MTU_EXPIRES_NS, NO_HOST, NO_PROTOCOL, REASSEMBLY_EXCEEDED, Icmp
from portside.sim.ip.interface import Interface
from portside.sim.ip.routes import Route, Routes
from portside.sim.port import ETHERNET_MTU, Port, nowhere
from portside.sim.profile import Profile
from portside.sim.seams import Tcp, Transport, Trouble
from portside.sim.udp import Udp
from portside.wire.numbers import TCP, UDP

LOOPBACK_MTU: Final = 65_536
LOOPBACK_V4: Final = MAPPED | 0x7F00_0001
MTU_MIN_V4: Final = 68  # RFC 791 section 3.2
MTU_MIN_V6: Final = 1_280  # RFC 8200 section 5
MEANINGS_MAX: Final = 4_096
# What an address means to a host: somebody elsewhere, somebody on one link (never to be forwarded), several who hear
# it, the host itself, what must not leave the host.
ABROAD, ON_LINK, MANY, OURS, WITHIN = 1, 2, 3, 4, 5
SOURCE_ROUTES: Final = frozenset({131, 137})  # loose and strict: RFC 791 section 3.1


def os_error(number: int) -> OSError:
    """Return the error that the kernel would give."""
    return OSError(number, os.strerror(number))


class Stack:
    """See the module, and ``seams.Stack`` for what it promises. ``counters`` tell what was dropped, and why."""

    forwards = False
    tcp: Tcp

    def __init__(self, name: str, scheduler: Scheduler, chance: Random, profile: Profile) -> None:
        self.name = name
        self.scheduler = scheduler
        self.chance = chance
        self.profile = profile
        self.interfaces: list[Interface] = []
        self.routes = Routes()
        self.counters: dict[str, int] = {}
        self.icmp = Icmp(self)
        self.udp = Udp(self)
        self.transports: dict[int, Transport] = {UDP: self.udp}
        self.loopback = Port("lo", 0, self._hear_ourselves, LOOPBACK_MTU)
        self.loopback.plug(lambda frame: scheduler.soon(self.loopback.deliver, frame))
        self._own: dict[int, Interface | None] = {LOOPBACK: None, LOOPBACK_V4: None}
        self._meanings: dict[int, int] = {}  # of addresses seen before
        self._mtus: dict[int, tuple[int, int]] = {}  # by target: what is known of the path, and until when
        self._identification = chance.randrange(1 << 16)
        self._reassembly = Reassembly(scheduler, profile.reassembly_ns, self._never_whole)

    # ── how it is set up ─────────────────────────────────────────────────────────────────────────────────────────────

    def add_interface(
        self,
        name: str,
        mac: int,
        networks: Iterable[tuple[int, int]],
        mtu: int = ETHERNET_MTU,
        port: Port | None = None,
    ) -> Interface:
        """Give the host an interface with these addresses and prefixes, at a port of its own or at ``port``."""
        port = port or Port(name, mac, nowhere, mtu)
        interface = Interface(self, name, mac, list(networks), port)
        port.receive_with(interface.receive)
        self.interfaces.append(interface)
        for address, prefix in interface.networks:
            self._own.setdefault(address, interface)
            self.routes.add(address, prefix, interface)
        self._meanings.clear()
        return interface

    def attach_tcp(self, tcp: Tcp) -> None:
        """Let this one be the host's TCP."""
        self.tcp = tcp
        self.transports[TCP] = tcp

    def halt(self) -> None:
        """Fall silent for ever: the host has crashed. Its ports are another stack's from now on."""
        for interface in self.interfaces:
            interface.port = Port(interface.name, interface.mac, nowhere)
        self.loopback.turn(on=False)
        self.tcp.halt()

    def count(self, what: str) -> None:
        """Count something that was dropped."""
        self.counters[what] = self.counters.get(what, 0) + 1

    # ── what addresses are ───────────────────────────────────────────────────────────────────────────────────────────

    def _meaning(self, address: int) -> int:
        """Find out what an address means here, and remember it: every packet asks for two."""
        if is_loopback(address):
            meaning = WITHIN
        elif address in self._own:
            meaning = OURS
        elif is_multicast(address) or self.is_broadcast(address):
            meaning = MANY
        else:
            meaning = ON_LINK if is_link_local(address) else ABROAD
        if len(self._meanings) >= MEANINGS_MAX:
            self._meanings.clear()
        self._meanings[address] = meaning
        return meaning

    def is_ours(self, address: int) -> bool:
        """Return whether the address is one of this host's, its loopback included."""
        return address in self._own or is_loopback(address)

    def is_broadcast(self, address: int) -> bool:
        """Return whether everybody on one of the host's links is meant."""
        return address == BROADCAST_V4 or any(address in interface.broadcasts for interface in self.interfaces)

    def source_for(self, target: int) -> int:
        """Return the address that a packet to there is sent from. Raises: OSError ENETUNREACH without a route."""
        if self.is_ours(target):
            return target
        found = self._route(target).interface.address_for(target)
        if found is None:
            raise os_error(errno.ENETUNREACH)
        return found

    def mtu_to(self, target: int) -> int:
        """Return how many bytes a packet of IP to there may have, as far as is known: RFC 1191, RFC 8201."""
        if self.is_ours(target):
            return LOOPBACK_MTU
        mtu = self._route(target).interface.mtu
        known = self._mtus.get(target)
        if known is None:
            return mtu
        if known[1] <= self.scheduler.now:
            del self._mtus[target]
            return mtu
        return min(mtu, known[0])

    def learn_mtu(self, target: int, mtu: int) -> None:
        """Take note of what a router said about the path, if it can be true and is less than what was known."""
        mtu = max(mtu, MTU_MIN_V4 if is_v4(target) else MTU_MIN_V6)
        try:
            if mtu < self.mtu_to(target):
                self._mtus[target] = (mtu, self.scheduler.now + MTU_EXPIRES_NS)
        except OSError:
            return

    def _route(self, target: int) -> Route:
        route = self.routes.find(target)
        if route is None and (is_multicast(target) or target == BROADCAST_V4):
            wanted = is_v4(target)
            for interface in self.interfaces:
                if any(is_v4(own) == wanted for own, _ in interface.networks):
                    return Route(target, 128, interface)
        if route is None:
            raise os_error(errno.ENETUNREACH)
        return route

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, frame: AnyIpFrame) -> None:
        """Route a packet, cut it up where it must be, and put it on the wire: see ``seams.NetworkLayer``."""
        target = frame.target
        if (self._meanings.get(target) or self._meaning(target)) >= OURS:
            self.loopback.send(frame)
            return
        route = self.routes.cache.get(target) or self._route(target)
        interface = route.interface
        if frame.size - ETHERNET_BYTES > interface.mtu or self._mtus:
            mtu = self.mtu_to(target)
            if frame.size - ETHERNET_BYTES > mtu:
                self._send_cut(frame, route, mtu)
                return
        gateway = route.gateway
        interface.send(frame, target if gateway is None else gateway)

    def _send_cut(self, frame: AnyIpFrame, route: Route, mtu: int) -> None:
        if isinstance(frame, TcpFrame):
            raise os_error(errno.EMSGSIZE)
        self._identification = (self._identification + 1) & 0xFFFF
        for piece in cut(frame, mtu, self._identification):
            route.interface.send(piece, frame.target if route.gateway is None else route.gateway)

    def try_send(self, frame: AnyIpFrame) -> None:
        """Send what nobody waits for; where there is no route, nothing is sent."""
        try:
            self.send(frame)
        except OSError:
            self.count("no route")

    def unreachable(self, frame: AnyIpFrame) -> None:
        """Take note that the next hop of a packet does not answer: tell its sender, whoever that is."""
        if not self.is_ours(frame.source):
            self.icmp.complain(frame, NO_HOST)
            return
        transport = self.transports.get(frame.protocol)
        if transport is not None and not isinstance(frame, OpaqueFrame | IcmpFrame):
            trouble = Trouble(os_error(errno.EHOSTUNREACH), is_hard=False)
            transport.troubled((frame.source, frame.source_port), (frame.target, frame.target_port), trouble)

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, frame: AnyFrame, interface: Interface) -> None:
        """Take a frame that has come in."""
        if isinstance(frame, ArpFrame):
            interface.neighbors.hear_arp(frame)
            return
        if isinstance(frame, RawFrame):
            self._hear_bytes(frame, interface)
            return
        source, target = frame.source, frame.target
        by = self._meanings.get(source) or self._meaning(source)
        to = self._meanings.get(target) or self._meaning(target)
        if by >= OURS or to == WITHIN:
            self.count("martian")  # RFC 1812 section 5.3.7
        elif to >= MANY:
            if isinstance(frame, TcpFrame):
                self.tcp.receive(frame)
            else:
                self._deliver(frame, interface)
        elif not self.forwards:
            self.count("not for us")
        elif ON_LINK in (by, to) or frame.target_mac != interface.mac:
            self.count("not to be forwarded")  # RFC 1812 section 5.3.4, RFC 4291 section 2.5.6
        else:
            self.forward(frame, interface)

    def _hear_bytes(self, frame: RawFrame, interface: Interface) -> None:
        try:
            decoded = decode(frame.data)
        except MalformedMessage:
            self.count("malformed")
            return
        if isinstance(decoded, RawFrame):
            self.count("unknown type")
        else:
            self.hear(decoded, interface)

    def forward(self, frame: AnyIpFrame, interface: Interface) -> None:
        """Send on what is for others: routers do."""

    def _hear_ourselves(self, frame: AnyIpFrame) -> None:
        self._deliver(frame, None)

    def _deliver(self, frame: AnyIpFrame, interface: Interface | None) -> None:
        """Hand a packet to what it is for."""
        if isinstance(frame, OpaqueFrame):
            opened = self._open(frame)
            if opened is None:
                return
            frame = opened
        transport = self.transports.get(frame.protocol)
        if isinstance(frame, IcmpFrame):
            self.icmp.receive(frame, interface)
        elif transport is None or isinstance(frame, OpaqueFrame):
            self.icmp.complain(frame, NO_PROTOCOL, number=0 if is_v4(frame.target) else 6)
        else:
            transport.receive(frame)

    def _open(self, frame: OpaqueFrame) -> AnyIpFrame | None:
        if any(getattr(option, "kind", None) in SOURCE_ROUTES for option in frame.options):
            self.count("source routed")
            return None
        if frame.is_fragment:
            whole = self._reassembly.add(frame)
            if whole is None:
                return None
            frame = whole
        try:
            return open_packet(frame)
        except MalformedMessage:
            self.count("malformed")
            return None

    def _never_whole(self, first: OpaqueFrame) -> None:
        self.count("never whole")
        self.icmp.complain(first, REASSEMBLY_EXCEEDED)

    # ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def join(self, group: int, interface: Interface | None = None) -> None:
        """Hear what is sent to a group, at one interface or the first that is fit for it."""
        (interface or self._route(group).interface).join(group)
