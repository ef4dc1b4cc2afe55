"""Which packets are wanted: asked of a packet that is taken apart, and as the condition the kernel asks of it before.

The kernel's condition is the coarser one. It keeps whatever might be wanted (IPv6 with extension headers, ICMP errors
that quote a packet, frames with a tag), so that what it costs to decide exactly is paid for few packets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal, TypeAlias

from portside.address import IPAddress
from portside.observe.packets.dissect import DNS_PORTS, Dissected, Layer
from portside.wire import numbers
from portside.wire.arp import Arp
from portside.wire.bpf import NOTE_HARDWARE, NOTE_PACKET_TYPE, NOTE_PROTOCOL, AllOf, AnyOf, Compare, Condition, Not
from portside.wire.ipv4 import IPv4Packet
from portside.wire.ipv6 import IPv6Packet
from portside.wire.ipv6_extensions import EXTENSIONS
from portside.wire.tcp import Segment
from portside.wire.udp import Datagram

Protocol: TypeAlias = Literal["tcp", "udp", "icmp", "arp", "dns"]
PROTOCOLS: Final[tuple[Protocol, ...]] = ("tcp", "udp", "icmp", "arp", "dns")
Network: TypeAlias = IPv4Network | IPv6Network

_NUMBERS: Final[dict[Protocol, set[int]]] = {
    "tcp": {numbers.TCP},
    "udp": {numbers.UDP},
    "icmp": {numbers.ICMP, numbers.ICMPV6},
}
_LOOPBACK: Final = 772  # ARPHRD_LOOPBACK, net/if_arp.h
_FROM_US: Final = 4  # PACKET_OUTGOING, linux/if_packet.h


@dataclass(frozen=True, slots=True)
class Wanted:
    """Ports at either end, networks of either end, protocols; each may be empty, and then says nothing.

    A packet must fit one of each kind. An ICMP error fits the ports of the packet it is about.
    """

    ports: frozenset[int] = frozenset()
    networks: tuple[Network, ...] = ()
    protocols: frozenset[Protocol] = frozenset()

    @property
    def is_everything(self) -> bool:
        return not (self.ports or self.networks or self.protocols)

    @property
    def words(self) -> str:
        """The filter as people read it, empty for everything."""
        parts = (
            [f"protocol {name}" for name in sorted(self.protocols)],
            [f"host {network.with_prefixlen.removesuffix(_whole(network))}" for network in self.networks],
            [f"port {port}" for port in sorted(self.ports)],
        )
        return ", ".join(" or ".join(part) for part in parts if part)

    def fits(self, dissected: Dissected) -> bool:
        """Return whether the packet is wanted."""
        own = dissected.own
        return (
            (not self.protocols or any(self._is_protocol(name, own) for name in self.protocols))
            and (not self.networks or any(self._is_from_or_to(layer) for layer in own))
            and (not self.ports or bool(self.ports & _ports_of(dissected)))
        )

    @staticmethod
    def _is_protocol(name: Protocol, layers: list[Layer]) -> bool:
        match name:
            case "dns":
                return bool(DNS_PORTS & _ports_in(layers))
            case "arp":
                return any(layer.name == "arp" for layer in layers)
        # By number, for a later fragment has no header of its own.
        carried = {layer.value.protocol for layer in layers if isinstance(layer.value, IPv4Packet | IPv6Packet)}
        return bool(carried & _NUMBERS[name])

    def _is_from_or_to(self, layer: Layer) -> bool:
        return any(ip in network for ip in _addresses_of(layer) for network in self.networks)

    # ── for the kernel ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def condition(self) -> Condition:
        """What to ask the kernel: true of all that ``fits``, but for the second sight of a packet on loopback."""
        once = Not(AllOf((_note(NOTE_HARDWARE, _LOOPBACK), _note(NOTE_PACKET_TYPE, _FROM_US))))
        if self.is_everything:
            return once
        tagged = AnyOf(tuple(_protocol(kind) for kind in (numbers.ETHERTYPE_VLAN, numbers.ETHERTYPE_SERVICE_VLAN)))
        kinds = AnyOf((tagged, self._ipv4_condition(), self._ipv6_condition(), self._arp_condition()))
        return AllOf((once, kinds))

    def _ipv4_condition(self) -> Condition:
        is_first = Compare(0, 6, 2, mask=0x1FFF)  # of a later fragment nobody knows the ports
        ports = AllOf((is_first, self._ports_condition(lambda port, at: Compare(port, at, 2, place="behind IPv4"))))
        transports = self._transports(_ipv4_carries, numbers.ICMP, ports if self._asked_ports else AllOf())
        tunnels = AnyOf((_ipv4_carries(numbers.IPV4), _ipv4_carries(numbers.IPV6)))
        plain = AllOf((self._hosts_condition(4, 12, 16), transports))
        return AllOf((_protocol(numbers.ETHERTYPE_IPV4), AnyOf((tunnels, plain))))

    def _ipv6_condition(self) -> Condition:
        ports = self._ports_condition(lambda port, at: Compare(port, 40 + at, 2))
        further = sorted(EXTENSIONS | {numbers.IPV4, numbers.IPV6})
        transports = self._transports(_ipv6_carries, numbers.ICMPV6, ports)
        plain = AllOf((self._hosts_condition(6, 8, 24), transports))
        return AllOf((_protocol(numbers.ETHERTYPE_IPV6), AnyOf((*map(_ipv6_carries, further), plain))))

    def _arp_condition(self) -> Condition:
        is_wanted = not self.ports and (not self.protocols or "arp" in self.protocols)
        hosts = self._hosts_condition(4, 14, 24)
        return AllOf((_protocol(numbers.ETHERTYPE_ARP), hosts)) if is_wanted else AnyOf()

    def _transports(self, carries: Callable[[int], Condition], icmp: int, ports: Condition) -> Condition:
        """Return what to ask of what IP carries."""
        if not self.protocols and not self.ports:
            return AllOf()
        wanted = [carries(icmp)] if not self.protocols or "icmp" in self.protocols else []
        for number, name in ((numbers.TCP, "tcp"), (numbers.UDP, "udp")):
            if not self.protocols or self.protocols & {name, "dns"}:
                wanted.append(AllOf((carries(number), ports)))
        return AnyOf(tuple(wanted))

    @property
    def _asked_ports(self) -> frozenset[int]:
        # Another protocol may be wanted beside DNS, on any port: DNS's own decide only where there is none.
        is_dns_alone = "dns" in self.protocols and not self.protocols & {"tcp", "udp"}
        return self.ports or (DNS_PORTS if is_dns_alone else frozenset())

    def _ports_condition(self, compare: Callable[[int, int], Condition]) -> Condition:
        """Return what to ask of the ports, which are at the offsets 0 and 2 of both transports."""
        if not self._asked_ports:
            return AllOf()
        return AnyOf(tuple(compare(port, at) for port in sorted(self._asked_ports) for at in (0, 2)))

    def _hosts_condition(self, version: int, source: int, target: int) -> Condition:
        """Return what to ask of the addresses at these two offsets."""
        if not self.networks:
            return AllOf()
        return AnyOf(
            tuple(
                _in_network(network, at)
                for network in self.networks
                if network.version == version
                for at in (source, target)
            )
        )


def _whole(network: Network) -> str:
    return f"/{network.max_prefixlen}"


def _note(note: int, value: int) -> Compare:
    return Compare(value, note, 2, place="notes")


def _ipv4_carries(number: int) -> Condition:
    return Compare(number, 9, 1)


def _ipv6_carries(number: int) -> Condition:
    return Compare(number, 6, 1)


def _protocol(ethertype: int) -> Compare:
    return _note(NOTE_PROTOCOL, ethertype)


def _in_network(network: Network, at: int) -> Condition:
    """Return the comparisons, word by word, that say whether the address at the offset is in the network."""
    address, mask = network.network_address.packed, network.netmask.packed
    words = []
    for place in range(0, len(address), 4):
        bits = int.from_bytes(mask[place : place + 4], "big")
        if bits:
            value = int.from_bytes(address[place : place + 4], "big")
            words.append(Compare(value, at + place, 4, None if bits == 0xFFFF_FFFF else bits))
    return AllOf(tuple(words))


def _ports_in(layers: list[Layer]) -> frozenset[int]:
    values = [layer.value for layer in layers if isinstance(layer.value, Segment | Datagram)]
    return frozenset(port for value in values for port in (value.source_port, value.target_port))


def _ports_of(dissected: Dissected) -> frozenset[int]:
    """Return the packet's ports, or those of the packet that it quotes, even if more of their header is wrong."""
    found = _ports_in(dissected.own) or _ports_in(dissected.quoted)
    last = dissected.own[-1].value if dissected.own else None
    if found or not dissected.problem or not isinstance(last, IPv4Packet | IPv6Packet):
        return found
    if last.protocol not in {numbers.TCP, numbers.UDP}:
        return found
    return frozenset(int.from_bytes(dissected.data[at : at + 2], "big") for at in (0, 2))


def _addresses_of(layer: Layer) -> tuple[IPAddress, ...]:
    match layer.value:
        case IPv4Packet() | IPv6Packet():
            return layer.value.source, layer.value.target
        case Arp():
            return layer.value.sender_ip, layer.value.target_ip
    return ()
