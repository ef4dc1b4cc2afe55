"""A host of a world: a machine with a name, a stack, a clock, and programs that run on it until it crashes."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable, Coroutine, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from portside.errors import PortsideError
from portside.sim import threads
from portside.sim.addresses import network_of, parse_network, to_int, to_text
from portside.sim.chance import stream
from portside.sim.here import enter, here
from portside.sim.host_clock import HostClock
from portside.sim.ip.interface import Interface
from portside.sim.ip.stack import Stack
from portside.sim.loop import SimLoop
from portside.sim.names import Names
from portside.sim.port import ETHERNET_MTU, Port, nowhere
from portside.sim.profile import Profile
from portside.sim.router import Router
from portside.sim.tcp import Tcp
from portside.sim.tcp.connection import Connection
from portside.sim.unix import UnixNames
from portside.sim.walls import deaf

if TYPE_CHECKING:
    from portside.sim.world import World

Result = TypeVar("Result")
Program: TypeAlias = Callable[[], Coroutine[Any, Any, object]]
MakeStack: TypeAlias = Callable[..., Stack]  # of name, scheduler, chance and profile


class HostCrashed(PortsideError):
    """The host went down while a program ran on it that somebody waits for."""


class Spawned(Generic[Result]):
    """A program on a host. Awaiting it, from whichever host, gives its result or raises what ended it."""

    def __init__(self, host: Host, task: Task[Result]) -> None:
        self._task = task
        self._waiters: list[tuple[Any, asyncio.Future[Result]]] = []
        self._crash: HostCrashed | None = None
        self.host = host
        self.is_awaited = False
        task.add_done_callback(self._ended)

    @property
    def name(self) -> str:
        return self._task.get_name()

    @property
    def task(self) -> Task[Result]:
        return self._task

    def done(self) -> bool:
        """Return whether it has ended, by itself or with its host."""
        return self._crash is not None or self._task.done()

    def cancel(self) -> None:
        """Ask it to end, as ``Task.cancel`` does, from whichever host this is called."""
        self._task.get_loop().call_soon(self._task.cancel)

    def __await__(self) -> Generator[Any, None, Result]:
        self.is_awaited = True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiters.append((loop, future))
        if self.done():
            self._tell()
        return (yield from future)

    def _ended(self, task: Task[Result]) -> None:
        if self._waiters:
            self._tell()
        elif not self.is_awaited and not task.cancelled() and (error := task.exception()) is not None:
            self.host.world.fail(error, f"in {task.get_name()!r} on {self.host.name}, for which nobody waits")

    def crashed(self, error: HostCrashed) -> None:
        """Be told that the host is gone, and the program with it."""
        if not self._task.done():
            self._crash = error
            self._tell()

    def _tell(self) -> None:
        """Hand the end on to those who wait, each on its own loop."""
        waiters, self._waiters = self._waiters, []
        for loop, future in waiters:
            loop.call_soon(self._resolve, future)

    def _resolve(self, future: asyncio.Future[Result]) -> None:
        if future.done():
            return
        if self._crash is not None:
            future.set_exception(self._crash)
        elif self._task.cancelled():
            future.cancel()
        elif (error := self._task.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(self._task.result())


ConnectionWatcher: TypeAlias = Callable[[Connection, str], object]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an interface is again after a restart."""

    name: str
    port: Port
    networks: list[tuple[int, int]]  # address, prefix


