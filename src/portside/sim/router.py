"""A router: a host that sends on what is for others. RFC 1812."""

from __future__ import annotations

from portside.sim.addresses import is_v4
from portside.sim.frame import ETHERNET_BYTES, AnyIpFrame
from portside.sim.ip.fragments import cut
from portside.sim.ip.icmp import NO_ROUTE, SOURCE_ROUTE, TOO_BIG, TTL_EXCEEDED
from portside.sim.ip.interface import Interface
from portside.sim.ip.stack import SOURCE_ROUTES, Stack


class Router(Stack):
    """A stack that forwards: by the longest prefix, one hop less to live, cut up or refused where it is too long."""

    forwards = True

    def forward(self, frame: AnyIpFrame, interface: Interface) -> None:
        """Send a packet on that came in at an interface."""
        if frame.ttl <= 1:
            self.icmp.complain(frame, TTL_EXCEEDED, source=interface.address_for(frame.source) or 0)
            return
        if frame.options and any(getattr(option, "kind", None) in SOURCE_ROUTES for option in frame.options):
            self.icmp.complain(frame, SOURCE_ROUTE)
            return
        target = frame.target
        route = self.routes.cache.get(target) or self.routes.find(target)
        if route is None:
            self.icmp.complain(frame, NO_ROUTE, source=interface.address_for(frame.source) or 0)
            return
        out = route.interface
        if frame.size - ETHERNET_BYTES > out.mtu and not self._fits(frame, out, interface):
            return
        gateway = route.gateway
        out.send(frame.hop(), target if gateway is None else gateway)

    def _fits(self, frame: AnyIpFrame, out: Interface, came_in: Interface) -> bool:
        """Cut up a packet that is too long for the next link, or say so. Returns False: it is dealt with."""
        if frame.dont_fragment or not is_v4(frame.target):
            self.icmp.complain(frame, TOO_BIG, out.mtu, came_in.address_for(frame.source) or 0)
            return False
        onward = frame.hop()
        route = self.routes.find(frame.target)
        assert route is not None
        for piece in cut(onward, out.mtu, frame.identification):
            out.send(piece, frame.target if route.gateway is None else route.gateway)
        return False
