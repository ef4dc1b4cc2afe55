"""The walk from the root, over servers of our own: honest ones, lame ones, silent ones, and those in circles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

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
from portside.protocols.dns import walk as ours
from portside.protocols.dns.client import Record, parse_name, parse_type
from portside.protocols.dns.walk import Server, Step, Walk, roots
from support.nameserver import Answer, NameServers, Transport, referring, silence, status, zone

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


def data_of(records: tuple[Record, ...]) -> list[tuple[str, str, str]]:
    return [(record.name, record.type, record.data) for record in records]


ROOT = zone(
    ".",
    """
    @             60 IN NS a.root.
    example.      60 IN NS ns.example.
    ns.example.   60 IN A  127.0.0.2
    other.        60 IN NS ns.example.
    lost.         60 IN NS ns.lost.
    """,
)
BELOW = zone(
    "example.",
    """
    @          60 IN SOA ns.example. root.example. 1 2 3 4 5
    @          60 IN NS  ns.example.
    ns         60 IN A   127.0.0.2
    www        60 IN A   192.0.2.1
    alias      60 IN CNAME www.example.
    out        60 IN CNAME www.other.
    dept       60 IN NS  ns.dept.example.
    ns.dept    60 IN A   127.0.0.3
    far        60 IN NS  ns.other.
    """,
)
OTHER = zone(
    "other.",
    """
    @          60 IN SOA ns.example. root.example. 1 2 3 4 5
    ns         60 IN A   127.0.0.3
    www        60 IN A   192.0.2.7
    """,
)
DEPT = zone("dept.example.", "www 60 IN A 192.0.2.9\n")
FAR = zone("far.example.", "www 60 IN A 192.0.2.11\n")


def both(*answers: tuple[str, Answer]) -> Answer:
    """Return a server of several zones."""

    def answer(question: Message, transport: Transport) -> Message | bytes | None:
        name = question.question[0].name
        for origin, said in answers:
            if name.is_subdomain(dns.name.from_text(origin)):
                return said(question, transport)
        return status("REFUSED")(question, transport)

    return answer


WORLD = {
    HERE: ROOT,
    "127.0.0.2": both(("example.", BELOW), ("other.", OTHER)),
    "127.0.0.3": both(("dept.example.", DEPT), ("far.example.", FAR)),
}


def walk(
    servers: NameServers, name: str, kind: str = "A", *, timeout_s: float = 10.0
) -> tuple[tuple[Record, ...], list[Step]]:
    steps: list[Step] = []
    walker = Walk(
        BlockingNetwork(),
        [Server(InternetAddress(HERE, servers.port), "a.root.")],
        timeout_s=timeout_s,
        on_step=steps.append,
        port=servers.port,
    )
    try:
        return run(walker.find(parse_name(name), parse_type(kind))), steps
    except (NameNotFound, TimeoutError) as error:
        error.add_note("\n".join(f"{step.depth} {step.zone} {step.outcome}: {step.sentence}" for step in steps))
        raise


@pytest.fixture(scope="module")
def world() -> Iterator[NameServers]:
    with NameServers(WORLD) as servers:
        yield servers


def test_a_walk_follows_referrals_and_tells_each_step(world: NameServers) -> None:
    records, steps = walk(world, "www.dept.example")
    assert data_of(records) == [("www.dept.example.", "A", "192.0.2.9")]
    assert [(step.zone, step.server.host, step.server_name, step.outcome) for step in steps] == [
        (".", HERE, "a.root.", "referral"),
        ("example.", "127.0.0.2", "ns.example.", "referral"),
        ("dept.example.", "127.0.0.3", "ns.dept.example.", "answer"),
    ]
    assert data_of(steps[1].records) == [
        ("dept.example.", "NS", "ns.dept.example."),
        ("ns.dept.example.", "A", "127.0.0.3"),
    ]
    assert {step.server.port for step in steps} == {world.port}
    assert steps[2].sentence == "answers"


def test_a_walk_does_not_ask_for_recursion() -> None:
    flags = []

    def watch(question: Message, transport: Transport) -> Message | bytes | None:
        flags.append(bool(question.flags & dns.flags.RD))
        return EXAMPLE(question, transport)

    with NameServers({HERE: watch}) as servers:
        walk(servers, "www.example")
    assert flags == [False]


def test_aliases_are_followed_within_a_zone_and_out_of_it(world: NameServers) -> None:
    records, _ = walk(world, "alias.example")
    assert data_of(records) == [("alias.example.", "CNAME", "www.example."), ("www.example.", "A", "192.0.2.1")]
    records, steps = walk(world, "out.example")
    assert data_of(records)[-1] == ("www.other.", "A", "192.0.2.7")
    assert [step.outcome for step in steps] == ["referral", "alias", "referral", "answer"]


def test_a_server_without_glue_is_looked_up_first(world: NameServers) -> None:
    records, steps = walk(world, "www.far.example")
    assert data_of(records) == [("www.far.example.", "A", "192.0.2.11")]
    assert [(step.depth, step.zone, step.name, step.outcome) for step in steps] == [
        (0, ".", "www.far.example.", "referral"),
        (0, "example.", "www.far.example.", "referral"),
        (1, ".", "ns.other.", "referral"),
        (1, "other.", "ns.other.", "answer"),
        (0, "far.example.", "www.far.example.", "answer"),
    ]


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("nothing.example", "A", "cannot resolve nothing.example: there is no such name (NXDOMAIN from 127.0.0.2:"),
        ("www.example", "MX", "cannot resolve www.example: the name exists, but has no MX record (says 127.0.0.2:"),
        ("nothing", "A", "cannot resolve nothing: there is no such name (NXDOMAIN from 127.0.0.1:"),
        ("www.lost", "A", "cannot resolve www.lost: no server of lost helps: none of them has an address"),
    ],
)
def test_a_walk_that_finds_nothing_says_where_it_ended(world: NameServers, name: str, kind: str, why: str) -> None:
    with pytest.raises(NameNotFound) as caught:
        walk(world, name, kind)
    assert str(caught.value).startswith(why)


@pytest.mark.parametrize(
    ("answer", "outcome", "why"),
    [
        (referring(".", [("a.root.", HERE)]), "lame", "it refers to ., which leads no closer"),
        (referring("example.", [("ns.example.", HERE)]), "lame", "it refers to example., which leads no closer"),
        (referring("elsewhere.", [("ns.elsewhere.", HERE)]), "lame", "it refers to elsewhere., which leads no closer"),
        (status("NOERROR"), "lame", "it knows nothing of www.example"),
        (status("REFUSED"), "failure", "it refuses to answer (REFUSED)"),
        (status("SERVFAIL"), "failure", "it failed to find out (SERVFAIL)"),
        (lambda question, transport: question.to_wire()[:2] + b"\x80" * 20, "failure", "its answer is no DNS message"),
    ],
)
def test_a_lame_server_is_passed_over_for_the_next(answer: Answer, outcome: str, why: str) -> None:
    root = referring("example.", [("bad.example.", "127.0.0.2"), ("good.example.", "127.0.0.3")])
    with NameServers({HERE: root, "127.0.0.2": answer, "127.0.0.3": EXAMPLE}) as servers:
        records, steps = walk(servers, "www.example")
    assert len(records) == 2
    assert [(step.outcome, step.sentence) for step in steps[1:2]] == [(outcome, why)]
    assert steps[2].outcome == "answer"


def test_a_silent_server_costs_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "ASK_S", 0.1)
    root = referring("example.", [("bad.example.", "127.0.0.2"), ("good.example.", "127.0.0.3")])
    with NameServers({HERE: root, "127.0.0.2": silence, "127.0.0.3": EXAMPLE}) as servers:
        records, steps = walk(servers, "www.example")
    assert len(records) == 2
    assert steps[1].sentence == "no answer within 0.1 s"
    assert 0.1 <= steps[1].took_s < 2


def test_a_walk_among_silent_servers_ends_in_time() -> None:
    with (
        NameServers({HERE: silence}) as servers,
        pytest.raises((TimeoutError, NameNotFound), match=r"cannot resolve www\.example: "),
    ):
        walk(servers, "www.example", timeout_s=0.2)


def test_zones_that_only_know_each_other_end_with_a_sentence() -> None:
    root = both(
        ("one.", referring("one.", [("ns.two.", None)])),
        ("two.", referring("two.", [("ns.one.", None)])),
    )
    with NameServers({HERE: root}) as servers, pytest.raises(NameNotFound, match="none of them has an address"):
        walk(servers, "www.one")
    assert len(servers.asked) < 20


def test_a_hundred_names_without_addresses_are_given_up_on() -> None:
    def root(question: Message, transport: Transport) -> Message | bytes | None:
        top = question.question[0].name.labels[-2].decode()
        return referring(f"{top}.", [(f"ns.{top}{number}.", None) for number in range(9)])(question, transport)

    with NameServers({HERE: root}) as servers, pytest.raises(NameNotFound, match="gave up after 100 questions"):
        walk(servers, "www.x")
    assert len(servers.asked) <= 100


def test_addresses_of_strangers_are_not_believed() -> None:
    # The server of example. tells an address for a host that is not its own: it must be looked up.
    root = both(
        ("example.", referring("example.", [("ns.example.", "127.0.0.2")])),
        ("other.", referring("other.", [("ns.other.", "127.0.0.3")])),
    )
    liar = referring("www.example.", [("ns.other.", "127.0.0.66")])
    truth = zone("other.", "ns 60 IN A 127.0.0.4\n")
    answers = {
        HERE: root,
        "127.0.0.2": liar,
        "127.0.0.3": truth,
        "127.0.0.4": zone("www.example.", "@ 60 IN A 192.0.2.1\n"),
    }
    with NameServers(answers) as servers:
        records, steps = walk(servers, "www.example")
    assert data_of(records) == [("www.example.", "A", "192.0.2.1")]
    assert "127.0.0.66" not in {step.server.host for step in steps}


def test_aliases_in_a_circle_over_zones_end() -> None:
    def ring(question: Message, transport: Transport) -> Message:
        name = question.question[0].name
        target = "b." if name == dns.name.from_text("a.") else "a."
        reply = dns.message.make_response(question)
        reply.flags |= dns.flags.AA
        reply.answer.append(dns.rrset.from_text(name, 1, "IN", "CNAME", target))
        return reply

    with NameServers({HERE: ring}) as servers, pytest.raises(NameNotFound, match="in a circle: a → b → a"):
        walk(servers, "a")


def test_the_roots_are_thirteen_servers_with_two_addresses() -> None:
    assert len(roots()) == 26
    assert [len(roots("ipv4")), len(roots("ipv6"))] == [13, 13]
    assert {":" in server.address.host for server in roots("ipv4")} == {False}
    assert {":" in server.address.host for server in roots("ipv6")} == {True}
    for server in roots():
        assert server.address.ip.is_global
        assert server.address.port == 53
