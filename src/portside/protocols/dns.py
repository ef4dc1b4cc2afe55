"""Asking name servers: one question to one server, a look-up through one that recurses, and the walk from the root.

The bytes are dnspython's business (the ``[dns]`` extra; importing this module without it raises MissingExtra), the
sockets are the network's: the same code asks real servers and simulated ones.
Source: RFC 1034 and 1035; RFC 6891 (EDNS), RFC 7766 (TCP), RFC 8499 (lame, glue, referral), RFC 9520 (bounded tries).
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from portside.address import (
    Endpoint,
    InternetAddress,
    parse_ip,
    parse_port,
    split_host_port,
)
from portside.contracts import Network
from portside.errors import (
    ConnectFailed,
    EndOfStream,
    LocalError,
    MalformedAddress,
    MissingExtra,
    NameNotFound,
    NetworkError,
    PeerError,
    UsageError,
)

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.rcode
    import dns.rdataclass
    import dns.rdatatype
    import dns.reversename
    import dns.rrset
except ImportError as missing:
    raise MissingExtra("asking name servers", "dns") from missing

from dns.message import Message
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

PORT: Final = 53
EDNS_BYTES: Final = 1_232  # fits IPv6's smallest link without fragments: DNS flag day 2020
ALIASES_MAX: Final = 16
QUESTIONS_MAX: Final = 100  # of one walk, its search for name servers' addresses included
DEPTH_MAX: Final = 6  # of name servers whose addresses take name servers whose addresses …
ASK_S: Final = 2.0  # of a walk: after so long the next server is asked

TYPES: Final = ("A", "AAAA", "ANY", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "TXT")
_NOT_ASKED: Final = frozenset({"AXFR", "IXFR", "OPT", "TSIG", "TKEY", "MAILA", "MAILB", "NONE"})

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

Family: TypeAlias = Literal["ipv4", "ipv6"]


class ServerFailed(NetworkError):
    """One name server gave no usable answer; another may."""

    def __init__(self, server: InternetAddress, why: str) -> None:
        super().__init__(f"{server}: {why}")
        self.server = server
        self.why = why


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record as a zone file writes it; names end with the root's dot."""

    name: str
    ttl_s: int
    type: str
    data: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer: NOERROR or NXDOMAIN, everything else has raised ServerFailed."""

    server: InternetAddress
    transport: Literal["udp", "tcp"]
    took_s: float
    message: Message

    @property
    def is_no_such_name(self) -> bool:
        return self.message.rcode() == dns.rcode.NXDOMAIN


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


def parse_resolv_conf(text: str) -> list[InternetAddress]:
    """Return the name servers of resolv.conf(5), in order; lines that are none are passed over, as the system does."""
    servers = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                servers.append(InternetAddress(str(parse_ip(words[1])), PORT))
            except MalformedAddress:
                continue
    return servers


def split_server(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST``, ``HOST:PORT`` or ``[A]:PORT``. Raises: MalformedAddress."""
    host, port = split_host_port(text)
    if not host:
        raise MalformedAddress(text, "the name server's host is missing")
    return host, parse_port(port) if port else PORT


def parse_type(text: str) -> RdataType:
    """Return the record type of that name, or of ``TYPE65``. Raises: UsageError with the nearest name."""
    word = text.upper()
    try:
        if word in _NOT_ASKED:
            raise UsageError(f"{word} is not a type of records to look up")
        return dns.rdatatype.from_text(word)
    except (dns.exception.DNSException, ValueError) as error:
        near = difflib.get_close_matches(word, TYPES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TYPES)} and others"
        raise UsageError(f"there is no record type {text!r}; {hint}") from error


def parse_name(text: str) -> Name:
    """Return the domain name, absolute. Raises: NameNotFound for what cannot be one."""
    if not text:
        raise NameNotFound(text, "this is no domain name: it is empty")
    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise NameNotFound(text, f"this is no domain name: {error}".rstrip(".")) from error


