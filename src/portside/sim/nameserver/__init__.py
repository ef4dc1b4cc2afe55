"""Servers of names: authoritative ones with their zones, recursive ones with their cache. RFC 1034 and RFC 1035."""

from portside.sim.nameserver.authority import Authority
from portside.sim.nameserver.master_file import MalformedZone, parse_zone
from portside.sim.nameserver.recursive import Recursive
from portside.sim.nameserver.serving import Service, serve
from portside.sim.nameserver.zone import Zone

__all__ = ["Authority", "MalformedZone", "Recursive", "Service", "Zone", "parse_zone", "serve"]
