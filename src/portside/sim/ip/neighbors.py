"""Who has which MAC address: ARP (RFC 826) and neighbour discovery (RFC 4861), with one cache for both.

An entry that was confirmed is REACHABLE for a while, then STALE: it is used on, and the next packet through it begins
a check: DELAY, then PROBE. An address that nobody answers for is unreachable, and who waits for it is told.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal

from portside.sim.addresses import BROADCAST_MAC, from_ip, is_v4, to_ip
from portside.sim.clock import SECOND
from portside.sim.frame import AnyFrame, AnyIpFrame, ArpFrame, IcmpFrame
from portside.sim.ip.groups import ALL_NODES, group_mac, solicited_node
from portside.wire.arp import Arp
from portside.wire.ethernet import MacAddress
from portside.wire.icmpv6 import NeighborAdvertisement, NeighborSolicitation
from portside.wire.neighbor import LinkLayerAddress

if TYPE_CHECKING:
    from portside.sim.ip.interface import Interface

WAITING_MAX: Final = 101  # packets that wait for one neighbour: with 2 KiB each Linux's unres_qlen_bytes, 212,992
ENTRIES_MAX: Final = 4_096
DELAY_NS: Final = 5 * SECOND  # DELAY_FIRST_PROBE_TIME of RFC 4861 section 10
REQUEST: Final = 1
REPLY: Final = 2
ND_TTL: Final = 255  # RFC 4861 section 7.1: it proves that no router has passed the message on

State = Literal["INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE"]


class Neighbor:
    """One entry of the cache: RFC 4861 section 7.3.2."""

    __slots__ = ("address", "confirmed_ns", "mac", "state", "tries", "turn", "waiting")

    def __init__(self, address: int) -> None:
        self.address = address
        self.mac: int | None = None
        self.state: State = "INCOMPLETE"
        self.tries = 0
        self.turn = 0  # counts changes: a timer that was set before the last one has nothing to say
        self.confirmed_ns = 0
        self.waiting: deque[AnyIpFrame] = deque(maxlen=WAITING_MAX)


class Neighbors:
    """The cache of an interface. ``known`` is its short form, for packets that need no check."""

    def __init__(self, interface: Interface) -> None:
        self._interface = interface
        self._entries: dict[int, Neighbor] = {}
        self.known: dict[int, int] = {}

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, frame: AnyIpFrame, next_hop: int) -> None:
        """Send a packet to a neighbour who is not in ``known``: ask for it, or check whether it is still there."""
        entry = self._entries.get(next_hop)
        if entry is None:
            entry = self._new(next_hop)
        if entry.mac is None:
            entry.waiting.append(frame)
            if entry.state == "INCOMPLETE" and entry.tries == 0:
                self._ask(entry)
            return
        self._interface.put(frame, entry.mac)
        if entry.state == "STALE":
            self._become(entry, "DELAY")
            self._after(entry, DELAY_NS, self._probe)

    def _new(self, address: int) -> Neighbor:
        if len(self._entries) >= ENTRIES_MAX:
            oldest = min(self._entries.values(), key=lambda one: one.confirmed_ns)
            self._forget(oldest)
        entry = self._entries[address] = Neighbor(address)
        return entry

    def _forget(self, entry: Neighbor) -> None:
        entry.turn += 1
        self._entries.pop(entry.address, None)
        self.known.pop(entry.address, None)

    def _become(self, entry: Neighbor, state: State) -> None:
        entry.state = state
        entry.turn += 1

    def _after(self, entry: Neighbor, delay_ns: int, act: Any) -> None:
        turn = entry.turn

        def look(_: object) -> None:
            if entry.turn == turn:
                act(entry)

        self._interface.stack.scheduler.after(delay_ns, look)

    def _ask(self, entry: Neighbor) -> None:
        """Ask everybody, and again until somebody answers or enough was asked. RFC 1122 section 2.3.2.1."""
        profile = self._interface.stack.profile
        if entry.tries >= profile.arp_tries:
            self._give_up(entry)
            return
        entry.tries += 1
        self._solicit(entry, None)
        self._after(entry, profile.arp_retry_ns, self._ask)

    def _probe(self, entry: Neighbor) -> None:
        """Ask the neighbour itself whether it is there. RFC 4861 section 7.3.3."""
        profile = self._interface.stack.profile
        if entry.state != "PROBE":
            entry.tries = 0
            self._become(entry, "PROBE")
        if entry.tries >= profile.arp_tries:
            self._give_up(entry)
            return
        entry.tries += 1
        self._solicit(entry, entry.mac)
        self._after(entry, profile.arp_retry_ns, self._probe)

    def _give_up(self, entry: Neighbor) -> None:
        self._forget(entry)
        for frame in entry.waiting:
            self._interface.stack.unreachable(frame)

    def _solicit(self, entry: Neighbor, mac: int | None) -> None:
        """Ask who has the address: everybody, or that MAC alone."""
        interface = self._interface
        source = interface.address_for(entry.address)
        if source is None:
            return
        if is_v4(entry.address):
            asked = self._arp(REQUEST, source, 0, entry.address)
            interface.put(asked, BROADCAST_MAC if mac is None else mac)
            return
        solicitation = NeighborSolicitation(_v6(entry.address), (LinkLayerAddress(_mac(interface.mac)),))
        target = entry.address if mac is not None else solicited_node(entry.address)
        frame = IcmpFrame(source, target, solicitation, 32, ND_TTL)
        interface.put(frame, mac if mac is not None else group_mac(target))

    def _arp(self, operation: int, source: int, target_mac: int, target: int) -> ArpFrame:
        own = _mac(self._interface.mac)
        message = Arp(operation, own, _v4(source), _mac(target_mac), _v4(target))
        return ArpFrame(self._interface.mac, target_mac, message)

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def confirm(self, address: int, mac: int) -> None:
        """Take note that the neighbour has answered: it is there, with this MAC address."""
        entry = self._entries.get(address) or self._new(address)
        stack = self._interface.stack
        entry.mac, entry.tries, entry.confirmed_ns = mac, 0, stack.scheduler.now
        self._become(entry, "REACHABLE")
        self.known[address] = mac
        self._after(entry, stack.profile.neighbor_reachable_ns, self._age)
        self._flush(entry)

    def _age(self, entry: Neighbor) -> None:
        self.known.pop(entry.address, None)
        self._become(entry, "STALE")

    def learn(self, address: int, mac: int, *, create: bool) -> None:
        """Take note of a MAC address that nobody has asked for: used, but to be checked. RFC 4861 section 7.2.3."""
        entry = self._entries.get(address)
        if entry is None:
            if not create:
                return
            entry = self._new(address)
        if entry.mac == mac and entry.state != "INCOMPLETE":
            return
        entry.mac, entry.tries = mac, 0
        self.known.pop(address, None)
        self._become(entry, "STALE")
        self._flush(entry)

    def _flush(self, entry: Neighbor) -> None:
        waiting, entry.waiting = entry.waiting, deque(maxlen=WAITING_MAX)
        for frame in waiting:
            self.send(frame, entry.address)

    def hear_arp(self, frame: ArpFrame) -> None:
        """Take a message of ARP: RFC 826, "Packet Reception". Whose entry is there is updated in any case."""
        message, interface = frame.message, self._interface
        sender, target = from_ip(message.sender_ip), from_ip(message.target_ip)
        mac = int.from_bytes(message.sender_mac.packed)
        if mac == interface.mac or mac & (1 << 40):
            return
        is_for_us = any(own == target for own, _ in interface.networks)
        if message.operation == REPLY and is_for_us:
            if sender in self._entries:  # an answer that nobody asked for is no entry: as Linux's arp_accept=0
                self.confirm(sender, mac)
            return
        if sender & 0xFFFF_FFFF:
            self.learn(sender, mac, create=is_for_us)
        if message.operation == REQUEST and is_for_us:
            interface.put(self._arp(REPLY, target, mac, sender), mac)

    def hear_solicitation(self, frame: IcmpFrame, message: NeighborSolicitation) -> None:
        """Answer who asks for an address of ours. RFC 4861 section 7.2.3 and 7.2.4."""
        interface = self._interface
        target = int(message.target)
        if frame.ttl != ND_TTL or all(own != target for own, _ in interface.networks):
            return
        mac = _mac_in(message.options)
        is_detection = frame.source == 0  # somebody looks whether the address is free: RFC 4862 section 5.4
        if not is_detection and mac is not None:
            self.learn(frame.source, mac, create=True)
        advertisement = NeighborAdvertisement(
            message.target,
            is_router=interface.stack.forwards,
            is_solicited=not is_detection,
            is_override=True,
            options=(LinkLayerAddress(_mac(interface.mac), is_target=True),),
        )
        if is_detection:
            interface.put(IcmpFrame(target, ALL_NODES, advertisement, 32, ND_TTL), group_mac(ALL_NODES))
        else:
            interface.send(IcmpFrame(target, frame.source, advertisement, 32, ND_TTL), frame.source)

    def hear_advertisement(self, frame: IcmpFrame, message: NeighborAdvertisement) -> None:
        """Take an answer. RFC 4861 section 7.2.5."""
        address, mac = int(message.target), _mac_in(message.options)
        entry = self._entries.get(address)
        if frame.ttl != ND_TTL or entry is None:
            return
        if mac is None:
            mac = entry.mac
        if mac is None:
            return
        if message.is_solicited and (message.is_override or entry.mac in {None, mac}):
            self.confirm(address, mac)
        elif message.is_override or entry.mac is None:
            self.learn(address, mac, create=False)

    def __iter__(self) -> Any:
        """Yield the entries, as ``ip neighbour`` shows them."""
        return iter(self._entries.values())


def is_neighbor_message(frame: AnyFrame) -> bool:
    """Return whether a frame is about neighbours, and never leaves its link."""
    return isinstance(frame, IcmpFrame) and isinstance(frame.message, NeighborSolicitation | NeighborAdvertisement)


def _mac(mac: int) -> MacAddress:
    return MacAddress(mac.to_bytes(6))


def _mac_in(options: Any) -> int | None:
    return next((int.from_bytes(one.mac.packed) for one in options if isinstance(one, LinkLayerAddress)), None)


def _v4(address: int) -> Any:
    return to_ip(address)


def _v6(address: int) -> Any:
    return to_ip(address)