def reverse_name(text: str) -> Name:
    """Return the name whose PTR record names the host of the address: in-addr.arpa or ip6.arpa (RFC 3596).

    Raises: MalformedAddress.
    """
    return dns.reversename.from_address(str(parse_ip(text.partition("%")[0] if ":" in text else text)))


def _shown(name: Name) -> str:
    """Return the name as people write it, without the root's dot; the root itself is just that."""
    return name.to_text(omit_final_dot=True)


def records_of(rrsets: Sequence[RRset]) -> tuple[Record, ...]:
    """Return the records of the sets, in the order the server sent them."""
    return tuple(
        Record(rrset.name.to_text(), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), rdata.to_text())
        for rrset in rrsets
        for rdata in rrset
    )


# ── one question to one server ───────────────────────────────────────────────────────────────────────────────────────


async def ask(
    network: Network,
    server: InternetAddress,
    name: Name,
    rdtype: RdataType,
    *,
    timeout_s: float,
    recursive: bool = True,
) -> Reply:
    """Ask one server over UDP, again over TCP if the answer did not fit, and again without EDNS if it knows none.

    Answers to other questions are not listened to. Raises: ServerFailed within ``timeout_s`` seconds.
    """
    started_s = network.now_s()
    deadline_s = started_s + timeout_s
    for use_edns in (True, False):
        query = dns.message.make_query(name, rdtype, use_edns=0 if use_edns else False, payload=EDNS_BYTES)
        if not recursive:
            query.flags &= ~dns.flags.RD
        try:
            message, transport = await _exchange(network, server, query, deadline_s)
        except ServerFailed:
            raise
        except TimeoutError as error:
            raise ServerFailed(server, f"no answer within {timeout_s:g} s") from error
        except (NetworkError, PeerError, LocalError) as error:
            raise ServerFailed(server, _words_of(error, server)) from error
        rcode = message.rcode()
        if rcode in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            return Reply(server, transport, network.now_s() - started_s, message)
        if not use_edns or rcode not in {dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS}:
            break
    raise ServerFailed(server, _RCODES.get(rcode, f"it says {dns.rcode.to_text(rcode)}"))


_RCODES: Final = {
    dns.rcode.FORMERR: "it does not understand the question (FORMERR)",
    dns.rcode.SERVFAIL: "it failed to find out (SERVFAIL)",
    dns.rcode.NOTIMP: "it does not answer such questions (NOTIMP)",
    dns.rcode.REFUSED: "it refuses to answer (REFUSED)",
}


def _words_of(error: Exception, server: InternetAddress) -> str:
    if isinstance(error, ConnectFailed):
        return f"over TCP: {error.attempts[-1][1]}" if error.attempts else "over TCP: no connection"
    if isinstance(error, EndOfStream):
        return "it closed the connection before its answer was complete"
    return str(error).removeprefix(f"udp://{server}: ")


async def _exchange(
    network: Network, server: InternetAddress, query: Message, deadline_s: float
) -> tuple[Message, Literal["udp", "tcp"]]:
    message = await _exchange_udp(network, server, query, deadline_s)
    if message is not None:
        return message, "udp"
    return await _exchange_tcp(network, server, query, deadline_s), "tcp"


async def _exchange_udp(network: Network, server: InternetAddress, query: Message, deadline_s: float) -> Message | None:
    """Return the answer, None if it was truncated. The question is sent twice: either datagram may be lost."""
    wire = query.to_wire()
    start_s = network.now_s()
    endpoint = Endpoint("udp", host=server.host, port=server.port)
    async with await network.open_datagrams(endpoint, connect=True) as socket:
        for until_s in (start_s + (deadline_s - start_s) * 0.4, deadline_s):
            await socket.send(wire)
            while (left_s := until_s - network.now_s()) > 0:
                try:
                    data = (await socket.receive(timeout_s=left_s)).data
                except TimeoutError:
                    break
                if data[:2] != wire[:2] or len(data) < 3:
                    continue  # not to this question: late, or forged
                if data[2] & 0x02:  # TC, RFC 1035 section 4.1.1; what did come may end anywhere
                    return None
                message = _parse(server, data)
                if query.is_response(message):
                    return message
    raise TimeoutError


