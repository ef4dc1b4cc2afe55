"""An interface: a port with addresses, and the neighbours that are heard through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.sim.addresses import (
    BROADCAST_MAC,
    BROADCAST_V4,
    is_multicast,
    is_v4,
    network_of,
)
from portside.sim.frame import AnyFrame, AnyIpFrame
from portside.sim.ip.groups import ALL_NODES, group_mac, link_local_of, solicited_node
from portside.sim.ip.neighbors import Neighbors
from portside.sim.port import Port

if TYPE_CHECKING:
    from portside.sim.ip.stack import Stack


class Interface:
    """One port of a host. ``networks`` are its addresses with their prefixes, its link-local one among them."""

    def __init__(self, stack: Stack, name: str, mac: int, networks: list[tuple[int, int]], port: Port) -> None:
        self.stack = stack
        self.name = name
        self.mac = mac
        self.port = port
        self.mtu = port.mtu
        self.networks = [*networks, (link_local_of(mac), 64)]
        self.groups: dict[int, int] = {}  # with how many have joined
        self.neighbors = Neighbors(self)
        self._known = self.neighbors.known
        self.broadcasts = frozenset(
            network_of(address, prefix) | ((1 << (128 - prefix)) - 1)
            for address, prefix in networks
            if is_v4(address) and prefix < 127
        )
        self._group_macs = frozenset(
            [
                BROADCAST_MAC,
                group_mac(ALL_NODES),
                *(group_mac(solicited_node(a)) for a, _ in self.networks if not is_v4(a)),
            ]
        )

    # ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────

    def reaches(self, address: int) -> bool:
        """Return whether the address is on a network of this interface."""
        return any(network_of(address, prefix) == network_of(own, prefix) for own, prefix in self.networks)

    def address_for(self, target: int) -> int | None:
        """Return which address to send from: one of the target's network, else the first of its version and scope.

        RFC 6724 section 5, rules 2 and 8; RFC 1122 section 3.3.4.3.
        """
        version = [(own, prefix) for own, prefix in self.networks if is_v4(own) == is_v4(target)]
        for own, prefix in version:
            if network_of(target, prefix) == network_of(own, prefix):
                return own
        return version[0][0] if version else None

    def is_broadcast(self, address: int) -> bool:
        """Return whether everybody on the link is meant."""
        return address == BROADCAST_V4 or address in self.broadcasts

    def join(self, group: int) -> None:
        """Hear what is sent to a group."""
        self.groups[group] = self.groups.get(group, 0) + 1
        self._group_macs |= {group_mac(group)}

    def leave(self, group: int) -> None:
        """Hear it no more, when all who had joined have left."""
        self.groups[group] -= 1
        if not self.groups[group]:
            del self.groups[group]

    # ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, frame: AnyFrame) -> None:
        """Take a frame from the port, if it is for us."""
        target = frame.target_mac
        if target == self.mac or target in self._group_macs:
            self.stack.hear(frame, self)

    def send(self, frame: AnyIpFrame, next_hop: int) -> None:
        """Put a packet onto the wire, to the neighbour that is the next hop."""
        mac = self._known.get(next_hop)
        if mac is not None:
            frame.source_mac = self.mac
            frame.target_mac = mac
            self.port.send(frame)
        elif next_hop in self.broadcasts or next_hop == BROADCAST_V4:
            self.put(frame, BROADCAST_MAC)
        elif is_multicast(next_hop):
            self.put(frame, group_mac(next_hop))
        else:
            self.neighbors.send(frame, next_hop)

    def put(self, frame: AnyFrame, mac: int) -> None:
        """Put a frame onto the wire, to that MAC address."""
        frame.source_mac = self.mac
        frame.target_mac = mac
        frame.encoded = None
        self.port.send(frame)
