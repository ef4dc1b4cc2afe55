"""An authoritative server of names: what its zones say, as answers to questions. No I/O; ``serving`` has that.

Source: RFC 1034 section 4.3.2, RFC 2308 section 2 (negative answers), RFC 6604 (codes behind aliases), RFC 6891 (EDNS).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from portside.sim.nameserver.keys import Key, address_data, ancestors, key_of
from portside.sim.nameserver.zone import TTL_DEFAULT_S, TYPE_A, TYPE_AAAA, Found, Kind, Zone
from portside.sim.seams import End
from portside.wire.dns import (
    FORMAT_ERROR,
    IN,
    NO_SUCH_NAME,
    NOT_IMPLEMENTED,
    QUERY,
    REFUSED,
    DnsMessage,
    Edns,
    Question,
    Record,
)
from portside.wire.dns_records import CNAME, MX, NS, SOA, SRV

BAD_VERSION: Final = 16  # RFC 6891 section 9
ALIASES_MAX: Final = 16
TRANSFERS: Final = frozenset({251, 252})  # IXFR, AXFR: whole zones are given to nobody


def reply_to(query: DnsMessage, rcode: int = 0) -> DnsMessage:
    """Return an answer without records: RFC 1035 section 4.1.1 and 7.3 say what it shares with its question."""
    return DnsMessage(
        query.id,
        query.questions,
        is_response=True,
        opcode=query.opcode,
        rcode=rcode,
        recursion_desired=query.recursion_desired,
        checking_disabled=query.checking_disabled,
        edns=None if query.edns is None else Edns(dnssec_ok=query.edns.dnssec_ok),
    )


def complaint(query: DnsMessage) -> DnsMessage | None:
    """Return the answer to a message that asks nothing sensible, None if it does."""
    if query.edns is not None and query.edns.version > 0:
        return reply_to(query, BAD_VERSION)  # RFC 6891 section 6.1.3
    if query.opcode != QUERY:
        return reply_to(query, NOT_IMPLEMENTED)
    if len(query.questions) != 1:
        return reply_to(query, FORMAT_ERROR)  # RFC 9619: one question it is
    if query.questions[0].record_class != IN or query.questions[0].type in TRANSFERS:
        return reply_to(query, REFUSED)
    return None


@dataclass(slots=True)
class _Draft:
    """The parts of an answer in the making."""

    rcode: int = 0
    is_authoritative: bool = True
    answers: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)


class Authority:
    """Answers for its zones, and refuses all else. Zones and their records may change at any time."""

    def __init__(self, zones: Iterable[Zone] = ()) -> None:
        self._zones: dict[Key, Zone] = {}
        for zone in zones:
            self.add_zone(zone)

    @property
    def zones(self) -> list[Zone]:
        return list(self._zones.values())

    def add_zone(self, zone: Zone) -> None:
        """Answer for this zone as well, in place of the one of that name."""
        self._zones[zone.key] = zone

    def add(self, name: str, address: int, *, ttl_s: int = TTL_DEFAULT_S) -> None:
        """Give a name an address, in whichever zone it is. The name is absolute, with or without a dot at its end.

        Raises: ValueError if it is in none.
        """
        zone = self.zone_of(name)
        if zone is None:
            raise ValueError(f"{name} is in none of the zones {', '.join(each.origin for each in self.zones)}")
        zone.add(name if name.endswith(".") else f"{name}.", address_data(address), ttl_s=ttl_s)

    def zone_of(self, name: str) -> Zone | None:
        """Return the nearest zone of ours that a name is in."""
        return next((self._zones[each] for each in ancestors(key_of(name)) if each in self._zones), None)

    def ask(self, query: DnsMessage, _: End, reply: Callable[[DnsMessage], object]) -> None:
        """Answer at once: see ``serving.Answerer``."""
        reply(self.answer(query))

    def answer(self, query: DnsMessage) -> DnsMessage:
        """Return the answer to a message. It has all that belongs in it, however long that is."""
        refusal = complaint(query)
        if refusal is not None:
            return refusal
        (question,) = query.questions
        zone = self.zone_of(question.name)
        if zone is None:
            return reply_to(query, REFUSED)
        draft = self._draft(zone, question)
        return replace(
            reply_to(query, draft.rcode),
            is_authoritative=draft.is_authoritative,
            answers=tuple(draft.answers),
            authority=tuple(draft.authority),
            additional=self._additional(zone, [*draft.answers, *draft.authority]),
        )

    def _draft(self, start: Zone, question: Question) -> _Draft:
        """Follow the question through our zones, from alias to alias."""
        draft, name, zone = _Draft(), question.name, start
        for _ in range(ALIASES_MAX):
            found = zone.find(name, question.type)
            _take(draft, zone, found)
            if found.kind is not Kind.ALIAS:
                break
            alias = found.records[0].data
            assert isinstance(alias, CNAME)
            name, next_zone = alias.target, self.zone_of(alias.target)
            if next_zone is None or any(key_of(record.name) == key_of(name) for record in draft.answers):
                break  # the rest is for others to say; or it is a ring of aliases
            zone = next_zone
        return draft

    def _additional(self, start: Zone, records: list[Record]) -> tuple[Record, ...]:
        """Return the addresses of the hosts that records name, as far as we have them: RFC 1034 section 4.3.2, 6."""
        there = {(key_of(record.name), record.type): None for record in records if record.type in {TYPE_A, TYPE_AAAA}}
        found: dict[tuple[Key, int, object], Record] = {}
        for record in records:
            target = _host_of(record)
            zone = None if target is None else self.zone_of(target) or start
            for each in () if zone is None or target is None else zone.glue(target) or start.glue(target):
                if (key_of(each.name), each.type) not in there:
                    found[key_of(each.name), each.type, each.data] = each
        return tuple(found.values())


def _take(draft: _Draft, zone: Zone, found: Found) -> None:
    """Put what a zone has for a question into the answer."""
    match found.kind:
        case Kind.ANSWER | Kind.ALIAS:
            draft.answers += found.records
        case Kind.REFERRAL:
            # The AA bit is about the first name of the answer section (RFC 1035 section 4.1.1): an alias of ours.
            draft.is_authoritative = bool(draft.answers)
            draft.authority += found.records
        case Kind.NO_DATA | Kind.NO_NAME:
            draft.rcode = NO_SUCH_NAME if found.kind is Kind.NO_NAME else 0
            draft.authority.append(_negative(zone.soa))


def _negative(soa: Record) -> Record:
    """Return the SOA as a negative answer has it: its time to live is the shorter of two (RFC 2308 section 3)."""
    assert isinstance(soa.data, SOA)
    return replace(soa, ttl_s=min(soa.ttl_s, soa.data.minimum_s))


def _host_of(record: Record) -> str | None:
    match record.data:
        case NS(target):
            return target
        case MX(_, exchange):
            return exchange
        case SRV():
            return record.data.target
    return None
