"""The router that translates: inside it has private addresses, outside one that stands for all. RFC 3022 section 2.2.

Only IPv4 is translated; IPv6 passes as through any router. Frames that are sent belong to nobody, so what is translated
is always a copy; checksums are made when somebody asks for bytes.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, Final, Literal

from portside.errors import MalformedMessage
from portside.sim.addresses import is_v4
from portside.sim.clock import Scheduler
from portside.sim.frame import ETHERNET_BYTES, AnyFrame, AnyIpFrame, IcmpFrame, IpFrame, OpaqueFrame, TcpFrame, UdpFrame
from portside.sim.ip.icmp import NO_PORT, NO_ROUTE, TOO_BIG, TTL_EXCEEDED, read_quote
from portside.sim.ip.interface import Interface
from portside.sim.ip.stack import ABROAD
from portside.sim.nat.policy import Policy
from portside.sim.nat.quotes import retold
from portside.sim.nat.table import Mapping, Table
from portside.sim.profile import Profile
from portside.sim.router import Router
from portside.sim.seams import End
from portside.sim.tcp.numbers import ACK, SYN
from portside.wire.icmp import Echo, ParameterProblem, TimeExceeded, Unreachable
from portside.wire.numbers import ICMP, TCP, UDP

HELD_MAX: Final = 1_024  # SYNs that nobody has asked for, and that nothing is said of yet


class Translator(Router):
    """A NAT: so many first interfaces are ``inside``, and the next one is outside."""

    def __init__(  # noqa: PLR0917 -- a stack's, and its own two
        self, name: str, scheduler: Scheduler, chance: Random, profile: Profile, policy: Policy, inside: int = 1
    ) -> None:
        super().__init__(name, scheduler, chance, profile)
        self._inside = inside
        self.table = Table(scheduler, chance, policy)
        self._held = 0

    @property
    def outside(self) -> Interface:
        return self.interfaces[self._inside]

    @property
    def address(self) -> int:
        """The address that stands for all who are inside."""
        return next(address for address, _ in self.outside.networks if is_v4(address))

    # ── which way ────────────────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, frame: AnyFrame, interface: Interface) -> None:
        if isinstance(frame, IpFrame) and is_v4(frame.target) and frame.target_mac == interface.mac:
            if interface is self.outside:
                if frame.target == self.address:
                    self._from_outside(frame)
                    return
            elif frame.target == self.address or (
                (self._meanings.get(frame.target) or self._meaning(frame.target)) == ABROAD
                and self._leads_outside(frame.target)
            ):
                self._from_inside(frame, interface)
                return
        super().hear(frame, interface)

    def _leads_outside(self, target: int) -> bool:
        route = self.routes.find(target)
        return route is None or route.interface is self.outside

    def forward(self, frame: AnyIpFrame, interface: Interface) -> None:
        """Send on what needs no translation: between networks inside, and IPv6. By address nobody gets in."""
        if interface is self.outside and is_v4(frame.target) and not self._leads_outside(frame.target):
            self.count("nat: for an inner address")
            return
        super().forward(frame, interface)

    # ── from inside ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _from_inside(self, frame: AnyIpFrame, interface: Interface) -> None:
        opened = self._opened(frame)
        if opened is None:
            return
        if not interface.reaches(opened.source) and self._leads_outside(opened.source):
            self.count("nat: from no inner address")  # RFC 2827: a source that answers would not find
            return
        if opened.target == self.address and not self._is_mapped(opened):
            super().hear(opened, interface)  # for the box itself
            return
        if isinstance(opened, IcmpFrame) and not isinstance(opened.message, Echo):
            self._error_from_inside(opened, interface)
            return
        if not self._may_pass(opened, opened.target, interface):
            return
        flow = _ends(opened)
        if flow is None:
            self.count("nat: a protocol without ports")
            return
        inner, remote = flow
        if isinstance(opened, IcmpFrame):
            remote = (remote[0], 0)
        mapping = self.table.outward(opened.protocol, inner, remote, _flags(opened))
        if mapping is None:
            self.count("nat: no port or no room")
            return
        translated = _readdressed(opened, "source", (self.address, mapping.outer_port))
        if opened.target == self.address:
            self._turn_back(translated)
        else:
            self._send_on(translated)

    def _turn_back(self, frame: AnyIpFrame) -> None:
        """Let somebody inside reach somebody inside by the outer address: hairpinning, RFC 4787 REQ-9."""
        mapping = self._mapping_for(frame)
        if mapping is None:
            self.count("nat: filtered")
        else:
            turned = _readdressed(frame, "target", mapping.inner)
            turned.ttl = frame.ttl  # one hop, not two
            self._send_on(turned)

    def _error_from_inside(self, frame: IcmpFrame, interface: Interface) -> None:
        """Pass on what somebody inside says of a packet that came from outside: RFC 5508 REQ-5."""
        message: Any = frame.message
        quoted = self._quoted(message)
        if quoted is None or not self._may_pass(frame, frame.target, interface):
            return
        protocol, _, inner = quoted
        mapping = self.table.of(protocol, inner)
        if mapping is None:
            self.count("nat: an error about nothing")
            return
        original = retold(message.original, protocol, (self.address, mapping.outer_port), is_source=False)
        self._send_on(
            frame.changed(source=self.address, message=replace(message, original=original), ttl=frame.ttl - 1)
        )

    # ── from outside ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _from_outside(self, frame: AnyIpFrame) -> None:
        opened = self._opened(frame)
        if opened is None:
            return
        if isinstance(opened, IcmpFrame) and not isinstance(opened.message, Echo):
            self._error_from_outside(opened)
            return
        if isinstance(opened, TcpFrame) and self.tcp.is_connected(opened):
            super().hear(opened, self.outside)  # whoever else has that port
            return
        mapping = self._mapping_for(opened)
        if mapping is not None:
            if self._may_pass(opened, mapping.inner[0], self.outside):
                self._send_on(_readdressed(opened, "target", mapping.inner))
        elif self._is_our_own(opened):
            super().hear(opened, self.outside)
        elif isinstance(opened, TcpFrame) and opened.flags & (SYN | ACK) == SYN:
            self._hold(opened)
        else:
            self.count("nat: filtered")

    def _error_from_outside(self, frame: IcmpFrame) -> None:
        """Pass on what a router, or the peer, says of a packet from inside: RFC 5508 REQ-4; what is ours we hear."""
        message: Any = frame.message
        if not isinstance(message, _ERRORS):
            super().hear(frame, self.outside)  # a redirect is for who has sent on this link: for the box
            return
        quoted = self._quoted(message)
        if quoted is None:
            return
        protocol, (_, port), _ = quoted
        mapping = self.table.at(protocol, port)
        if mapping is None:
            super().hear(frame, self.outside)
            return
        if not self._may_pass(frame, mapping.inner[0], self.outside):
            return
        original = retold(message.original, protocol, mapping.inner, is_source=True)
        self._send_on(
            frame.changed(target=mapping.inner[0], message=replace(message, original=original), ttl=frame.ttl - 1)
        )

    def _hold(self, frame: TcpFrame) -> None:
        """Say nothing of a SYN for six seconds: it may be one half of a simultaneous open. RFC 5382 REQ-4."""
        if self._held >= HELD_MAX:
            self.count("nat: filtered")
            return
        self._held += 1

        def tell(_: object) -> None:
            self._held -= 1
            if self._mapping_for(frame) is None:
                self.icmp.complain(frame, NO_PORT)

        self.scheduler.after(self.table.policy.syn_held_ns, tell)

    def _is_our_own(self, frame: AnyIpFrame) -> bool:
        """Return whether the box itself is meant: it answers pings, and may have programs."""
        if isinstance(frame, TcpFrame):
            return self.tcp.is_heard(frame)
        if isinstance(frame, UdpFrame):
            return any(socket.local[1] == frame.target_port for socket in self.udp.sockets())
        return isinstance(frame, IcmpFrame) and isinstance(frame.message, Echo)

    # ── both ways ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _opened(self, frame: AnyIpFrame) -> AnyIpFrame | None:
        """Return the packet with its ports, whole: fragments are put together first, in any order (RFC 4787 REQ-14)."""
        return self._open(frame) if isinstance(frame, OpaqueFrame) else frame

    def _is_mapped(self, frame: AnyIpFrame) -> bool:
        """Return whether a packet for the outer address is for somebody inside; a ping is for the box itself."""
        flow = None if isinstance(frame, IcmpFrame) else _ends(frame)
        return flow is not None and self.table.at(frame.protocol, flow[1][1]) is not None

    def _mapping_for(self, frame: AnyIpFrame) -> Mapping | None:
        flow = _ends(frame)
        if flow is None:
            return None
        remote, (_, port) = flow
        if isinstance(frame, IcmpFrame):
            if not isinstance(frame.message, Echo) or not frame.message.is_reply:
                return None
            remote = (remote[0], 0)
        return self.table.inward(frame.protocol, port, remote, _flags(frame))

    def _quoted(self, message: Any) -> tuple[int, End, End] | None:
        """Return protocol and both ends of the packet that an error is about, None if it cannot be told."""
        try:
            quote = read_quote(message.original, v4=True) if isinstance(message, _ERRORS) else None
        except MalformedMessage:
            quote = None
        if quote is None or quote.offset or len(quote.payload) < 8 or quote.protocol not in _WITH_PORTS:
            self.count("nat: an error about nothing")
            return None
        head = quote.payload
        if quote.protocol == ICMP:
            identifier = int.from_bytes(head[4:6])
            return ICMP, (quote.source, identifier), (quote.target, identifier)
        ports = int.from_bytes(head[:2]), int.from_bytes(head[2:4])
        return quote.protocol, (quote.source, ports[0]), (quote.target, ports[1])

    def _may_pass(self, frame: AnyIpFrame, target: int, came_in: Interface) -> bool:
        """Say to the sender, of the packet as it knows it, what a router would; return whether there is nothing."""
        here = came_in.address_for(frame.source) or 0
        route = self.routes.find(target)
        if frame.ttl <= 1:
            self.icmp.complain(frame, TTL_EXCEEDED, source=here)
        elif route is None:
            self.icmp.complain(frame, NO_ROUTE, source=here)
        elif frame.dont_fragment and frame.size - ETHERNET_BYTES > route.interface.mtu:
            self.icmp.complain(frame, TOO_BIG, route.interface.mtu, here)
        else:
            return True
        return False

    def _send_on(self, frame: AnyIpFrame) -> None:
        """Route a packet that is translated; its time to live is less by one already."""
        try:
            self.send(frame)
        except OSError:
            self.count("no route")


_ERRORS: Final = (Unreachable, TimeExceeded, ParameterProblem)
_WITH_PORTS: Final = frozenset({TCP, UDP, ICMP})


def _ends(frame: AnyIpFrame) -> tuple[End, End] | None:
    """Return both ends of a packet; the identifier of a query stands for its ports (RFC 5508 section 3)."""
    if isinstance(frame, TcpFrame | UdpFrame):
        return (frame.source, frame.source_port), (frame.target, frame.target_port)
    if isinstance(frame, IcmpFrame) and isinstance(frame.message, Echo):
        identifier = frame.message.identifier
        return (frame.source, identifier), (frame.target, identifier)
    return None


def _flags(frame: AnyIpFrame) -> int:
    return frame.flags if isinstance(frame, TcpFrame) else 0


def _readdressed(frame: AnyIpFrame, which: Literal["source", "target"], end: End) -> AnyIpFrame:
    """Return a copy of a packet with another end, and one hop less to live."""
    fields: dict[str, Any] = {which: end[0], "ttl": frame.ttl - 1}
    if isinstance(frame, IcmpFrame):
        message: Any = frame.message
        fields["message"] = replace(message, identifier=end[1])
    else:
        fields[f"{which}_port"] = end[1]
    return frame.changed(**fields)
