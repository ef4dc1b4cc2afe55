"""The socket objects of a simulated host."""

from portside.sim.sockets.sim_socket import SimSocket

__all__ = ["SimSocket"]
