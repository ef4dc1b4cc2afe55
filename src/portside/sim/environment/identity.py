"""Who a host is: its name, and the node that its UUIDs are of. The process keeps its number."""

from __future__ import annotations

import os
import platform
import sys
import uuid
from collections.abc import Callable, Iterator
from hashlib import blake2b
from random import Random
from typing import Any, Final
from weakref import WeakKeyDictionary

from portside.sim.environment.dice import kernel
from portside.sim.environment.replacing import Dispatcher, Replacement
from portside.sim.here import Machine, here

ANYWHERE: Final = ("", "0.0.0.0", "::")
MULTICAST_BIT: Final = 1 << 40  # of a node that is no MAC address: RFC 9562 section 6.10
CLOCK_SEQUENCE_BITS: Final = 14  # RFC 9562 section 5.1
LAST: Final = ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7", "_last_counter_v7")

_network: Final[Any] = sys.modules["socket"]  # loaded by asyncio, and imported in one place only
_gethostname: Final = _network.gethostname
_getfqdn: Final = _network.getfqdn
_os_uname: Final = os.uname
_platform_uname: Final = platform.uname
_getnode: Final = uuid.getnode
_uuid1: Final = uuid.uuid1
_uuid6: Final[Any] = getattr(uuid, "uuid6", None)  # both since Python 3.14
_uuid7: Final[Any] = getattr(uuid, "uuid7", None)

_last: WeakKeyDictionary[Random, dict[str, Any]] = WeakKeyDictionary()  # by the chance of the host; never iterated


class Sockets(Dispatcher):
    """The names that ``socket`` gives."""

    GLOBAL_NAME = "sockets"

    def gethostname(self) -> str:
        machine = here.machine
        return str(_gethostname()) if machine is None else machine.name

    def getfqdn(self, name: str = "") -> str:
        """Return the host's name for an empty one, and any other as it is: there is no waiting for servers here."""
        machine = here.machine
        if machine is None:
            return str(_getfqdn(name))
        name = name.strip()
        return machine.name if name in ANYWHERE else name


class System(Dispatcher):
    """What ``os`` gives."""

    GLOBAL_NAME = "system"

    def uname(self) -> os.uname_result:
        real, machine = _os_uname(), here.machine
        if machine is None:
            return real
        return os.uname_result((real.sysname, machine.name, real.release, real.version, real.machine))


class Platform(Dispatcher):
    """What ``platform`` gives; ``platform.node`` asks this."""

    GLOBAL_NAME = "platform_"

    def uname(self) -> platform.uname_result:
        real, machine = _platform_uname(), here.machine
        if machine is None:
            return real
        result = platform.uname_result(real.system, machine.name, real.release, real.version, real.machine)
        vars(result)["processor"] = ""  # not known, as it is anyhow on most systems; a process would be asked
        return result


class Uuids(Dispatcher):
    """The UUIDs that are made of time and node. ``uuid4`` needs nothing but ``os.urandom``."""

    GLOBAL_NAME = "uuids"

    def getnode(self) -> int:
        machine = here.machine
        return _getnode() if machine is None else _node(machine)

    def uuid1(self, node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
        return self._timed(_uuid1, node, clock_seq)

    def uuid6(self, node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
        return self._timed(_uuid6, node, clock_seq)

    def uuid7(self) -> uuid.UUID:
        machine = here.machine
        made: uuid.UUID = _uuid7() if machine is None else _remembering(machine, _uuid7)
        return made

    def _timed(self, make: Callable[..., uuid.UUID], node: int | None, clock_seq: int | None) -> uuid.UUID:
        machine = here.machine
        if machine is None:
            return make(node, clock_seq)
        if node is None:
            node = _node(machine)
        if clock_seq is None:  # both are given: with neither, a library written in C is asked, which is in no world
            clock_seq = kernel(machine).getrandbits(CLOCK_SEQUENCE_BITS)
        return _remembering(machine, make, node, clock_seq)


def _node(machine: Machine) -> int:
    """Return the number of 48 bits that stands for the host, the same in every run."""
    return int.from_bytes(blake2b(machine.name.encode(), digest_size=6).digest()) | MULTICAST_BIT


def _remembering(machine: Machine, make: Callable[..., uuid.UUID], *arguments: int) -> uuid.UUID:
    """Make a UUID. The time of the one before, which the new one must be later than, is the host's own memory."""
    memory = _last.get(machine.chance)
    if memory is None:
        memory = _last[machine.chance] = {name: None for name in LAST if hasattr(uuid, name)}
        if "_last_counter_v7" in memory:
            memory["_last_counter_v7"] = 0
    real = {name: getattr(uuid, name) for name in memory}
    vars(uuid).update(memory)
    try:
        return make(*arguments)
    finally:
        memory.update((name, getattr(uuid, name)) for name in real)
        vars(uuid).update(real)


sockets: Final = Sockets()
system: Final = System()
platform_: Final = Platform()
uuids: Final = Uuids()


def replacements() -> Iterator[Replacement]:
    """Yield what takes the place of the functions that tell a program where it runs."""
    yield from sockets.replacing(_network, "gethostname", "getfqdn")
    yield from system.replacing(os, "uname")
    yield from platform_.replacing(platform, "uname")
    yield from uuids.replacing(uuid, "getnode", "uuid1", "uuid6", "uuid7")
