"""Zones and what an authoritative server says about them, clause by clause."""

from __future__ import annotations

from ipaddress import IPv4Address

import dns.message
import dns.rcode
import pytest

from portside.sim.addresses import to_int
from portside.sim.nameserver import Authority, MalformedZone, Zone, parse_zone
from portside.sim.nameserver.serving import encode_reply
from portside.wire.dns import NO_SUCH_NAME, REFUSED, DnsMessage, Edns, Question, build_dns, parse_dns
from portside.wire.dns_records import MX, NS, SOA, TXT, A

ZONE = """
$ORIGIN example.
$TTL 1h
@       IN SOA ns admin ( 7 ; the serial
                          2h 10m 1d 60 )
        NS ns
        MX 10 mail
ns      A 10.0.0.53
mail    300 IN A 10.0.0.25
www     CNAME web
web     A 10.0.0.80
        AAAA 2001:db8::80
*.wild  TXT "any; thing" two
a.wild  A 10.0.0.9
deep.er A 10.0.0.8
child   NS ns.child
ns.child A 10.0.1.53
away    CNAME www.elsewhere.
ring    CNAME gnir
gnir    CNAME ring
_sip._tcp SRV 1 2 5060 mail
"""
KINDS = {"A": 1, "NS": 2, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "ANY": 255}


def ask(name: str, kind: str, authority: Authority | None = None) -> DnsMessage:
    """Return the answer, which dnspython must take for one of the same content."""
    answer = (authority or Authority([parse_zone(ZONE)])).answer(DnsMessage(9, (Question(name, KINDS[kind]),)))
    theirs = dns.message.from_wire(build_dns(answer))
    assert sum(len(each) for each in theirs.answer) == len(answer.answers)
    assert theirs.rcode() == answer.rcode
    return answer


def test_a_master_file_has_times_owners_left_out_parentheses_and_strings() -> None:
    zone = parse_zone(ZONE)
    assert zone.origin == "example."
    assert zone.soa.data == SOA("ns.example.", "admin.example.", 7, 7_200, 600, 86_400, 60)
    assert {each.ttl_s for each in zone.records() if each.name == "mail.example."} == {300}
    assert {each.ttl_s for each in zone.records() if each.name == "web.example."} == {3_600}
    assert ask("x.wild.example.", "TXT").answers[0].data == TXT((b"any; thing", b"two"))


@pytest.mark.parametrize(
    ("text", "line"),
    [("a A", 1), ("\nb A 1.2.3", 2), ("a CH A 1.2.3.4", 1), ("$INCLUDE x", 1), ("a A 1.2.3.4 5", 1), ("x (\n", 1)],
)
def test_a_malformed_zone_is_told_with_its_line(text: str, line: int) -> None:
    with pytest.raises(MalformedZone, match=f"line {line}"):
        parse_zone(text, "example.")


def test_an_answer_is_authoritative_whatever_the_case_of_its_name() -> None:
    """RFC 4343 section 3."""
    answer = ask("WEB.Example.", "A")
    assert answer.is_authoritative
    assert [each.data for each in answer.answers] == [A(IPv4Address("10.0.0.80"))]


def test_an_alias_is_followed_and_a_ring_of_them_ends() -> None:
    """RFC 1034 section 3.6.2."""
    assert [each.type_name for each in ask("www.example.", "AAAA").answers] == ["CNAME", "AAAA"]
    assert [each.type_name for each in ask("away.example.", "A").answers] == ["CNAME"]
    assert len(ask("ring.example.", "A").answers) == 2


def test_no_data_and_no_name_come_with_the_soa_whose_time_is_the_shorter() -> None:
    """RFC 2308 sections 2 and 3."""
    nothing, nobody = ask("mail.example.", "AAAA"), ask("nobody.example.", "A")
    assert (nothing.rcode, nobody.rcode) == (0, NO_SUCH_NAME)
    assert [each.ttl_s for each in (*nothing.authority, *nobody.authority)] == [60, 60]


def test_an_empty_name_with_names_below_it_exists() -> None:
    """RFC 8020, RFC 4592 section 2.2.2."""
    assert ask("er.example.", "A").rcode == 0
    assert ask("other.er.example.", "A").rcode == NO_SUCH_NAME


def test_a_wildcard_is_for_names_that_are_not_there() -> None:
    """RFC 4592 section 3.3.1: below a name that exists, the wildcard beside it is of no use."""
    assert ask("b.c.wild.example.", "TXT").answers[0].name == "b.c.wild.example."
    assert ask("a.wild.example.", "TXT").answers == ()
    assert ask("b.a.wild.example.", "TXT").rcode == NO_SUCH_NAME


def test_a_cut_refers_to_its_servers_with_glue() -> None:
    """RFC 1034 section 4.3.2, 3b."""
    answer = ask("x.y.child.example.", "A")
    assert not answer.is_authoritative
    assert [each.data for each in answer.authority] == [NS("ns.child.example.")]
    assert [each.name for each in answer.additional] == ["ns.child.example."]


def test_addresses_of_mail_hosts_come_along_and_other_zones_are_refused() -> None:
    assert ask("example.", "MX").answers[0].data == MX(10, "mail.example.")
    assert [each.name for each in ask("example.", "MX").additional] == ["mail.example."]
    assert ask("elsewhere.", "A").rcode == REFUSED


def test_a_referral_without_room_for_its_glue_is_truncated() -> None:
    """RFC 9471 section 3.1."""
    zone = Zone("example.")
    for at in range(20):
        zone.add("child", NS(f"server{at}.child.example."))
        zone.add(f"server{at}.child", A(IPv4Address(at)))
    reply = Authority([zone]).answer(DnsMessage(1, (Question("x.child.example.", 1),)))
    assert parse_dns(encode_reply(reply, 600)).is_truncated
    assert not parse_dns(encode_reply(reply, 1_232)).is_truncated


def test_a_later_version_of_edns_is_not_known() -> None:
    """RFC 6891 section 6.1.3."""
    query = DnsMessage(1, (Question("example.", 1),), edns=Edns(version=1))
    assert Authority([Zone("example.")]).answer(query).rcode == 16


def test_names_are_added_and_removed_while_it_serves_and_the_serial_tells() -> None:
    zone = Zone("example.")
    authority = Authority([zone])
    authority.add("new.example", to_int("10.9.9.9"))
    assert ask("new.example.", "A", authority).answers[0].data == A(IPv4Address("10.9.9.9"))
    zone.remove("new")
    assert ask("new.example.", "A", authority).rcode == NO_SUCH_NAME
    assert isinstance(zone.soa.data, SOA)
    assert zone.soa.data.serial == 3
    with pytest.raises(ValueError, match="none of the zones"):
        authority.add("new.elsewhere", 1)
