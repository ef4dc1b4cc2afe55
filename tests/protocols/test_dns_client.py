"""Asking name servers: servers of our own on loopback say what real ones say, and what bad ones say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("dns.message", reason="dnspython is not installed")

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
from dns.message import Message

from portside.address import InternetAddress
from portside.errors import NameNotFound
from portside.net.blocking import BlockingNetwork
from portside.net.drive import drive
from portside.protocols.dns import client as ours
from portside.protocols.dns.client import (
    Record,
    ServerFailed,
    ask,
    follow,
    look_up,
    parse_name,
    parse_type,
)
from support.nameserver import Answer, NameServers, Transport, silence, status, zone

HERE = "127.0.0.1"
EXAMPLE = zone(
    "example.",
    """
    @      300 IN SOA ns.example. root.example. 1 2 3 4 5
    @      300 IN NS  ns.example.
    ns     300 IN A   127.0.0.1
    www    300 IN A   192.0.2.1
    www    300 IN A   192.0.2.2
    www    300 IN AAAA 2001:db8::1
    @      300 IN MX  10 mail.example.
    @      300 IN TXT "hello \\"world\\"" "again"
    alias  300 IN CNAME www.example.
    away   300 IN CNAME host.elsewhere.
    ring   300 IN CNAME gnir.example.
    gnir   300 IN CNAME ring.example.
    self   300 IN CNAME self.example.
    gone   300 IN CNAME nothing.example.
    """,
)


def run(coroutine: Any) -> Any:
    return drive(coroutine, handler="test", model="blocking")


def query(servers: NameServers, name: str, kind: str = "A", *, timeout_s: float = 5.0) -> ours.Found:
    addresses = [InternetAddress(address, servers.port) for address in servers.answers]
    found = look_up(BlockingNetwork(), addresses, parse_name(name), parse_type(kind), timeout_s=timeout_s)
    result = run(found)
    assert isinstance(result, ours.Found)
    return result


def data_of(records: tuple[Record, ...]) -> list[tuple[str, str, str]]:
    return [(record.name, record.type, record.data) for record in records]


def refused(answer: Answer, *, timeout_s: float = 5.0) -> str:
    """Return the sentence about a server that answers so."""
    with NameServers({HERE: answer}) as servers:
        server = InternetAddress(HERE, servers.port)
        with pytest.raises(ServerFailed) as caught:
            run(ask(BlockingNetwork(), server, parse_name("www.example"), parse_type("A"), timeout_s=timeout_s))
    assert caught.value.server == server
    return caught.value.why


# ── through a server ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def example() -> Iterator[NameServers]:
    with NameServers({HERE: EXAMPLE}) as servers:
        yield servers


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("www.example", "A", [("www.example.", "A", "192.0.2.1"), ("www.example.", "A", "192.0.2.2")]),
        ("WWW.Example.", "AAAA", [("www.example.", "AAAA", "2001:db8::1")]),
        ("example", "MX", [("example.", "MX", "10 mail.example.")]),
        ("example", "txt", [("example.", "TXT", '"hello \\"world\\"" "again"')]),
        ("alias.example", "CNAME", [("alias.example.", "CNAME", "www.example.")]),
        (
            "alias.example",
            "AAAA",
            [("alias.example.", "CNAME", "www.example."), ("www.example.", "AAAA", "2001:db8::1")],
        ),
    ],
)
def test_records_are_found_over_aliases(
    example: NameServers, name: str, kind: str, expected: list[tuple[str, str, str]]
) -> None:
    found = query(example, name, kind)
    # The server shuffles the records of a set.
    assert sorted((owner.lower(), *rest) for owner, *rest in data_of(found.records)) == sorted(expected)
    assert {record.ttl_s for record in found.records} == {300}
    assert (found.server, found.transport) == (InternetAddress(HERE, example.port), "udp")


def test_any_gives_everything(example: NameServers) -> None:
    assert {record.type for record in query(example, "example", "ANY").records} == {"SOA", "NS", "MX", "TXT"}


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("nothing.example", "A", "cannot resolve nothing.example: there is no such name (NXDOMAIN from 127.0.0.1:"),
        ("www.example", "MX", "cannot resolve www.example: the name exists, but has no MX record (says 127.0.0.1:"),
        (
            "gone.example",
            "A",
            "cannot resolve gone.example: it is an alias of nothing.example, and there is no such name (NXDOMAIN from",
        ),
        (
            "alias.example",
            "MX",
            "cannot resolve alias.example: it is an alias of www.example, which exists, but has no MX record (says ",
        ),
        (
            "ring.example",
            "A",
            "cannot resolve ring.example: its aliases lead in a circle: ring.example → gnir.example → ring.example",
        ),
        ("self.example", "A", "its aliases lead in a circle: self.example → self.example"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(example: NameServers, name: str, kind: str, why: str) -> None:
    with pytest.raises(NameNotFound) as caught:
        query(example, name, kind)
    assert str(caught.value).startswith(why) or why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_endless_chain_of_aliases_is_bounded() -> None:
    def next_alias(question: Message, transport: Transport) -> Message:
        name = question.question[0].name
        number = int(name.labels[0])
        reply = dns.message.make_response(question)
        reply.answer.append(dns.rrset.from_text(name, 1, "IN", "CNAME", f"{number + 1}.example."))
        return reply

    with NameServers({HERE: next_alias}) as servers, pytest.raises(NameNotFound, match="more than 16 aliases: 0"):
        query(servers, "0.example")
    assert len(servers.asked) == 17


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("SERVFAIL", "it failed to find out (SERVFAIL)"),
        ("REFUSED", "it refuses to answer (REFUSED)"),
        ("FORMERR", "it does not understand the question (FORMERR)"),
        ("NOTIMP", "it does not answer such questions (NOTIMP)"),
        ("YXDOMAIN", "it says YXDOMAIN"),
    ],
)
def test_a_servers_failure_is_told_in_words(code: str, why: str) -> None:
    assert refused(status(code)) == why


def test_a_server_without_edns_is_asked_without_it() -> None:
    def old(question: Message, transport: Transport) -> Message | None:
        if question.edns < 0:
            return EXAMPLE(question, transport)  # type: ignore[return-value]
        reply = dns.message.make_response(question)
        reply.use_edns(False)
        reply.set_rcode(dns.rcode.FORMERR)
        return reply

    with NameServers({HERE: old}) as servers:
        assert len(query(servers, "www.example").records) == 2
    assert len(servers.asked) == 2


def test_a_truncated_answer_is_asked_for_again_over_tcp() -> None:
    def short(question: Message, transport: Transport) -> Message | bytes | None:
        if transport == "tcp":
            return EXAMPLE(question, transport)
        whole = EXAMPLE(question, transport)
        assert isinstance(whole, Message)
        whole.flags |= dns.flags.TC
        return whole.to_wire()[:40]  # cut in the middle of a record, as some do

    with NameServers({HERE: short}) as servers:
        found = query(servers, "www.example")
    assert (len(found.records), found.transport) == (2, "tcp")
    assert [transport for *_, transport in servers.asked] == ["udp", "tcp"]


def truncated_then(said: bytes | None) -> Answer:
    def answer(question: Message, transport: Transport) -> Message | bytes | None:
        if transport == "tcp":
            return said
        reply = dns.message.make_response(question)
        reply.flags |= dns.flags.TC
        return reply

    return answer


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "it closed the connection before its answer was complete"),
        (b"\0\0\x81", "its answer is no DNS message"),
        (dns.message.make_response(dns.message.make_query("x.", "A", id=7)).to_wire(), "its answer over TCP is to an"),
    ],
)
def test_a_bad_answer_over_tcp_is_told(said: bytes | None, why: str) -> None:
    assert refused(truncated_then(said)).startswith(why)


def test_nobody_on_the_tcp_port_is_told() -> None:
    with NameServers({HERE: truncated_then(None)}) as servers:
        tcp = next(sock for sock in servers._sockets if sock.type == 1)
        tcp.close()
        servers._sockets.remove(tcp)
        with pytest.raises(NameNotFound, match="over TCP: connection refused"):
            query(servers, "www.example")


def test_nobody_on_the_port_is_told_at_once() -> None:
    with NameServers({HERE: silence}) as servers:
        port = servers.port
    with pytest.raises(NameNotFound, match=rf"^cannot resolve x: 127\.0\.0\.1:{port}: connection refused$"):
        run(look_up(BlockingNetwork(), [InternetAddress(HERE, port)], parse_name("x"), parse_type("A"), timeout_s=5))


def test_silence_ends_in_time_and_is_asked_twice() -> None:
    with (
        NameServers({HERE: silence}) as servers,
        pytest.raises(TimeoutError, match=r"^cannot resolve www.example: no answer within 0.2 s from 127.0.0.1:"),
    ):
        query(servers, "www.example", timeout_s=0.2)
    assert len(servers.asked) == 2


def test_a_silent_first_server_leaves_time_for_the_second() -> None:
    with NameServers({"127.0.0.2": silence, HERE: EXAMPLE}) as servers:
        assert len(query(servers, "www.example", timeout_s=0.4).records) == 2


def test_what_several_servers_said_is_told_of_each() -> None:
    with (
        NameServers({"127.0.0.2": status("SERVFAIL"), HERE: status("REFUSED")}) as servers,
        pytest.raises(NameNotFound, match=r"127.0.0.2:\d+: it failed .*; 127.0.0.1:\d+: it refuses"),
    ):
        query(servers, "www.example")


def test_without_servers_there_is_nobody_to_ask() -> None:
    with pytest.raises(NameNotFound, match="there is no name server to ask"):
        run(look_up(BlockingNetwork(), [], parse_name("x"), parse_type("A"), timeout_s=1))


class Datagram:
    def __init__(self, data: bytes) -> None:
        self.data = data


class ScriptedNetwork:
    """A network whose name server answers with prepared bytes, the question's number in front; time stands still."""

    def __init__(self, *answers: bytes, numbered: bool = True) -> None:
        self.answers, self.numbered, self.clock_s = list(answers), numbered, 0.0
        self.question = b""

    def now_s(self) -> float:
        return self.clock_s

    async def open_datagrams(self, endpoint: object, *, connect: bool = False) -> ScriptedNetwork:
        return self

    async def __aenter__(self) -> ScriptedNetwork:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, data: bytes) -> None:
        self.question = data

    async def receive(self, timeout_s: float) -> Datagram:
        if not self.answers:
            self.clock_s += timeout_s
            raise TimeoutError
        data = self.answers.pop(0)
        return Datagram(self.question[:2] + data if self.numbered else data)


