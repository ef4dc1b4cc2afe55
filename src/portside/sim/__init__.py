"""A simulated internet: real frames, a real TCP, and unmodified asyncio programs in virtual time."""

from portside.sim.explore import Fault, SeedFailed
from portside.sim.host import Host, HostCrashed, Spawned
from portside.sim.stuck import NothingLeft, TimeIsUp
from portside.sim.world import World

__all__ = ["Fault", "Host", "HostCrashed", "NothingLeft", "SeedFailed", "Spawned", "TimeIsUp", "World"]
