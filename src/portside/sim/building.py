"""How a world is built: hosts, devices and links in a few lines, and the same again with another seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeAlias, TypeVar, cast

from portside.errors import PortsideError, UsageError
from portside.sim.addresses import to_int
from portside.sim.host import Host
from portside.sim.impairments import LinkSettings
from portside.sim.ip.stack import Stack
from portside.sim.link import Link
from portside.sim.nat import Behaviour, Policy, Translator
from portside.sim.nat.policy import parse_port
from portside.sim.port import ETHERNET_MTU, Port
from portside.sim.profile import PROFILES, Profile
from portside.sim.quantities import duration_ns
from portside.sim.router import Router
from portside.sim.seams import End
from portside.sim.switch import Hub, Switch

if TYPE_CHECKING:
    from portside.sim.clock import Scheduler

Device: TypeAlias = Host | Switch | Hub
Parameters = ParamSpec("Parameters")
Made = TypeVar("Made")

LOCAL_MAC: Final = 0x02_00_00_00_00_00  # locally administered, one of nobody's: RFC 9542 section 2.1
OWN_NETWORK: Final = "10.0.{}.{}/16"  # for hosts that are given no address: RFC 1918


def _step(make: Callable[Parameters, Made]) -> Callable[Parameters, Made]:
    """Remember a step of the building, so that it can be done again in another world."""

    @wraps(make)
    def remember(*arguments: Parameters.args, **settings: Parameters.kwargs) -> Made:
        self = cast("Building", arguments[0])
        outermost, self._is_inner = not self._is_inner, True
        try:
            made = make(*arguments, **settings)
        finally:
            self._is_inner = not outermost
        if outermost:
            self.steps.append((make, arguments[1:], settings))
        return made

    return remember


class Building:
    """The devices of a world, their addresses and cables. Everything has a name, and chance by that name."""

    scheduler: Scheduler
    profile: Profile

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.devices: dict[str, Device] = {}
        self.links: list[Link] = []
        self.names: dict[str, list[int]] = {}  # what every host knows without asking a server: /etc/hosts
        self.steps: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self._is_inner = False
        self._macs = 0
        self._numbers = 0

    @property
    def hosts(self) -> list[Host]:
        """Return the hosts, routers among them, in the order they were made."""
        return [device for device in self.devices.values() if isinstance(device, Host)]

    @property
    def host_names(self) -> dict[str, int]:
        """Return the hosts' names, with the place of each in the order they were made."""
        return {host.name: place for place, host in enumerate(self.hosts)}

    def build_in(self, other: Building) -> None:
        """Take the same steps in another world."""
        for make, arguments, settings in self.steps:
            there = [other.devices[one.name] if isinstance(one, Host | Switch | Hub) else one for one in arguments]
            make(other, *there, **settings)

    # ── devices ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @_step
    def host(
        self,
        name: str,
        *networks: str,
        profile: str | Profile | None = None,
        clock_offset: str | float = 0,
        clock_drift: float = 0.0,
        names: dict[str, str] | None = None,
        servers: tuple[str, ...] = (),
        mtu: int = ETHERNET_MTU,
    ) -> Host:
        """Make a host. Its addresses are written ``10.0.0.1/24``; without any it gets one of 10.0.0.0/16.

        All are on its first interface; ``add_interface`` makes others. ``names`` and ``servers`` (of names) replace
        what hosts know by themselves: the names of all hosts.
        """
        return self._host(
            name,
            Stack,
            [networks or (self._own_network(),)],
            profile=profile,
            mtu=mtu,
            clock_offset_ns=duration_ns(clock_offset),
            clock_drift=clock_drift,
            hosts={host: [to_int(address)] for host, address in names.items()} if names is not None else self.names,
            servers=tuple(to_int(server) for server in servers),
        )

    @_step
    def router(self, name: str, *networks: str, profile: str | Profile | None = None, mtu: int = ETHERNET_MTU) -> Host:
        """Make a router: a host that forwards, with an interface for each of its addresses."""
        return self._host(
            name, Router, [(network,) for network in networks], profile=profile, mtu=mtu, hosts=self.names
        )

    @_step
    def nat(
        self,
        name: str,
        *,
        inside: str | Sequence[str],
        outside: str,
        mapping: Behaviour = "endpoint-independent",
        filtering: Behaviour = "address-and-port-dependent",
        udp_timeout: str | float = "5min",
        forward: Mapping[str, str] | None = None,
        profile: str | Profile | None = None,
        mtu: int = ETHERNET_MTU,
    ) -> Host:
        """Make a router that translates: whoever is ``inside`` (``192.168.0.1/24``) speaks by the address ``outside``.

        ``mapping`` and ``filtering`` are RFC 4787's: ``endpoint-independent``, ``address-dependent``,
        ``address-and-port-dependent``. ``forward`` lets outer ports lead inside: ``{"tcp/80": "192.168.0.2:8080"}``.
        ``host.stack.table.entries()`` is what it remembers.

        Raises: UsageError for what is none of these.
        """
        networks = [inside] if isinstance(inside, str) else list(inside)
        policy = Policy(
            mapping=mapping,
            filtering=filtering,
            udp_ns=duration_ns(udp_timeout),
            forwards={parse_port(port): _end(to) for port, to in (forward or {}).items()},
        )
        made = self._host(
            name,
            partial(Translator, policy=policy, inside=len(networks)),
            [*((network,) for network in networks), (outside,)],
            profile=profile,
            mtu=mtu,
            hosts=self.names,
        )
        made.hidden = frozenset(to_int(network.partition("/")[0]) for network in networks)
        return made

    @_step
    def switch(self, name: str) -> Switch:
        """Make a switch that learns where everybody is."""
        return cast("Switch", self._add(name, Switch(name, self.scheduler)))

    @_step
    def hub(self, name: str) -> Hub:
        """Make a hub, that repeats everything to everybody."""
        return cast("Hub", self._add(name, Hub(name, self.scheduler)))

    def _host(
        self,
        name: str,
        stack: Callable[..., Any],
        interfaces: list[tuple[str, ...]],
        *,
        profile: Any,
        mtu: int,
        **about: Any,
    ) -> Host:
        chosen = PROFILES[profile] if isinstance(profile, str) else profile or self.profile
        host: Host = self._add(name, Host(cast("Any", self), name, profile=chosen, make_stack=stack, **about))
        for networks in interfaces:
            host.add_interface(*networks, mtu=mtu)
        return host

    def _add(self, name: str, device: Any) -> Any:
        if name in self.devices:
            raise PortsideError(f"there is a {name!r} in this world already")
        self.devices[name] = device
        return device

    def knows(self, name: str, address: int) -> None:
        """Let every host know this address by that name."""
        self.names.setdefault(name, []).append(address)

    def next_mac(self) -> int:
        """Return a MAC address that nothing in this world has."""
        self._macs += 1
        return LOCAL_MAC + self._macs

    def _own_network(self) -> str:
        self._numbers += 1
        return OWN_NETWORK.format(*divmod(self._numbers, 256))

    # ── cables ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @_step
    def link(
        self,
        one: Device,
        other: Device,
        *,
        ports: tuple[str | None, str | None] = (None, None),
        back: dict[str, Any] | None = None,
        name: str | None = None,
        **settings: Any,
    ) -> Link:
        """Lay a cable. ``rate="10Mbit/s"``, ``delay="20ms"``, ``loss="1%"`` and all of ``LinkSettings`` are for both
        directions, or with ``back`` for the one from ``one`` to ``other``.

        A host's interface is the free one whose network the other end is in, or the first that is free; ``ports``
        names others.
        """
        near, far = _free_port(one, other, ports[0]), _free_port(other, one, ports[1])
        name = name or self._link_name(f"{one.name}-{other.name}")
        there = LinkSettings.of(**settings)
        settings_back = there if back is None else LinkSettings.of(**back)
        link = Link(name, self.scheduler, self.seed, (near, far), (there, settings_back))
        link.ends = ((one, near.name), (other, far.name))
        self.links.append(link)
        return link

    @_step
    def lan(self, name: str, *devices: Device, **settings: Any) -> Switch:
        """Make a switch, and a cable like ``link`` from it to each of these."""
        switch = self.switch(name)
        for device in devices:
            self.link(device, switch, **settings)
        return switch

    def _link_name(self, wanted: str) -> str:
        taken = {link.name for link in self.links}
        number = 1
        name = wanted
        while name in taken:
            number += 1
            name = f"{wanted}-{number}"
        return name


def _end(text: str) -> End:
    """Return the address and the port of ``192.168.0.2:8080``. Raises: UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal():
        raise UsageError(f"what is forwarded to is written 192.168.0.2:8080, not {text!r}")
    return to_int(host), int(port)


def _free_port(device: Device, other: Device, wanted: str | None) -> Port:
    """Return the port of a device that a cable to the other one goes into."""
    if not isinstance(device, Host):
        return device.add_port(wanted)
    if wanted is not None:
        return device.ports[wanted]
    free = [interface for interface in device.interfaces if not interface.port.is_plugged]
    if not free:
        raise PortsideError(f"{device.name} has no interface without a cable; add_interface makes one")
    theirs = [address for _, address, _ in other.networks] if isinstance(other, Host) else []
    fitting = (one for one in free if any(one.reaches(address) for address in theirs))
    return next(fitting, free[0]).port