def asked(network: ScriptedNetwork) -> Any:
    server = InternetAddress("192.0.2.53", 53)
    return run(ask(network, server, parse_name("www.example"), parse_type("A"), timeout_s=5))  # type: ignore[arg-type]


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_any_bytes_are_an_answer_or_a_failure(answers: list[bytes]) -> None:
    network = ScriptedNetwork(*(bytes([data[0] & ~2, *data[1:]]) if data else b"" for data in answers))  # without TC
    with pytest.raises(ServerFailed):
        asked(network)


def good_answer() -> bytes:
    reply = dns.message.make_response(dns.message.make_query("www.example.", "A"))
    reply.answer.append(dns.rrset.from_text("www.example.", 60, "IN", "A", "192.0.2.1"))
    return reply.to_wire()[2:]


@given(st.integers(0, 60), st.integers(0, 255))
def test_a_good_answer_with_a_wrong_byte_is_an_answer_or_a_failure(place: int, byte: int) -> None:
    data = bytearray(good_answer())
    place %= len(data)
    data[place] = byte & ~2 if place == 0 else byte
    try:
        reply = asked(ScriptedNetwork(bytes(data)))
    except ServerFailed:
        return
    follow(reply.message, parse_name("www.example"), parse_type("A"))


def test_forged_and_late_answers_are_not_listened_to() -> None:
    other = dns.message.make_response(dns.message.make_query("www.evil.", "A")).to_wire()[2:]
    network = ScriptedNetwork(b"", other, good_answer())
    assert follow(asked(network).message, parse_name("www.example"), parse_type("A")).is_answered
    with pytest.raises(ServerFailed, match="no answer within 5 s"):
        asked(ScriptedNetwork(b"", b"\0", b"\0" * 40, numbered=False))


def test_a_question_is_not_an_answer() -> None:
    with pytest.raises(ServerFailed, match="no answer within"):
        asked(ScriptedNetwork(dns.message.make_query("www.example.", "A").to_wire()[2:]))
