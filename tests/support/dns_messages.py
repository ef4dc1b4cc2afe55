"""Strategies that make DNS messages with every kind of record that ``wire`` knows."""

from __future__ import annotations

from hypothesis import strategies as st

from portside.wire import dns_records as rr
from portside.wire.dns import DnsMessage, Edns, Question, Record
from portside.wire.dns_names import name_of
from support.packets import bools, ipv4s, ipv6s, unsigned

# Few labels, so that names have ends in common.
labels = st.one_of(
    st.sampled_from([b"example", b"com", b"www", b"a", b"_sip", b"with space", b"dot.ted", b"\0\xff", b"back\\slash"]),
    st.binary(min_size=1, max_size=63),
)
names = st.lists(labels, max_size=3).map(name_of)
strings = st.binary(max_size=20)
some_bytes = st.binary(min_size=1, max_size=20)
parameters = st.lists(st.tuples(unsigned(16), strings), max_size=3).map(tuple)
KNOWN = {1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 35, 39, 43, 44, 46, 47, 48, 52, 64, 65, 257, 41}

rdatas = st.one_of(
    st.builds(rr.A, ipv4s),
    st.builds(rr.AAAA, ipv6s),
    *(st.builds(kind, names) for kind in (rr.NS, rr.CNAME, rr.PTR, rr.DNAME)),
    st.builds(rr.SOA, names, names, *[unsigned(32)] * 5),
    st.builds(rr.MX, unsigned(16), names),
    st.builds(rr.TXT, st.lists(strings, min_size=1, max_size=3).map(tuple)),
    st.builds(rr.HINFO, strings, strings),
    st.builds(rr.SRV, unsigned(16), unsigned(16), unsigned(16), names),
    st.builds(rr.NAPTR, unsigned(16), unsigned(16), strings, strings, strings, names),
    st.builds(rr.DS, unsigned(16), unsigned(8), unsigned(8), strings),
    st.builds(rr.DNSKEY, unsigned(16), unsigned(8), unsigned(8), strings),
    st.builds(rr.RRSIG, unsigned(16), unsigned(8), unsigned(8), *[unsigned(32)] * 3, unsigned(16), names, strings),
    st.builds(rr.NSEC, names, st.sets(unsigned(16), max_size=6).map(lambda types: tuple(sorted(types)))),
    st.builds(rr.SSHFP, unsigned(8), unsigned(8), strings),
    st.builds(rr.TLSA, unsigned(8), unsigned(8), unsigned(8), strings),
    st.builds(rr.CAA, unsigned(8), strings, strings),
    st.builds(rr.SVCB, unsigned(16), names, parameters),
    st.builds(rr.HTTPS, unsigned(16), names, parameters),
    st.builds(rr.Unknown, unsigned(16).filter(lambda number: number not in KNOWN), strings),
    st.builds(rr.Unknown, st.sampled_from([1, 16, 33]), st.just(b"")),
)
# What dnspython takes without asking whether it makes sense, in the Internet's class and with one time to live: it
# makes sets of records, and gives each the shortest.
plain_records = st.builds(
    Record,
    names,
    st.just(300),
    rdatas.filter(lambda data: not isinstance(data, (rr.DS, rr.CAA, rr.SVCB, rr.HTTPS, rr.RRSIG, rr.Unknown))),
)
questions = st.builds(Question, names, unsigned(16), unsigned(16))
records = st.builds(Record, names, unsigned(32), rdatas, unsigned(16))
some_records = st.lists(records, max_size=3).map(tuple)
ednses = st.builds(
    Edns,
    unsigned(16),
    bools,
    st.lists(st.tuples(unsigned(16), strings), max_size=2).map(tuple),
    unsigned(8),
    unsigned(15),
)


@st.composite
def messages(draw: st.DrawFn) -> DnsMessage:
    edns = draw(st.none() | ednses)
    return DnsMessage(
        draw(unsigned(16)),
        draw(st.lists(questions, max_size=2).map(tuple)),
        draw(some_records),
        draw(some_records),
        draw(some_records),
        draw(bools),
        draw(unsigned(4)),
        draw(unsigned(12 if edns else 4)),
        *[draw(bools) for _ in range(7)],
        edns,
    )
