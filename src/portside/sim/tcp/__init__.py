"""TCP by RFC 9293, without sockets and without waiting: segments and calls go in, segments and tidings come out."""

from portside.sim.tcp.tcp import Tcp

__all__ = ["Tcp"]