async def _exchange_tcp(network: Network, server: InternetAddress, query: Message, deadline_s: float) -> Message:
    """Return the answer over TCP, where two bytes of length stand before each message (RFC 1035 section 4.2.2)."""

    def left_s() -> float:
        left = deadline_s - network.now_s()
        if left <= 0:
            raise TimeoutError
        return left

    wire = query.to_wire()
    endpoint = Endpoint("tcp", host=server.host, port=server.port)
    async with await network.connect(endpoint, timeout_s=left_s()) as connection:
        await connection.write(len(wire).to_bytes(2, "big") + wire)
        length = int.from_bytes(await connection.read_exactly(2, timeout_s=left_s()), "big")
        message = _parse(server, await connection.read_exactly(length, timeout_s=left_s()))
    if not query.is_response(message):
        raise ServerFailed(server, "its answer over TCP is to another question")
    return message


def _parse(server: InternetAddress, data: bytes) -> Message:
    try:
        return dns.message.from_wire(data, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, IndexError, KeyError, NotImplementedError) as error:
        raise ServerFailed(server, "its answer is no DNS message") from error


# ── what an answer says ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the aliases in an answer lead: the records on the way, the name at the end, whether it was answered."""

    records: tuple[Record, ...]
    name: Name
    is_answered: bool


def follow(message: Message, name: Name, rdtype: RdataType) -> Chain:
    """Follow the aliases from ``name`` through the answer section (RFC 1034 section 3.6.2).

    Raises: NameNotFound when they lead in a circle.
    """
    records: tuple[Record, ...] = ()
    seen = [name]
    while True:
        here = [rrset for rrset in message.answer if rrset.name == seen[-1]]
        wanted = [rrset for rrset in here if rdtype in {rrset.rdtype, dns.rdatatype.ANY}]
        if wanted:
            return Chain(records + records_of(wanted), seen[-1], True)
        aliases = [rrset for rrset in here if rrset.rdtype == dns.rdatatype.CNAME]
        if not aliases:
            return Chain(records, seen[-1], False)
        records += records_of(aliases[:1])
        _add_alias(seen, aliases[0][0].target)


def _add_alias(seen: list[Name], target: Name) -> None:
    if target in seen or len(seen) > ALIASES_MAX:
        path = " → ".join(_shown(name) for name in [*seen, target])
        why = f"its aliases lead in a circle: {path}" if target in seen else f"more than {ALIASES_MAX} aliases: {path}"
        raise NameNotFound(_shown(seen[0]), why)
    seen.append(target)


def _no_such_name(asked: Name, found: Name, server: InternetAddress) -> NameNotFound:
    alias = f"it is an alias of {_shown(found)}, and " if found != asked else ""
    return NameNotFound(_shown(asked), f"{alias}there is no such name (NXDOMAIN from {server})")


def _no_data(asked: Name, found: Name, rdtype: RdataType, server: InternetAddress) -> NameNotFound:
    which = f"it is an alias of {_shown(found)}, which exists" if found != asked else "the name exists"
    what = "record" if rdtype == dns.rdatatype.ANY else f"{dns.rdatatype.to_text(rdtype)} record"
    return NameNotFound(_shown(asked), f"{which}, but has no {what} (says {server})")


# ── through a server that recurses ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Found:
    """The records, aliases on the way first, and the server that gave them."""

    records: tuple[Record, ...]
    server: InternetAddress
    transport: Literal["udp", "tcp"]


