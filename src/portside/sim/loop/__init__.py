"""An event loop on virtual time: what asyncio programs get from a kernel, they get here from a simulated host."""

from portside.sim.loop.loop import SimLoop

__all__ = ["SimLoop"]
