"""What records hold, as a zone file would have it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given

from portside.wire import dns_records as rr
from portside.wire.dns_records import rdata_words, type_name, type_number
from support.dns_messages import rdatas


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (rr.A(IPv4Address("192.0.2.1")), "192.0.2.1"),
        (rr.AAAA(IPv6Address("2001:db8::1")), "2001:db8::1"),
        (rr.MX(10, "mail.example."), "10 mail.example."),
        (rr.TXT((b"a b", b'c"d\\', b"\xff")), r'"a b" "c\"d\\" "\xff"'),
        (rr.SRV(1, 2, 443, "a."), "1 2 443 a."),
        (rr.NAPTR(1, 2, b"u", b"E2U+sip", b"!^.*$!sip:a@b!", "."), '1 2 "u" "E2U+sip" "!^.*$!sip:a@b!" .'),
        (rr.HINFO(b"PDP-11", b"UNIX"), '"PDP-11" "UNIX"'),
        (rr.DS(60_485, 5, 1, b"\x2b\xb1"), "60485 5 1 2bb1"),
        (rr.NSEC("b.", (1, 28, 65_280)), "b. A AAAA TYPE65280"),
        (rr.RRSIG(1, 8, 2, 300, 0, 0, 4_711, "example.", b"xyz"), "A by example. key 4711"),
        (rr.CAA(0, b"issue", b"ca.example"), '0 issue "ca.example"'),
        (rr.SOA("a.", "b.", 1, 2, 3, 4, 5), "a. b. 1 2 3 4 5"),
        (rr.SVCB(0, "a."), "0 a."),
        (
            rr.HTTPS(1, ".", ((1, b"\2h2\2h3"), (2, b""), (3, b"\x01\xbb"), (4, bytes([192, 0, 2, 1] * 2)))),
            "1 . alpn=h2,h3 no-default-alpn port=443 ipv4hint=192.0.2.1,192.0.2.1",
        ),
        (
            rr.HTTPS(1, ".", ((3, b"\1"), (6, bytes(16)), (99, b"x"), (1, b"\5ab"))),
            "1 . port=01 ipv6hint=:: key99=78 alpn=ab",
        ),
        (rr.Unknown(999, b"abc"), r"\# 3 616263"),
        (rr.Unknown(999, b""), r"\# 0"),
    ],
)
def test_words(data: rr.Rdata, words: str) -> None:
    assert rdata_words(data) == words


@given(rdatas)
def test_every_record_has_words_and_a_type(data: rr.Rdata) -> None:
    assert rdata_words(data)
    assert type_name(type_number(data))
    if not isinstance(data, rr.Unknown):
        assert type_name(type_number(data)) == type(data).__name__
