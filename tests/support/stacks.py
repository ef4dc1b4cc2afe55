"""Stacks on a trivial wire, for tests of the network layer."""

from __future__ import annotations

from portside.sim.addresses import network_of, parse_network, to_int
from portside.sim.chance import stream
from portside.sim.clock import MILLISECOND, Scheduler
from portside.sim.encoding import encode
from portside.sim.frame import AnyFrame
from portside.sim.ip.stack import Stack
from portside.sim.port import Port, Way
from portside.sim.profile import LINUX, Profile
from portside.sim.router import Router
from portside.sim.seams import End

WIRE_NS = MILLISECOND


class Heard:
    """A user of a UDP socket that notes what it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, End, End]] = []
        self.errors: list[int | None] = []

    def received(self, data: bytes, remote: End, local: End) -> None:
        self.got.append((data, remote, local))

    def failed(self, error: OSError) -> None:
        self.errors.append(error.errno)


class Net:
    """Stacks, and wires between them; every frame is also turned into bytes, whose length must be what it says."""

    def __init__(self, profile: Profile = LINUX) -> None:
        self.scheduler = Scheduler()
        self.profile = profile
        self.frames: list[tuple[str, Way, AnyFrame]] = []
        self._macs = 0x02_00_00_00_00_00

    def host(self, name: str, *networks: str, kind: type[Stack] = Stack, mtu: int = 1_500) -> Stack:
        """Return a stack with an interface; a router has one for each network."""
        stack = kind(name, self.scheduler, stream(1, name), self.profile)
        for group in [[one] for one in networks] if kind is not Stack else [networks]:
            self._macs += 1
            name = f"eth{len(stack.interfaces)}"
            interface = stack.add_interface(name, self._macs, [parse_network(one) for one in group], mtu)
            interface.port.tap(self._note(f"{stack.name}:{name}"))
        return stack

    def router(self, name: str, *networks: str, mtu: int = 1_500) -> Router:
        stack = self.host(name, *networks, kind=Router, mtu=mtu)
        assert isinstance(stack, Router)
        return stack

    def _note(self, where: str):  # type: ignore[no-untyped-def]
        def note(way: Way, frame: AnyFrame) -> None:
            assert len(encode(frame)) == frame.size
            self.frames.append((where, way, frame))

        return note

    def wire(self, *ports: Port) -> None:
        """Join ports: what one sends, all others hear a millisecond later."""
        for port in ports:
            others = [other for other in ports if other is not port]
            port.plug(lambda frame, others=others: [self._carry(frame, other) for other in others])

    def _carry(self, frame: AnyFrame, to: Port) -> None:
        self.scheduler.after(WIRE_NS, to.deliver, frame)

    def run(self, seconds: float = 1.0) -> None:
        self.scheduler.run(self.scheduler.now + round(seconds * 1e9))

    def sent(self, name: str, kind: type) -> list[AnyFrame]:
        """Return the frames of a kind that left an interface."""
        return [
            frame for where, way, frame in self.frames if where == name and way == "out" and isinstance(frame, kind)
        ]


def route(stack: Stack, network: str, via: str) -> None:
    """Give a stack a route."""
    address, prefix = parse_network(network)
    gateway = to_int(via)
    interface = next(one for one in stack.interfaces if one.reaches(gateway))
    stack.routes.add(network_of(address, prefix), prefix, interface, gateway)


def two(version: int = 4, **about: object) -> tuple[Net, Stack, Stack]:
    """Return two hosts on a wire."""
    net = Net()
    form = "10.0.0.{}/24" if version == 4 else "2001:db8::{}/64"
    one, other = net.host("one", form.format(1)), net.host("other", form.format(2))
    net.wire(one.interfaces[0].port, other.interfaces[0].port)
    return net, one, other


def across(mtu: int = 1_500, version: int = 4) -> tuple[Net, Stack, Router, Stack]:
    """Return two hosts with a router between; the MTU is that of the second link."""
    net = Net()
    form = "10.0.{}.{}/24" if version == 4 else "2001:db8:{}::{}/64"
    one, other = net.host("one", form.format(1, 2)), net.host("other", form.format(2, 2), mtu=mtu)
    router = net.router("router", form.format(1, 1), form.format(2, 1), mtu=1_500)
    router.interfaces[1].mtu = mtu
    net.wire(one.interfaces[0].port, router.interfaces[0].port)
    net.wire(other.interfaces[0].port, router.interfaces[1].port)
    everything = "0.0.0.0/0" if version == 4 else "::/0"
    route(one, everything, form.format(1, 1).partition("/")[0])
    route(other, everything, form.format(2, 1).partition("/")[0])
    return net, one, router, other
