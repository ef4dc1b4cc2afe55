"""DNS messages: round trips, names with pointers, dnspython as a second opinion, and nothing forged is followed."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.wire.dns import DnsMessage, Edns, Question, Record, build_dns, parse_dns
from portside.wire.dns_names import Reader, Writer, labels_of, name_of
from portside.wire.dns_records import HTTPS, NS, SOA, SVCB, TXT, A, Unknown
from portside.wire.malformed import Truncated
from support.dns_messages import labels, messages, names, plain_records
from support.packets import unsigned

FEWER = settings(max_examples=50)  # a message takes longer to make up than to parse
QUESTION = DnsMessage(0x1234, (Question("example.com.", 1),), recursion_desired=True)


def test_a_question_byte_by_byte() -> None:
    head = "123401000001000000000000"
    assert build_dns(QUESTION).hex() == head + "07" + b"example".hex() + "03" + b"com".hex() + "0000010001"


def test_an_answer_points_at_its_question() -> None:
    answer = Record("example.com.", 300, A(IPv4Address("192.0.2.1")))
    reply = replace(QUESTION, is_response=True, recursion_available=True, answers=(answer,))
    data = build_dns(reply)
    assert data[:8].hex() == "1234818000010001"
    assert data[29:].hex() == "c00c000100010000012c0004c0000201"
    assert parse_dns(data) == reply


@FEWER
@given(messages())
def test_messages_are_parsed_as_they_were_built(message: DnsMessage) -> None:
    assert parse_dns(build_dns(message)) == message
    assert parse_dns(memoryview(build_dns(message))) == message


@FEWER
@given(messages(), st.data())
def test_messages_cut_short_are_refused(message: DnsMessage, draw: st.DataObject) -> None:
    data = build_dns(message)
    with pytest.raises(MalformedMessage):
        parse_dns(data[: draw.draw(st.integers(0, len(data) - 1))])
    with pytest.raises(MalformedMessage, match="1 bytes follow the last record"):
        parse_dns(data + b"\0")


def different(count: int) -> st.SearchStrategy[tuple[Record, ...]]:
    """Return records of different names: of some types, dnspython keeps one only."""
    return st.lists(plain_records, max_size=count, unique_by=lambda record: record.name.lower()).map(tuple)


@FEWER
@given(different(4), different(2), unsigned(16))
def test_dnspython_reads_the_same(answers: tuple[Record, ...], more: tuple[Record, ...], number: int) -> None:
    """Both ways: what it makes of our bytes it writes in its own, and these say what we meant."""
    oracle = pytest.importorskip("dns.message", reason="dnspython is not installed")
    message = DnsMessage(number, (Question("example.", 1),), answers, (), more, is_response=True, is_authoritative=True)
    again = parse_dns(oracle.from_wire(build_dns(message)).to_wire(max_size=65_535))
    for section in ("questions", "answers", "authority", "additional"):
        assert set(getattr(again, section)) == set(getattr(message, section))
    assert replace(again, answers=(), additional=()) == replace(message, answers=(), additional=())


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_names_of_rfc_1035_section_4_1_4() -> None:
    """F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64, the root at 92."""
    writer = Writer()
    for at, name in ((20, "F.ISI.ARPA."), (40, "FOO.F.ISI.ARPA."), (64, "ARPA."), (92, ".")):
        writer.add(bytes(at - len(writer.data)))
        writer.name(name)
    data = bytes(writer.data)
    assert data[20:32] == b"\1F\3ISI\4ARPA\0"
    assert data[40:46] == b"\3FOO\xc0\x14"
    assert data[64:66] == b"\xc0\x1a"
    assert data[92:] == b"\0"
    assert [Reader(data, at).name() for at in (20, 40, 64, 92)] == ["F.ISI.ARPA.", "FOO.F.ISI.ARPA.", "ARPA.", "."]


@given(st.lists(labels, max_size=3))
def test_names_are_read_as_they_are_written(parts: list[bytes]) -> None:
    name = name_of(parts)
    assert labels_of(name) == parts
    assert name.isascii()
    assert name.isprintable()
    if parts:
        assert labels_of(name.removesuffix(".")) == parts


@given(st.lists(names, max_size=6))
def test_names_in_one_message_are_found_where_they_are(many: list[str]) -> None:
    writer = Writer()
    for name in many:
        writer.name(name)
    reader = Reader(bytes(writer.data))
    assert [reader.name() for _ in many] == many
    assert reader.left_bytes == 0


def test_names_are_compressed_within_the_first_16_kib_only() -> None:
    writer = Writer()
    writer.add(bytes(0x4000))
    writer.name("far.example.")
    writer.name("far.example.")
    assert bytes(writer.data[0x4000:]) == b"\3far\7example\0" * 2


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("", []),
        (".", []),
        ("a.b", [b"a", b"b"]),
        (r"a\.b.c.", [b"a.b", b"c"]),
        (r"a\\.b", [b"a\\", b"b"]),
        (r"\000\255.", [b"\0\xff"]),
        ("ü.example", ["ü".encode(), b"example"]),
    ],
)
def test_text_of_names(name: str, parts: list[bytes]) -> None:
    assert labels_of(name) == parts


@pytest.mark.parametrize(
    "name", ["..", "a..b", ".a", "a" * 64, ".".join(["a" * 63] * 4), "a\\", r"\999", r"\25", "a." * 128]
)
def test_text_that_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="is no domain name"):
        labels_of(name)


def test_the_longest_name_has_255_bytes() -> None:
    name = ".".join(["a" * 63] * 3 + ["a" * 61]) + "."
    assert len(labels_of(name)) == 4
    writer = Writer()
    writer.name(name)
    assert len(writer.data) == 255
    assert Reader(bytes(writer.data)).name() == name
    with pytest.raises(MalformedMessage, match="more than 255 bytes"):
        Reader(b"\1b" + bytes(writer.data)).name()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xc0\x00", "a name points ahead, from 0 to 0"),
        (b"\xc0\x02\x01a\x00", "a name points ahead, from 0 to 2"),
        (b"\x01a\xc0\x00", "a name points ahead, from 0 to 0"),
        (b"\x40a\x00", "a label begins with 0x40"),
        (b"\x80", "a label begins with 0x80"),
        (b"\x05abc", "DNS: 4 bytes came of 6"),
        (b"\xc0", "DNS: 1 bytes came of 2"),
        (b"", "DNS: 0 bytes came of 1"),
    ],
)
def test_names_that_cannot_be(data: bytes, said: str) -> None:
    with pytest.raises(MalformedMessage, match=said):
        Reader(data).name()


def test_a_ring_of_pointers_is_not_followed() -> None:
    data = b"\1a\xc0\x04" + b"\1b\xc0\x00"
    for at in (0, 4):
        with pytest.raises(MalformedMessage, match="points ahead"):
            Reader(data, at).name()


def test_a_message_made_of_pointers_takes_no_longer_than_another() -> None:
    """8,000 names lead to the end of a chain of 8,000 pointers: 64 million steps, if each were followed to its end."""
    places = [0, *range(2, 16_002, 2)]  # the root, and behind it one link after the other, each pointing at the last
    chain = b"\0\0" + b"".join((0xC000 | place).to_bytes(2, "big") for place in places[:-1])
    data = chain + (0xC000 | places[-1]).to_bytes(2, "big") * 8_000
    reader = Reader(data, len(chain))
    started_s = time.process_time()
    assert {reader.name() for _ in range(8_000)} == {"."}
    assert time.process_time() - started_s < 5


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_record(data: bytes, number: int) -> bytes:
    """Return a message with one answer that holds these bytes."""
    return (
        bytes.fromhex("1234 8000 0000 0001 0000 0000")
        + b"\0"
        + number.to_bytes(2, "big")
        + bytes.fromhex("0001 00000000")
        + len(data).to_bytes(2, "big")
        + data
    )


@pytest.mark.parametrize(
    ("number", "data", "said"),
    [
        (1, b"\x7f\0\0\1\0", "1 bytes are left over in a record of type A"),
        (1, b"\x7f\0\0", "bytes came of"),
        (2, b"\0\0", "1 bytes are left over in a record of type NS"),
        (2, b"\3ab", "bytes came of"),
        (16, b"\4abc", "bytes came of"),
        (41, b"\0\1\0\2\0", None),  # EDNS is read among the additional records only
    ],
)
def test_records_that_do_not_fill_their_length_are_refused(number: int, data: bytes, said: str | None) -> None:
    if said is None:
        assert parse_dns(a_record(data, number)).answers[0].data == Unknown(number, data)
        return
    with pytest.raises(MalformedMessage, match=said):
        parse_dns(a_record(data, number))


def test_a_name_in_a_record_may_not_reach_past_its_end() -> None:
    data = a_record(b"\3ab", 2) + b"c\0"
    with pytest.raises(Truncated):
        parse_dns(data)


@pytest.mark.parametrize(
    ("hexadecimal", "expected"),
    [  # RFC 9460 appendix D
        ("000003666f6f076578616d706c6503636f6d00", SVCB(0, "foo.example.com.")),
        ("000100", SVCB(1, ".")),
        ("001003666f6f076578616d706c6503636f6d00000300020035", SVCB(16, "foo.example.com.", ((3, b"\0\x35"),))),
    ],
)
def test_the_test_vectors_of_rfc_9460(hexadecimal: str, expected: SVCB) -> None:
    raw = bytes.fromhex(hexadecimal)
    assert parse_dns(a_record(raw, 64)).answers[0].data == expected
    assert parse_dns(a_record(raw, 65)).answers[0].data == HTTPS(
        expected.priority, expected.target, expected.parameters
    )
    assert build_dns(DnsMessage(0x1234, answers=(Record(".", 0, expected),), is_response=True)) == a_record(raw, 64)


def test_new_types_are_not_compressed() -> None:
    """RFC 3597 section 4: a server that does not know the type could not carry it on."""
    records = (Record("example.com.", 0, NS("ns.example.com.")), Record("example.com.", 0, SVCB(1, "ns.example.com.")))
    data = build_dns(DnsMessage(1, answers=records))
    assert data.count(b"\7example\3com\0") == 2
    assert b"\2ns\xc0\x0c" in data


# ── EDNS and truncation ──────────────────────────────────────────────────────────────────────────────────────────────


def test_edns_byte_by_byte() -> None:
    """RFC 6891 section 6.1.2: the root, type 41, the size, rcode and version, flags, options."""
    data = build_dns(replace(QUESTION, edns=Edns(1_232, dnssec_ok=True, options=((10, b"cookie12"),)), rcode=0))
    assert data[10:12] == b"\0\1"
    assert data[29:].hex() == "00002904d000008000000c000a0008" + b"cookie12".hex()


def test_edns_has_more_bits_of_the_rcode() -> None:
    message = replace(QUESTION, edns=Edns(), rcode=16)
    data = build_dns(message)
    assert data[3] & 0xF == 0
    assert parse_dns(data).rcode_words == "bad EDNS version"
    with pytest.raises(ValueError, match="rcode 16"):
        build_dns(replace(message, edns=None))


def test_two_records_of_edns_are_refused() -> None:
    data = bytearray(build_dns(replace(QUESTION, edns=Edns())))
    data[11] = 2
    with pytest.raises(MalformedMessage, match="there are 2 records of EDNS"):
        parse_dns(bytes(data) + bytes(data[29:]))


def test_what_is_too_long_goes_without_additional_records_then_without_any() -> None:
    text = TXT((b"x" * 200,))
    whole = replace(QUESTION, answers=(Record("example.com.", 0, text),), additional=(Record("a.", 0, text),) * 2)
    assert parse_dns(build_dns(whole)) == whole
    assert parse_dns(build_dns(whole, bytes_max=512)) == replace(whole, additional=())
    assert parse_dns(build_dns(whole, bytes_max=100)) == replace(QUESTION, is_truncated=True)
    with pytest.raises(ValueError, match="29 bytes without any record are more than 20"):
        build_dns(whole, bytes_max=20)


@pytest.mark.parametrize(
    "message",
    [
        DnsMessage(65_536),
        DnsMessage(1, opcode=16),
        DnsMessage(1, (Question("a", 65_536),)),
        DnsMessage(1, answers=(Record("a", 1 << 32, A(IPv4Address(1))),)),
        DnsMessage(1, answers=(Record("a", 0, TXT((bytes(256),))),)),
        DnsMessage(1, answers=(Record("a", 0, Unknown(999, bytes(65_536))),)),
        DnsMessage(1, answers=(Record("a", 0, SOA(".", ".", -1, 0, 0, 0, 0)),)),
        DnsMessage(1, edns=Edns(version=256)),
        DnsMessage(1, edns=Edns(more_flags=0x8000)),
    ],
)
def test_what_does_not_fit_dns_is_not_built(message: DnsMessage) -> None:
    with pytest.raises(ValueError, match="DNS"):
        build_dns(message)
