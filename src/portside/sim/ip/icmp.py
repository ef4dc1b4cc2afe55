"""ICMP of both versions (RFC 792, RFC 4443): echo, and telling a sender what became of its packet."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portside.errors import MalformedMessage
from portside.sim.addresses import from_ip, is_multicast, is_v4
from portside.sim.clock import MILLISECOND, SECOND
from portside.sim.encoding import encode_packet
from portside.sim.frame import AnyIpFrame, IcmpFrame, OpaqueFrame
from portside.sim.seams import Trouble
from portside.wire.icmp import Echo, ParameterProblem, Redirect, TimeExceeded, Unreachable
from portside.wire.icmpv6 import Icmpv6Error, NeighborAdvertisement, NeighborSolicitation
from portside.wire.ipv4 import parse_ipv4
from portside.wire.ipv6 import parse_ipv6
from portside.wire.numbers import ICMP, ICMPV6, TCP

if TYPE_CHECKING:
    from portside.sim.ip.interface import Interface
    from portside.sim.ip.stack import Stack

QUOTE_BYTES_V4: Final = 576 - 20 - 8  # RFC 1812 section 4.3.2.3: as much as fits into 576 bytes
QUOTE_BYTES_V6: Final = 1_280 - 40 - 8  # RFC 4443 section 2.4 (c)
ERRORS_BURST: Final = 50  # net.ipv4.icmp_msgs_burst, icmp_msgs_per_sec: RFC 1812 section 4.3.2.8 wants some bound
ERROR_EVERY_NS: Final = MILLISECOND
ERROR_BYTES: Final = 8

# What went wrong, as (type, code) of each version.
NO_ROUTE: Final = ((3, 0), (1, 0))
NO_HOST: Final = ((3, 1), (1, 3))
NO_PROTOCOL: Final = ((3, 2), (4, 1))
NO_PORT: Final = ((3, 3), (1, 4))
TOO_BIG: Final = ((3, 4), (2, 0))
SOURCE_ROUTE: Final = ((3, 5), (4, 0))
TTL_EXCEEDED: Final = ((11, 0), (3, 0))
REASSEMBLY_EXCEEDED: Final = ((11, 1), (3, 1))

# What a socket is told: Linux's icmp_err_convert and icmpv6_err_convert; and whether a connection attempt ends by it.
_ERRORS_V4: Final = {
    0: (errno.ENETUNREACH, False),
    1: (errno.EHOSTUNREACH, False),
    2: (errno.ENOPROTOOPT, True),
    3: (errno.ECONNREFUSED, True),
    4: (errno.EMSGSIZE, False),
    5: (errno.EOPNOTSUPP, False),
    6: (errno.ENETUNREACH, True),
    7: (errno.EHOSTDOWN, True),
    9: (errno.ENETUNREACH, True),
    10: (errno.EHOSTUNREACH, True),
    13: (errno.EHOSTUNREACH, True),
}
_ERRORS_V6: Final = {
    0: (errno.ENETUNREACH, False),
    1: (errno.EACCES, True),
    2: (errno.EHOSTUNREACH, False),
    3: (errno.EHOSTUNREACH, False),
    4: (errno.ECONNREFUSED, True),
    5: (errno.EACCES, True),
    6: (errno.EACCES, True),
}


@dataclass(frozen=True, slots=True)
class Pong:
    """An answer to a ping. The time since the request in nanoseconds, and how many hops the answer had left."""

    source: int
    sequence: int
    payload: bytes
    rtt_ns: int
    ttl: int


class Icmp:
    """What a host says and hears by ICMP."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._pings: dict[tuple[int, int], tuple[int, Callable[[Pong | OSError], object]]] = {}
        self._tokens = ERRORS_BURST
        self._tokens_ns = 0

    # ── ping ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def ping(
        self,
        target: int,
        identifier: int,
        sequence: int,
        answered: Callable[[Pong | OSError], object],
        payload: bytes = bytes(56),
    ) -> None:
        """Ask whether somebody is there; ``answered`` is told at most once, ``forget`` ends the waiting.

        Raises: OSError ENETUNREACH.
        """
        stack = self._stack
        self._pings[identifier, sequence] = (stack.scheduler.now, answered)
        message = Echo(identifier, sequence, payload)
        stack.send(IcmpFrame(stack.source_for(target), target, message, 8 + len(payload), stack.profile.ttl))

    def forget(self, identifier: int, sequence: int) -> None:
        """Wait for the answer no more."""
        self._pings.pop((identifier, sequence), None)

    def _hear_echo(self, frame: IcmpFrame, message: Echo) -> None:
        stack = self._stack
        if message.is_reply:
            asked = self._pings.pop((message.identifier, message.sequence), None)
            if asked is not None:
                began_ns, answered = asked
                rtt_ns = stack.scheduler.now - began_ns
                answered(Pong(frame.source, message.sequence, message.payload, rtt_ns, frame.ttl))
            return
        is_group = is_multicast(frame.target) or not stack.is_ours(frame.target)
        if is_group and is_v4(frame.target):
            return  # RFC 1122 section 3.2.2.6 leaves it open; Linux's icmp_echo_ignore_broadcasts
        source = stack.source_for(frame.source) if is_group else frame.target
        reply = Echo(message.identifier, message.sequence, message.payload, is_reply=True)
        answer = IcmpFrame(source, frame.source, reply, 8 + len(message.payload), stack.profile.ttl)
        answer.traffic_class = frame.traffic_class
        stack.try_send(answer)

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, frame: IcmpFrame, interface: Interface | None) -> None:
        """Take a message for this host."""
        message = frame.message
        match message:
            case Echo():
                self._hear_echo(frame, message)
            case NeighborSolicitation() if interface is not None:
                interface.neighbors.hear_solicitation(frame, message)
            case NeighborAdvertisement() if interface is not None:
                interface.neighbors.hear_advertisement(frame, message)
            case Unreachable() | TimeExceeded() | ParameterProblem() | Icmpv6Error():
                self._hear_error(frame, message)
            case Redirect():
                pass  # not followed: whoever is on the link could send them

    def _hear_error(self, frame: IcmpFrame, message: Any) -> None:
        """Tell the transport whose packet is quoted. RFC 1122 section 3.2.2.1."""
        try:
            quoted = read_quote(message.original, v4=is_v4(frame.target))
        except MalformedMessage:
            self._stack.count("icmp errors malformed")
            return
        if not self._stack.is_ours(quoted.source):
            return
        trouble = self._trouble_of(message, quoted)
        if trouble.mtu is not None:
            self._stack.learn_mtu(quoted.target, trouble.mtu)
        if quoted.protocol in {ICMP, ICMPV6}:
            self._fail_ping(quoted.payload, trouble.error)
        transport = self._stack.transports.get(quoted.protocol)
        if transport is not None and len(quoted.payload) >= 8 and not quoted.offset:
            local = (quoted.source, int.from_bytes(quoted.payload[:2]))
            remote = (quoted.target, int.from_bytes(quoted.payload[2:4]))
            transport.troubled(local, remote, trouble)

    def _fail_ping(self, payload: bytes, error: OSError) -> None:
        asked = self._pings.pop((int.from_bytes(payload[4:6]), int.from_bytes(payload[6:8])), None)
        if asked is not None:
            asked[1](error)

    @staticmethod
    def _trouble_of(message: Any, quoted: OpaqueFrame) -> Trouble:
        number, is_hard, mtu = errno.EHOSTUNREACH, False, None
        match message:
            case Unreachable(code=code):
                number, is_hard = _ERRORS_V4.get(code, (errno.EHOSTUNREACH, False))
                if code == TOO_BIG[0][1]:
                    mtu = message.mtu_bytes or _plateau(quoted.size - 14)
            case ParameterProblem():
                number, is_hard = errno.EPROTO, True
            case Icmpv6Error(type=1, code=code):
                number, is_hard = _ERRORS_V6.get(code, (errno.EHOSTUNREACH, False))
            case Icmpv6Error(type=2, number=size):
                number, mtu = errno.EMSGSIZE, size
            case Icmpv6Error(type=4):
                number, is_hard = errno.EPROTO, True
        sequence = int.from_bytes(quoted.payload[4:8]) if quoted.protocol == TCP else None
        return Trouble(OSError(number, os.strerror(number)), is_hard, mtu, sequence)

    # ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def complain(
        self, about: AnyIpFrame, what: tuple[tuple[int, int], tuple[int, int]], number: int = 0, source: int = 0
    ) -> None:
        """Tell the sender of a packet what is wrong with it, unless it is one of which nobody may be told.

        ``number`` is the MTU with TOO_BIG. RFC 1122 section 3.2.2 and RFC 4443 section 2.4 (e) say which these are.
        """
        stack = self._stack
        if not self._may_complain(about, what):
            return
        if not stack.is_ours(about.source) and not self._has_token():
            stack.count("icmp errors held back")
            return
        source = source or (about.target if stack.is_ours(about.target) else 0)
        try:
            source = source or stack.source_for(about.source)
        except OSError:
            return
        v4 = is_v4(about.target)
        quote = encode_packet(about)[: QUOTE_BYTES_V4 if v4 else QUOTE_BYTES_V6]
        kind, code = what[0] if v4 else what[1]
        message: Any
        if not v4:
            message = Icmpv6Error(kind, code, number, quote)
        elif kind == 11:
            message = TimeExceeded(code, quote)
        else:
            message = Unreachable(code, quote, number)
        stack.try_send(IcmpFrame(source, about.source, message, ERROR_BYTES + len(quote), stack.profile.ttl))

    def _may_complain(self, about: AnyIpFrame, what: tuple[tuple[int, int], tuple[int, int]]) -> bool:
        source, target = about.source, about.target
        if isinstance(about, OpaqueFrame) and about.offset:
            return False  # only the first fragment is told of
        if _is_icmp_error(about) or not source & 0xFFFF_FFFF or is_multicast(source):
            return False
        if self._stack.is_broadcast(source):
            return False
        if is_multicast(target) or about.target_mac & (1 << 40) or self._stack.is_broadcast(target):
            return what is TOO_BIG and not is_v4(target)  # RFC 4443 section 2.4 (e.3)
        return True

    def _has_token(self) -> bool:
        """Return whether another error may be sent now: there is a bucket of them, which fills by one a millisecond."""
        now = self._stack.scheduler.now
        filled = (now - self._tokens_ns) // ERROR_EVERY_NS
        if filled:
            self._tokens = min(ERRORS_BURST, self._tokens + filled)
            self._tokens_ns = now if self._tokens == ERRORS_BURST else self._tokens_ns + filled * ERROR_EVERY_NS
        if not self._tokens:
            return False
        self._tokens -= 1
        return True