async def look_up(
    network: Network, servers: Sequence[InternetAddress], name: Name, rdtype: RdataType, *, timeout_s: float
) -> Found:
    """Return the records of the name, from the first of the servers that can tell.

    Raises: NameNotFound, also when no server could tell; TimeoutError after ``timeout_s`` seconds.
    """
    deadline_s = network.now_s() + timeout_s
    seen: list[Name] = [name]
    records: tuple[Record, ...] = ()
    while True:
        reply = await _ask_any(network, servers, seen[-1], rdtype, deadline_s=deadline_s)
        if reply is None:
            raise TimeoutError(
                f"cannot resolve {_shown(name)}: no answer within {timeout_s:g} s from {_listed(servers)}"
            )
        chain = follow(reply.message, seen[-1], rdtype)
        records = (*records, *chain.records)
        if chain.is_answered:
            return Found(records, reply.server, reply.transport)
        if reply.is_no_such_name:
            raise _no_such_name(name, chain.name, reply.server)
        if chain.name == seen[-1]:
            raise _no_data(name, chain.name, rdtype, reply.server)
        _add_alias(seen, chain.name)  # the server followed its aliases only so far


async def _ask_any(
    network: Network, servers: Sequence[InternetAddress], name: Name, rdtype: RdataType, *, deadline_s: float
) -> Reply | None:
    """Return the first usable reply, None when the time is up. Raises: NameNotFound with what every server said."""
    failures: list[ServerFailed] = []
    for place, server in enumerate(servers):
        left_s = deadline_s - network.now_s()
        if left_s <= 0:
            break
        try:
            # What is left is shared among those that are left: a dead first server leaves time for the second.
            return await ask(network, server, name, rdtype, timeout_s=left_s / (len(servers) - place))
        except ServerFailed as failure:
            failures.append(failure)
    if servers and network.now_s() >= deadline_s:
        return None
    said = "; ".join(str(failure) for failure in failures)
    raise NameNotFound(_shown(name), said or "there is no name server to ask")


def _listed(servers: Sequence[InternetAddress]) -> str:
    return ", ".join(map(str, servers))


# ── from the root down ───────────────────────────────────────────────────────────────────────────────────────────────

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
        self._families: tuple[Family, ...] = (family,) if family else ("ipv4", "ipv6")
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
                raise _no_such_name(name, chain.name, reply.server)
            if chain.name == seen[-1]:
                raise _no_data(name, chain.name, rdtype, reply.server)
            _add_alias(seen, chain.name)  # its zone may be another one, which is asked itself

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
        zone = "the root" if cut.zone == dns.name.root else _shown(cut.zone)
        raise NameNotFound(_shown(name), f"no server of {zone} helps: {said}")

    def _count(self, name: Name) -> None:
        if self._network.now_s() >= self._deadline_s:
            raise TimeoutError(f"cannot resolve {_shown(name)}: the walk did not end within {self._timeout_s:g} s")
        if not self._questions_left:
            raise NameNotFound(_shown(name), f"gave up after {QUESTIONS_MAX} questions")
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
            return "alias", f"it is an alias of {_shown(chain.name)}", chain.records, None
        if reply.is_no_such_name:
            return "no such name", "there is no such name", (), None
        delegations = [rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.NS]
        if delegations and not message.flags & dns.flags.AA:
            return self._judge_referral(cut, message, delegations[0], name)
        if message.flags & dns.flags.AA or any(each.rdtype == dns.rdatatype.SOA for each in message.authority):
            return "no data", f"the name exists, but has no {dns.rdatatype.to_text(rdtype)} record", (), None
        return "lame", f"it knows nothing of {_shown(name)}", (), None

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
                records = await self._find(name, _TYPES[family], depth)
            except NameNotFound:
                if not self._questions_left:
                    raise
                continue
            found = [record for record in records if record.type == _TYPE_NAMES[family]]
            return [Server(InternetAddress(record.data, self._port), name.to_text()) for record in found]
        return []


_TYPES: Final[dict[Family, RdataType]] = {"ipv4": dns.rdatatype.A, "ipv6": dns.rdatatype.AAAA}
_TYPE_NAMES: Final[dict[Family, str]] = {"ipv4": "A", "ipv6": "AAAA"}
