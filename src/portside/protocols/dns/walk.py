"""From the root down: finding records without trusting any resolver.

Source: RFC 1034 section 5.3.3; RFC 9499 (lame, glue, referral); RFC 9520 (bounded tries).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import dns.flags
import dns.name
import dns.rdatatype
from dns.message import Message
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

from portside.address import InternetAddress
from portside.contracts import Network
from portside.errors import NameNotFound
from portside.protocols.dns.client import (
    FAMILIES,
    PORT,
    TYPE_OF,
    Family,
    Record,
    Reply,
    ServerFailed,
    add_alias,
    ask,
    follow,
    no_data,
    no_such_name,
    records_of,
    shown,
)

QUESTIONS_MAX: Final = 100  # of one walk, its search for name servers' addresses included
DEPTH_MAX: Final = 6  # of name servers whose addresses take name servers whose addresses …
ASK_S: Final = 2.0  # of a walk: after so long the next server is asked

# https://www.internic.net/domain/named.root as of 2025; b.root moved in November 2023.
_ROOTS: Final = (
    ("a", "198.41.0.4", "2001:503:ba3e::2:30"),
    ("b", "170.247.170.2", "2801:1b8:10::b"),
    ("c", "192.33.4.12", "2001:500:2::c"),
    ("d", "199.7.91.13", "2001:500:2d::d"),
    ("e", "192.203.230.10", "2001:500:a8::e"),
    ("f", "192.5.5.241", "2001:500:2f::f"),
    ("g", "192.112.36.4", "2001:500:12::d0d"),
    ("h", "198.97.190.53", "2001:500:1::53"),
    ("i", "192.36.148.17", "2001:7fe::53"),
    ("j", "192.58.128.30", "2001:503:c27::2:30"),
    ("k", "193.0.14.129", "2001:7fd::1"),
    ("l", "199.7.83.42", "2001:500:9f::42"),
    ("m", "202.12.27.33", "2001:dc3::35"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """A name server to ask, with its name where that is known."""

    address: InternetAddress
    name: str | None = None


def roots(family: Family | None = None) -> list[Server]:
    """Return the root servers, those of IPv4 first unless only one family is wanted."""
    by_family: dict[Family, list[Server]] = {
        "ipv4": [Server(InternetAddress(v4, PORT), f"{letter}.root-servers.net.") for letter, v4, _ in _ROOTS],
        "ipv6": [Server(InternetAddress(v6, PORT), f"{letter}.root-servers.net.") for letter, _, v6 in _ROOTS],
    }
    return by_family[family] if family else by_family["ipv4"] + by_family["ipv6"]


Outcome: TypeAlias = Literal["referral", "answer", "alias", "no such name", "no data", "lame", "failure"]


@dataclass(frozen=True, slots=True)
class Step:
    """One question of a walk and what came of it. ``depth`` counts from 0; more is the search for a name server.

    ``zone`` is the zone whose server was asked. ``records`` are the answer's, or the name servers referred to with
    the addresses that came along (glue).
    """

    depth: int
    zone: str
    name: str
    type: str
    server: InternetAddress
    server_name: str | None
    outcome: Outcome
    sentence: str
    records: tuple[Record, ...]
    took_s: float


@dataclass(slots=True)
class _Cut:
    """A zone and who serves it: servers with addresses, and names of servers whose addresses must be looked up."""

    zone: Name
    servers: list[Server]
    names: list[Name] = field(default_factory=list)


class Walk:
    """Finds records without trusting any resolver: asks the root, then whoever it is referred to, until the answer.

    Every reply must lead closer to the name or is passed over as lame; questions, depth and time are bounded, so
    referrals in a circle end with a sentence. ``port`` is every server's: referrals name none.
    """

    def __init__(
        self,
        network: Network,
        servers: Sequence[Server],
        *,
        timeout_s: float,
        on_step: Callable[[Step], None] = lambda step: None,
        family: Family | None = None,
        port: int = PORT,
    ) -> None:
        self._network = network
        self._on_step = on_step
        self._families = (family,) if family else FAMILIES
        self._port = port
        self._timeout_s = timeout_s
        self._deadline_s = network.now_s() + timeout_s
        self._questions_left = QUESTIONS_MAX
        self._cuts = {dns.name.root: _Cut(dns.name.root, list(servers))}
        self._looking_for: list[Name] = []

    async def find(self, name: Name, rdtype: RdataType) -> tuple[Record, ...]:
        """Return the records of the name, aliases on the way first.

        Raises: NameNotFound with the reason; TimeoutError when the walk as a whole took too long.
        """
        return await self._find(name, rdtype, depth=0)

    async def _find(self, name: Name, rdtype: RdataType, depth: int) -> tuple[Record, ...]:
        seen: list[Name] = [name]
        records: tuple[Record, ...] = ()
        while True:
            reply = await self._descend(seen[-1], rdtype, depth)
            chain = follow(reply.message, seen[-1], rdtype)
            records = (*records, *chain.records)
            if chain.is_answered:
                return records
            if reply.is_no_such_name and chain.name == seen[-1]:
                raise no_such_name(name, chain.name, reply.server)
            if chain.name == seen[-1]:
                raise no_data(name, chain.name, rdtype, reply.server)
            add_alias(seen, chain.name)  # its zone may be another one, which is asked itself

    async def _descend(self, name: Name, rdtype: RdataType, depth: int) -> Reply:
        """Return the reply of the zone that knows about the name, from the closest zone known so far downwards."""
        cut = self._closest(name)
        while True:
            reply, referral = await self._ask_zone(cut, name, rdtype, depth)
            if referral is None:
                return reply
            cut = self._cuts[referral.zone] = referral

    def _closest(self, name: Name) -> _Cut:
        while name not in self._cuts:
            name = name.parent()
        return self._cuts[name]

    async def _ask_zone(self, cut: _Cut, name: Name, rdtype: RdataType, depth: int) -> tuple[Reply, _Cut | None]:
        """Return the first reply of the zone's servers that answers or leads on."""
        failures: list[str] = []
        async for server in self._servers_of(cut, depth):
            self._count(name)
            left_s = min(ASK_S, self._deadline_s - self._network.now_s())
            started_s = self._network.now_s()
            dead_end: NameNotFound | None = None
            try:
                reply = await ask(
                    self._network, server.address, name, rdtype, timeout_s=max(left_s, 0.001), recursive=False
                )
                outcome, sentence, records, referral = self._judge(cut, reply, name, rdtype)
            except (ServerFailed, NameNotFound) as failure:
                outcome, sentence, records, referral = "failure", failure.why, (), None
                dead_end = failure if isinstance(failure, NameNotFound) else None
            self._on_step(
                Step(
                    depth,
                    cut.zone.to_text(),
                    name.to_text(),
                    dns.rdatatype.to_text(rdtype),
                    server.address,
                    server.name,
                    outcome,
                    sentence,
                    records,
                    self._network.now_s() - started_s,
                )
            )
            if dead_end is not None:
                raise dead_end
            if outcome not in {"failure", "lame"}:
                return reply, referral
            failures.append(f"{server.address}: {sentence}")
        said = "; ".join(failures) or "none of them has an address"
        zone = "the root" if cut.zone == dns.name.root else shown(cut.zone)
        raise NameNotFound(shown(name), f"no server of {zone} helps: {said}")

    def _count(self, name: Name) -> None:
        if self._network.now_s() >= self._deadline_s:
            raise TimeoutError(f"cannot resolve {shown(name)}: the walk did not end within {self._timeout_s:g} s")
        if not self._questions_left:
            raise NameNotFound(shown(name), f"gave up after {QUESTIONS_MAX} questions")
        self._questions_left -= 1

    def _judge(
        self, cut: _Cut, reply: Reply, name: Name, rdtype: RdataType
    ) -> tuple[Outcome, str, tuple[Record, ...], _Cut | None]:
        """Return what the reply is: outcome, sentence, records to show, and where it refers to."""
        message = reply.message
        chain = follow(message, name, rdtype)
        if chain.is_answered:
            return "answer", "answers", chain.records, None
        if chain.name != name:
            return "alias", f"it is an alias of {shown(chain.name)}", chain.records, None
        if reply.is_no_such_name:
            return "no such name", "there is no such name", (), None
        delegations = [rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.NS]
        if delegations and not message.flags & dns.flags.AA:
            return self._judge_referral(cut, message, delegations[0], name)
        if message.flags & dns.flags.AA or any(each.rdtype == dns.rdatatype.SOA for each in message.authority):
            return "no data", f"the name exists, but has no {dns.rdatatype.to_text(rdtype)} record", (), None
        return "lame", f"it knows nothing of {shown(name)}", (), None

    def _judge_referral(
        self, cut: _Cut, message: Message, delegation: RRset, name: Name
    ) -> tuple[Outcome, str, tuple[Record, ...], _Cut | None]:
        zone = delegation.name
        if not (name.is_subdomain(zone) and zone.is_subdomain(cut.zone) and zone != cut.zone):
            # Upwards or sideways: followed, it would never end.
            return "lame", f"it refers to {zone}, which leads no closer", (), None
        names = [rdata.target for rdata in delegation]
        # Addresses are believed only of hosts in the zone that tells them; others may be anybody's claim.
        glue = [
            rrset
            for rrset in message.additional
            if rrset.name in names
            and rrset.name.is_subdomain(cut.zone)
            and rrset.rdtype in {dns.rdatatype.A, dns.rdatatype.AAAA}
        ]
        known = {rrset.name for rrset in glue}
        servers = [
            Server(InternetAddress(record.data, self._port), record.name)
            for family in self._families
            for record in records_of(glue)
            if record.type == _TYPE_NAMES[family]
        ]
        referral = _Cut(zone, servers, [each for each in names if each not in known])
        return "referral", f"refers to {zone}", records_of([delegation, *glue]), referral

    async def _servers_of(self, cut: _Cut, depth: int) -> AsyncIterator[Server]:
        """Yield the zone's servers, those first whose addresses are known; look up the others one by one."""
        for server in list(cut.servers):
            yield server
        for name in list(cut.names):
            # Only the zone itself could tell the address of a host of its own, and that is what is looked for.
            if name.is_subdomain(cut.zone) or name in self._looking_for or depth >= DEPTH_MAX:
                continue
            self._count(name)  # looking around costs too, even where nobody can be asked
            self._looking_for.append(name)
            try:
                found = await self._addresses_of(name, depth + 1)
            finally:
                self._looking_for.remove(name)
            if name in cut.names:
                cut.names.remove(name)
                cut.servers += found
            for server in found:
                yield server

    async def _addresses_of(self, name: Name, depth: int) -> list[Server]:
        for family in self._families:
            try:
                records = await self._find(name, TYPE_OF[family], depth)
            except NameNotFound:
                if not self._questions_left:
                    raise
                continue
            found = [record for record in records if record.type == _TYPE_NAMES[family]]
            return [Server(InternetAddress(record.data, self._port), name.to_text()) for record in found]
        return []


_TYPE_NAMES: Final[dict[Family, str]] = {"ipv4": "A", "ipv6": "AAAA"}