def _is_icmp_error(frame: AnyIpFrame) -> bool:
    if isinstance(frame, OpaqueFrame) and frame.protocol in {ICMP, ICMPV6}:
        kind = frame.payload[0] if frame.payload else 0
        return kind < 128 if frame.protocol == ICMPV6 else kind not in {0, 8, 9, 10, 13, 14, 15, 16, 17, 18}
    errors = (Unreachable, TimeExceeded, ParameterProblem, Redirect, Icmpv6Error)
    return isinstance(frame, IcmpFrame) and isinstance(frame.message, errors)


def read_quote(original: bytes, *, v4: bool) -> OpaqueFrame:
    """Return what is quoted of a packet: its header, and the beginning of its payload."""
    packet: Any = parse_ipv4(original, whole=False) if v4 else parse_ipv6(original, whole=False)
    size = 14 + (int.from_bytes(original[2:4]) if v4 else 40 + int.from_bytes(original[4:6]))
    offset = packet.fragment_offset if v4 else (packet.fragment.offset if packet.fragment else 0)
    return OpaqueFrame(
        packet.protocol, from_ip(packet.source), from_ip(packet.target), size, 0, packet.payload, offset, False
    )


# RFC 1191 section 7: what to try when a router does not tell its MTU.
_PLATEAUS: Final = (32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68)


def _plateau(size: int) -> int:
    return next((mtu for mtu in _PLATEAUS if mtu < size), _PLATEAUS[-1])


MTU_EXPIRES_NS: Final = 600 * SECOND  # RFC 1191 section 6.3, RFC 8201 section 4: ten minutes
