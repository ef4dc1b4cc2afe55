"""What a NAT remembers: which outer port stands for which inner end, and who has been spoken to through it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

from portside.sim.clock import SECOND, Scheduler
from portside.sim.nat.policy import Policy, part_of
from portside.sim.seams import End
from portside.sim.tcp.numbers import ACK, FIN, RST, SYN

WELL_KNOWN: Final = 1_024


class Session:
    """One remote end of a mapping: RFC 4787 section 2. ``closed`` are the sides whose stream of TCP has ended."""

    __slots__ = ("answered", "closed", "until_ns")

    def __init__(self, until_ns: int) -> None:
        self.until_ns = until_ns
        self.answered = False  # the remote end has acknowledged something: RFC 5382 calls it established
        self.closed: set[str] = set()


class Mapping:
    """An inner end, and the outer port that stands for it. One that was set up by hand stays."""

    __slots__ = ("inner", "is_fixed", "key", "outer_port", "protocol", "sessions")

    def __init__(self, protocol: int, inner: End, outer_port: int, key: tuple[int, ...], *, is_fixed: bool) -> None:
        self.protocol = protocol
        self.inner = inner
        self.outer_port = outer_port
        self.key = key
        self.is_fixed = is_fixed
        self.sessions: dict[End, Session] = {}


class Entry(NamedTuple):
    """A line of the table, for people: ``left_s`` is how long the session is remembered if nothing comes."""

    protocol: int
    inner: End
    outer_port: int
    remote: End | None
    left_s: float | None


class Table:
    """The mappings of one outer address."""

    def __init__(self, scheduler: Scheduler, chance: Random, policy: Policy) -> None:
        self.policy = policy
        self._scheduler = scheduler
        self._chance = chance
        self._by_inner: dict[tuple[int, ...], Mapping] = {}
        self._by_port: dict[tuple[int, int], Mapping] = {}
        self._sessions = 0
        for (protocol, port), inner in policy.forwards.items():
            self._add(Mapping(protocol, inner, port, (protocol, *inner), is_fixed=True))

    def _add(self, mapping: Mapping) -> None:
        self._by_inner[mapping.key] = mapping
        self._by_port[mapping.protocol, mapping.outer_port] = mapping

    # ── finding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def outward(self, protocol: int, inner: End, remote: End, flags: int = 0) -> Mapping | None:
        """Return the mapping for a packet from inside, made if need be; None if there is no port or no room for it."""
        mapping = self._by_inner.get((protocol, *inner))
        if mapping is None or not mapping.is_fixed:
            key = (protocol, *inner, *part_of(self.policy.mapping, remote))
            mapping = self._alive(self._by_inner.get(key)) or self._new(protocol, inner, key)
        if mapping is None:
            return None
        session = mapping.sessions.get(remote)
        if session is None:
            if not self._has_room():
                return None
            session = mapping.sessions[remote] = Session(0)
            self._sessions += 1
        self._note(mapping, session, "inside", flags)
        return mapping

    def inward(self, protocol: int, port: int, remote: End, flags: int = 0) -> Mapping | None:
        """Return the mapping that a packet from outside is let through by, None if by none: RFC 4787 section 5."""
        mapping = self.at(protocol, port)
        if mapping is None:
            return None
        session = mapping.sessions.get(remote)
        if session is not None and session.until_ns > self._scheduler.now:
            if flags:  # only TCP is refreshed by who is outside: RFC 4787 REQ-6
                self._note(mapping, session, "outside", flags)
            return mapping
        if mapping.is_fixed:
            return mapping
        wanted, now = part_of(self.policy.filtering, remote), self._scheduler.now
        for other, known in mapping.sessions.items():
            if known.until_ns > now and part_of(self.policy.filtering, other) == wanted:
                return mapping
        return None

    def at(self, protocol: int, port: int) -> Mapping | None:
        """Return the mapping that has an outer port now, whoever may use it."""
        return self._alive(self._by_port.get((protocol, port)))

    def of(self, protocol: int, inner: End) -> Mapping | None:
        """Return a mapping of an inner end, whomever it speaks with; for the errors that it sends."""
        found = (one for one in self._by_port.values() if one.protocol == protocol and one.inner == inner)
        return next((one for one in found if self._alive(one)), None)

    # ── remembering ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _note(self, mapping: Mapping, session: Session, side: str, flags: int) -> None:
        """Take note of a packet: what state its session is in, and until when it is remembered. RFC 5382 section 5."""
        if flags & RST:
            session.closed.update(("inside", "outside"))
        elif flags & FIN:
            session.closed.add(side)
        elif flags & SYN and side == "inside":
            session.closed.clear()  # the same ends again
            session.answered = False
        if side == "outside" and flags & ACK:
            session.answered = True
        is_established = session.answered and len(session.closed) < 2
        lasts_ns = self.policy.lasts_ns(mapping.protocol, is_established=is_established)
        session.until_ns = self._scheduler.now + lasts_ns

    def _alive(self, mapping: Mapping | None) -> Mapping | None:
        """Return the mapping if it is still one: a session of it is remembered, or it was set up by hand."""
        if mapping is None or mapping.is_fixed:
            return mapping
        now = self._scheduler.now
        if any(session.until_ns > now for session in mapping.sessions.values()):
            return mapping
        self._forget(mapping)
        return None

    def _forget(self, mapping: Mapping) -> None:
        self._sessions -= len(mapping.sessions)
        mapping.sessions.clear()
        self._by_inner.pop(mapping.key, None)
        self._by_port.pop((mapping.protocol, mapping.outer_port), None)

    def _has_room(self) -> bool:
        """Return whether one more session fits; what is over makes room. The memory of a NAT is a target of floods."""
        if self._sessions < self.policy.sessions_max:
            return True
        now = self._scheduler.now
        for mapping in list(self._by_port.values()):
            for remote in [one for one, session in mapping.sessions.items() if session.until_ns <= now]:
                del mapping.sessions[remote]
                self._sessions -= 1
            self._alive(mapping)
        return self._sessions < self.policy.sessions_max

    def _new(self, protocol: int, inner: End, key: tuple[int, ...]) -> Mapping | None:
        if not self._has_room():
            return None
        port = self._port_for(protocol, inner[1])
        if port is None:
            return None
        mapping = Mapping(protocol, inner, port, key, is_fixed=False)
        self._add(mapping)
        return mapping

    def _port_for(self, protocol: int, wanted: int) -> int | None:
        """Return the inner port if it is free, else one at random of its parity and kind: RFC 4787 section 4.2."""
        if self._is_free(protocol, wanted):
            return wanted
        first, last = (1, WELL_KNOWN - 1) if 0 < wanted < WELL_KNOWN else self.policy.ports
        first += (first ^ wanted) & 1  # REQ-4: even stays even
        count = (last - first) // 2 + 1
        start = self._chance.randrange(count)
        for step in range(count):
            port = first + 2 * ((start + step) % count)
            if self._is_free(protocol, port):
                return port
        return None

    def _is_free(self, protocol: int, port: int) -> bool:
        return self._alive(self._by_port.get((protocol, port))) is None

    def entries(self) -> Iterator[Entry]:
        """Yield what is remembered, in the order in which it began."""
        now = self._scheduler.now
        for mapping in list(self._by_port.values()):
            if mapping.is_fixed:
                yield Entry(mapping.protocol, mapping.inner, mapping.outer_port, None, None)
            for remote, session in mapping.sessions.items():
                if session.until_ns > now:
                    left_s = (session.until_ns - now) / SECOND
                    yield Entry(mapping.protocol, mapping.inner, mapping.outer_port, remote, left_s)
