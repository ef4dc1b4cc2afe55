"""What a recursive server remembers, and for how long. Source: RFC 1034 section 5.3.3, RFC 2181, RFC 2308, RFC 9520."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from portside.sim.clock import SECOND, Scheduler
from portside.sim.nameserver.keys import Key, key_of
from portside.wire.dns import NO_SUCH_NAME, SERVER_FAILURE, Record
from portside.wire.dns_records import SOA

SETS_MAX: Final = 10_000
TTL_MAX_S: Final = 7 * 86_400  # RFC 8767 section 4: a week at most
NEGATIVE_TTL_MAX_S: Final = 3 * 3_600  # RFC 2308 section 5
FAILURE_TTL_S: Final = 5  # RFC 9520 section 3.2: a second at least, five minutes at most

_WHOLE_NAME: Final = 0  # stands for every type of a name that does not exist


class Rank(IntEnum):
    """How far a set of records is trusted: RFC 2181 section 5.4.1."""

    GLUE = 1
    REFERRAL = 2
    ANSWER = 3


@dataclass(frozen=True, slots=True)
class Negative:
    """What is known not to be there, and the SOA that says so."""

    rcode: int
    authority: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    rank: Rank
    expires_ns: int
    records: tuple[Record, ...]
    negative: Negative | None = None


class Cache:
    """Sets of records by name and type, in virtual time. The oldest goes when there are too many."""

    def __init__(self, scheduler: Scheduler, sets_max: int = SETS_MAX) -> None:
        self._scheduler = scheduler
        self._sets_max = sets_max
        self._entries: dict[tuple[Key, int], _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def put(self, records: Sequence[Record], rank: Rank) -> None:
        """Remember a set, unless a better one is known. One of no time is there until time moves on."""
        ttl_s = min(_sane(record.ttl_s, TTL_MAX_S) for record in records)
        self._store((key_of(records[0].name), records[0].type), _Entry(rank, self._until(ttl_s), tuple(records)))

    def deny(self, name: str, kind: int, rcode: int, soa: Record | None) -> None:
        """Remember that records of a type are not there, or the name is not: RFC 2308 section 5."""
        ttl_s = 0
        if soa is not None and isinstance(soa.data, SOA):
            ttl_s = _sane(min(soa.ttl_s, soa.data.minimum_s), NEGATIVE_TTL_MAX_S)
        elif rcode == SERVER_FAILURE:
            ttl_s = FAILURE_TTL_S
        authority = () if soa is None else (replace(soa, ttl_s=ttl_s),)
        place = (key_of(name), _WHOLE_NAME if rcode == NO_SUCH_NAME else kind)
        self._store(place, _Entry(Rank.ANSWER, self._until(ttl_s), (), Negative(rcode, authority)))

    def get(self, key: Key, kind: int, rank: Rank = Rank.ANSWER) -> tuple[Record, ...]:
        """Return a set that is trusted so far, its time to live counted down; nothing if there is none."""
        entry = self._alive((key, kind))
        if entry is None or entry.rank < rank:
            return ()
        return self._aged(entry.records, entry)

    def denied(self, key: Key, kind: int) -> Negative | None:
        """Return what is known about records not being there."""
        for place in ((key, _WHOLE_NAME), (key, kind)):
            entry = self._alive(place)
            if entry is not None and entry.negative is not None:
                return Negative(entry.negative.rcode, self._aged(entry.negative.authority, entry))
        return None

    def _until(self, ttl_s: int) -> int:
        return self._scheduler.now + ttl_s * SECOND

    def _alive(self, place: tuple[Key, int]) -> _Entry | None:
        entry = self._entries.get(place)
        if entry is not None and _is_over(entry, self._scheduler.now):
            del self._entries[place]
            return None
        return entry

    def _aged(self, records: tuple[Record, ...], entry: _Entry) -> tuple[Record, ...]:
        left_s = (entry.expires_ns - self._scheduler.now) // SECOND
        return tuple(replace(record, ttl_s=left_s) for record in records)

    def _store(self, place: tuple[Key, int], entry: _Entry) -> None:
        known = self._alive(place)
        if known is not None and known.rank > entry.rank:
            return
        self._entries.pop(place, None)
        if len(self._entries) >= self._sets_max:
            del self._entries[next(iter(self._entries))]
        self._entries[place] = entry


def _is_over(entry: _Entry, now_ns: int) -> bool:
    """Return whether it is too late; what has no time at all is of use in the instant it comes (RFC 1035 3.2.1)."""
    return now_ns > entry.expires_ns


def _sane(ttl_s: int, most_s: int) -> int:
    """RFC 2181 section 8: with the top bit set it is 0."""
    return 0 if ttl_s >> 31 else min(ttl_s, most_s)
