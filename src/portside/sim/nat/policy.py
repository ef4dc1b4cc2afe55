"""What kind of NAT it is: the behaviours that RFC 4787 tells apart, and how long it remembers."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from portside.errors import UsageError
from portside.sim.clock import SECOND
from portside.sim.seams import End
from portside.wire.numbers import TCP, UDP

Behaviour: TypeAlias = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent"]
BEHAVIOURS: Final[tuple[Behaviour, ...]] = get_args(Behaviour)

MINUTE: Final = 60 * SECOND
PROTOCOLS: Final = {"tcp": TCP, "udp": UDP}


@dataclass(frozen=True, slots=True)
class Policy:
    """``mapping`` says when an inner port is given the same outer port again, ``filtering`` who may send to it:
    sections 4.1 and 5 of RFC 4787. Times are in nanoseconds. ``forwards`` are outer ports, with their protocol, that
    always lead to an inner end.
    """

    mapping: Behaviour = "endpoint-independent"  # REQ-1
    filtering: Behaviour = "address-and-port-dependent"  # as most boxes have it; REQ-8 recommends others for games
    udp_ns: int = 5 * MINUTE  # REQ-5: not less than two minutes, five recommended
    tcp_ns: int = (2 * 60 + 4) * MINUTE  # RFC 5382 REQ-5: established
    tcp_transitory_ns: int = 4 * MINUTE  # RFC 5382 REQ-5: being opened, being closed, or reset
    icmp_ns: int = 60 * SECOND  # RFC 5508 REQ-2
    syn_held_ns: int = 6 * SECOND  # RFC 5382 REQ-4
    sessions_max: int = 65_536
    ports: tuple[int, int] = (1_024, 65_535)  # those that are given where an inner one cannot be kept
    forwards: MappingOf[tuple[int, int], End] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for chosen in (self.mapping, self.filtering):
            if chosen not in BEHAVIOURS:
                raise UsageError(f"a NAT is {', '.join(BEHAVIOURS)}, not {chosen!r}")

    def lasts_ns(self, protocol: int, *, is_established: bool) -> int:
        """Return for how long a session is remembered when nothing more is heard."""
        if protocol == TCP:
            return self.tcp_ns if is_established else self.tcp_transitory_ns
        return self.udp_ns if protocol == UDP else self.icmp_ns


def part_of(behaviour: Behaviour, remote: End) -> tuple[int, ...]:
    """Return what counts of a remote end."""
    if behaviour == "endpoint-independent":
        return ()
    return (remote[0],) if behaviour == "address-dependent" else remote


def parse_port(text: str) -> tuple[int, int]:
    """Return protocol and port of ``tcp/80``. Raises: UsageError."""
    protocol, slash, port = str(text).partition("/")
    if protocol not in PROTOCOLS or not slash or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UsageError(f"a port that is forwarded is written tcp/80 or udp/53, not {text!r}")
    return PROTOCOLS[protocol], int(port)