class Host:
    """A machine. Made by ``World.host``. ``stack``, ``loop`` and ``names`` are new ones after every restart."""

    stack: Stack
    loop: SimLoop
    names: Names

    def __init__(
        self,
        world: World,
        name: str,
        *,
        profile: Profile,
        make_stack: MakeStack = Stack,
        clock_offset_ns: int = 0,
        clock_drift: float = 0.0,
        hosts: dict[str, list[int]],
        servers: tuple[int, ...] = (),
    ) -> None:
        self.world = world
        self.name = name
        self.scheduler = world.scheduler
        self.profile = profile
        self.clock = HostClock(self.scheduler, began_ns=world.began_ns, offset_ns=clock_offset_ns, drift=clock_drift)
        self.hosts = hosts
        self.servers = servers
        self.is_up = False
        self.starts = 0
        self.interfaces: list[Interface] = []
        self.has_routes = False
        self.hidden: frozenset[int] = frozenset()  # its addresses on networks that nobody beyond it routes to
        self.connection_watcher: ConnectionWatcher | None = None
        self._unheard: frozenset[int] = frozenset()
        self._make_stack = make_stack
        self._plans: list[_Plan] = []
        self._routes: list[tuple[str, str]] = []
        self._programs: list[tuple[Program, str | None]] = []
        self._spawned: list[Spawned[Any]] = []
        self._past: list[SimLoop] = []  # loops of before a crash: kept, so that nothing of them wakes up
        self._start()

    # ── its network ──────────────────────────────────────────────────────────────────────────────────────────────────

    def add_interface(self, *networks: str, name: str | None = None, mtu: int = ETHERNET_MTU) -> Interface:
        """Give the host one more interface, with addresses such as ``10.0.0.1/24``."""
        name = name or f"eth{len(self._plans)}"
        parsed = [parse_network(network) for network in networks]
        plan = _Plan(name, Port(name, self.world.next_mac(), nowhere, mtu), parsed)
        self._plans.append(plan)
        for address, _ in parsed:
            self.world.knows(self.name, address)
        return self._add(plan)

    def _add(self, plan: _Plan) -> Interface:
        interface = self.stack.add_interface(plan.name, plan.port.mac, plan.networks, mtu=plan.port.mtu, port=plan.port)
        self.interfaces.append(interface)
        return interface

    @property
    def ports(self) -> dict[str, Port]:
        """Return the host's ports by the names of its interfaces. They outlive its crashes, as cables do."""
        return {plan.name: plan.port for plan in self._plans}

    @property
    def networks(self) -> list[tuple[str, int, int]]:
        """Return interface, address and prefix of each address, in the order they were given."""
        return [(plan.name, address, prefix) for plan in self._plans for address, prefix in plan.networks]

    @property
    def addresses(self) -> list[str]:
        """Return the addresses of the host, as they are written."""
        return [to_text(address) for _, address, _ in self.networks]

    @property
    def address(self) -> str:
        """Return the first address of the host."""
        return self.addresses[0]

    @property
    def forwards(self) -> bool:
        """Whether it is a router."""
        return isinstance(self.stack, Router)

    def route(self, network: str, via: str) -> None:
        """Send what goes to that network to the router ``via``: ``host.route("0.0.0.0/0", via="10.0.0.1")``.

        A host that is told any route is not given others by the world.
        """
        self.has_routes = True
        self.learn(network, via)

    def learn(self, network: str, via: str) -> None:
        """Take a route into the table, as the world does for who was told none."""
        self._routes.append((network, via))
        self._set_route(network, via)

    def _set_route(self, network: str, via: str) -> None:
        address, prefix = parse_network(network)
        gateway = to_int(via)
        found = next((one for one in self.interfaces if one.reaches(gateway)), None)
        if found is None:
            raise PortsideError(f"{self.name} cannot reach the router {via}: it is on none of its networks")
        self.stack.routes.add(network_of(address, prefix), prefix, found, gateway)

    def hear_all_but(self, others: Iterable[Host]) -> None:
        """Drop whatever comes from these hosts, and hear all others."""
        self._unheard = frozenset(
            one for other in others for plan in other._plans for one in (plan.port.mac, *(a for a, _ in plan.networks))
        )
        self._listen()

    def _listen(self) -> None:
        for plan, interface in zip(self._plans, self.interfaces, strict=True):
            receive = interface.receive
            plan.port.receive_with(deaf(receive, self._unheard) if self._unheard else receive)

    def watch_connections(self, watcher: ConnectionWatcher) -> None:
        """Tell this one what happens to every connection of TCP that is made from now on, after a restart as well.

        It is given the connection and a word: ``state``, ``acknowledged``, ``retransmit``, ``timeout`` and so on. It
        must draw no chance and schedule nothing.
        """
        self.connection_watcher = watcher
        if self.stack.tcp is not None:
            self.stack.tcp.watch = watcher

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        self.starts += 1
        self.is_up = True
        self.clock.booted_ns = self.scheduler.now
        seed, key = self.world.seed, ("host", self.name, str(self.starts))
        self.chance = stream(seed, *key, "programs")
        self.stack = self._make_stack(self.name, self.scheduler, stream(seed, *key, "stack"), self.profile)
        tcp = Tcp(self.stack)
        tcp.watch = self.connection_watcher
        self.stack.attach_tcp(tcp)
        self.names = Names(self.stack, self.scheduler, stream(seed, *key, "names"), self.hosts, self.servers)
        self.loop = SimLoop(self, UnixNames(self.scheduler))

    def restart(self) -> None:
        """Start the host after a crash: with the same cables, addresses and routes, and nothing else from before.

        Programs that were given to ``program`` start again.
        """
        if self.is_up:
            self.crash()
        self._start()
        if here.machine is self:
            enter(self)
        self.interfaces = []
        for plan in self._plans:
            plan.port.turn(on=True)
            self._add(plan)
        self._listen()
        for network, via in self._routes:
            self._set_route(network, via)
        for program, name in self._programs:
            self.spawn(program(), name=name)

    def crash(self) -> None:
        """Take the host's power away: no goodbye, no finally; its connections are known to nobody any more."""
        if not self.is_up:
            return
        self.is_up = False
        for plan in self._plans:
            plan.port.turn(on=False)
        self.stack.halt()
        self.loop.halt()
        threads.kill(self)
        self._past.append(self.loop)
        spawned, self._spawned = self._spawned, []
        error = HostCrashed(f"{self.name} crashed")
        for one in spawned:
            one.crashed(error)

    # ── its programs ─────────────────────────────────────────────────────────────────────────────────────────────────

    def spawn(self, coroutine: Coroutine[Any, Any, Result], *, name: str | None = None) -> Spawned[Result]:
        """Start a program. What ends it is raised where it is awaited; if nobody awaits it, it ends the world's run.

        Raises: HostCrashed if the host is down.
        """
        if not self.is_up:
            coroutine.close()
            raise HostCrashed(f"{self.name} is down: nothing can be started on it")
        name = name or getattr(coroutine, "__qualname__", type(coroutine).__name__)
        spawned = Spawned(self, self.loop.create_task(coroutine, name=name))
        self._spawned = [one for one in self._spawned if not one.done()]
        self._spawned.append(spawned)
        return spawned

    def program(self, start: Program, *, name: str | None = None) -> Spawned[Any]:
        """Start a program that starts anew with every ``restart``: a function that makes its coroutine."""
        self._programs.append((start, name))
        return self.spawn(start(), name=name)

    def run_blocking(self, function: Callable[..., Result], *arguments: Any) -> Spawned[Result]:
        """Start blocking code in a thread of the host, in step with everything else in the world."""
        return self.spawn(self._in_thread(function, arguments), name=getattr(function, "__qualname__", "thread"))

    async def _in_thread(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        result: Result = await self.loop.run_in_executor(None, function, *arguments)
        return result

    def tasks(self) -> list[Task[Any]]:
        """Return the tasks on the host that have not ended, in the order in which they began."""
        return self.loop.tasks() if self.is_up else []

    def close(self) -> None:
        """End everything on the host for good: coroutines are closed one by one, in order, and may not await."""
        self.crash()
        enter(self)
        for loop in self._past:
            loop.bury()
        self._past.clear()

    def __repr__(self) -> str:
        return f"<Host {self.name} {' '.join(self.addresses)}{'' if self.is_up else ' (down)'}>"
