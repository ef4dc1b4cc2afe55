"""One question to one name server, and a look-up through servers that recurse.

The bytes are dnspython's business, the sockets the network's: the same code asks real servers and simulated ones.
Source: RFC 1034 and 1035; RFC 6891 (EDNS), RFC 7766 (TCP).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

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
    NameNotFound,
    NetworkError,
    PeerError,
    UsageError,
)

PORT: Final = 53
EDNS_BYTES: Final = 1_232  # fits IPv6's smallest link without fragments: DNS flag day 2020
ALIASES_MAX: Final = 16

TYPES: Final = ("A", "AAAA", "ANY", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "TXT")
Family: TypeAlias = Literal["ipv4", "ipv6"]
FAMILIES: Final[tuple[Family, ...]] = ("ipv4", "ipv6")
TYPE_OF: Final[dict[Family, RdataType]] = {"ipv4": dns.rdatatype.A, "ipv6": dns.rdatatype.AAAA}

_NOT_ASKED: Final = frozenset({"AXFR", "IXFR", "OPT", "TSIG", "TKEY", "MAILA", "MAILB", "NONE"})


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


def shown(name: Name) -> str:
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
        add_alias(seen, aliases[0][0].target)


def add_alias(seen: list[Name], target: Name) -> None:
    if target in seen or len(seen) > ALIASES_MAX:
        path = " → ".join(shown(name) for name in [*seen, target])
        why = f"its aliases lead in a circle: {path}" if target in seen else f"more than {ALIASES_MAX} aliases: {path}"
        raise NameNotFound(shown(seen[0]), why)
    seen.append(target)


def no_such_name(asked: Name, found: Name, server: InternetAddress) -> NameNotFound:
    alias = f"it is an alias of {shown(found)}, and " if found != asked else ""
    return NameNotFound(shown(asked), f"{alias}there is no such name (NXDOMAIN from {server})")


def no_data(asked: Name, found: Name, rdtype: RdataType, server: InternetAddress) -> NameNotFound:
    which = f"it is an alias of {shown(found)}, which exists" if found != asked else "the name exists"
    what = "record" if rdtype == dns.rdatatype.ANY else f"{dns.rdatatype.to_text(rdtype)} record"
    return NameNotFound(shown(asked), f"{which}, but has no {what} (says {server})")


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
                f"cannot resolve {shown(name)}: no answer within {timeout_s:g} s from {_listed(servers)}"
            )
        chain = follow(reply.message, seen[-1], rdtype)
        records = (*records, *chain.records)
        if chain.is_answered:
            return Found(records, reply.server, reply.transport)
        if reply.is_no_such_name:
            raise no_such_name(name, chain.name, reply.server)
        if chain.name == seen[-1]:
            raise no_data(name, chain.name, rdtype, reply.server)
        add_alias(seen, chain.name)  # the server followed its aliases only so far


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
    raise NameNotFound(shown(name), said or "there is no name server to ask")


def _listed(servers: Sequence[InternetAddress]) -> str:
    return ", ".join(map(str, servers))
