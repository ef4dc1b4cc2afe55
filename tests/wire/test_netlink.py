"""Netlink framing: what the kernel sends in parts is put together, and nothing cut or forged is believed."""

from __future__ import annotations

import errno
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import LocalError, MalformedMessage
from portside.wire.netlink import (
    ATTRIBUTE,
    HEADER,
    NLM_F_DUMP_INTR,
    NLM_F_MULTI,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    NLMSG_OVERRUN,
    DumpReader,
    DumpRefused,
    build_message,
    parse_attributes,
    parse_messages,
)

KIND = 20
payloads = st.binary(max_size=40)


def attribute(number: int, data: bytes) -> bytes:
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(data), number) + data + bytes(-len(data) % 4)


def error(code: int) -> bytes:
    return struct.pack("=i", code)


def test_the_layout_of_a_header_is_that_of_linux() -> None:
    data = build_message(20, 0x301, 7, b"abcde")
    order = sys.byteorder
    expected = (21).to_bytes(4, order) + (20).to_bytes(2, order) + (0x301).to_bytes(2, order) + (7).to_bytes(4, order)
    assert data == expected + bytes(4) + b"abcde" + bytes(3)


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 65_535), payloads), max_size=5))
def test_messages_are_parsed_as_they_were_built(messages: list[tuple[int, int, bytes]]) -> None:
    data = b"".join(build_message(kind, flags, 9, payload) for kind, flags, payload in messages)
    parsed = [(message.type, message.flags, bytes(message.payload)) for message in parse_messages(data)]
    assert parsed == messages


@given(st.binary(max_size=80))
def test_any_bytes_are_messages_or_refused(data: bytes) -> None:
    for parse in (lambda: list(parse_messages(data)), lambda: parse_attributes(memoryview(data))):
        try:
            parse()
        except MalformedMessage:
            continue


@given(payloads, st.data())
def test_a_message_cut_short_is_refused(payload: bytes, data: st.DataObject) -> None:
    whole = build_message(KIND, 0, 1, payload)
    length = HEADER.size + len(payload)
    cut = data.draw(st.integers(1, length - 1))
    with pytest.raises(MalformedMessage):
        list(parse_messages(whole[:cut]))


def test_a_length_below_the_header_is_refused_and_not_read_for_ever() -> None:
    with pytest.raises(MalformedMessage, match="a message says 0 bytes, 16 are there"):
        list(parse_messages(bytes(16)))
    with pytest.raises(MalformedMessage, match="an attribute says 0 bytes, 4 are there"):
        parse_attributes(memoryview(bytes(4)))


@given(st.dictionaries(st.integers(0, 0x3FFF), payloads, max_size=5))
def test_attributes_are_found_by_type(attributes: dict[int, bytes]) -> None:
    data = b"".join(attribute(number, value) for number, value in attributes.items())
    found = parse_attributes(memoryview(data))
    assert {number: bytes(value) for number, value in found.items()} == attributes


def test_the_flags_of_an_attributes_type_are_ignored() -> None:
    assert list(parse_attributes(memoryview(attribute(0x8000 | 5, b"x")))) == [5]


# ── dumps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def answered(*reads: bytes, sequence: int = 1) -> DumpReader:
    reader = DumpReader(KIND, sequence)
    for read in reads:
        reader.feed(read)
    return reader


def part(payload: bytes, flags: int = NLM_F_MULTI, sequence: int = 1) -> bytes:
    return build_message(KIND, flags, sequence, payload)


DONE = build_message(NLMSG_DONE, NLM_F_MULTI, 1, error(0))


def test_a_dump_in_several_reads_is_put_together() -> None:
    reader = answered(part(b"a") + part(b"b"), part(b"c"))
    assert not reader.is_done
    reader.feed(part(b"d") + DONE)
    assert reader.is_done
    assert [bytes(payload) for payload in reader.payloads] == [b"a", b"b", b"c", b"d"]
    assert not reader.was_interrupted


@pytest.mark.parametrize("read", [part(b"a", NLM_F_MULTI | NLM_F_DUMP_INTR), part(b"a")])
def test_an_interrupted_dump_says_so(read: bytes) -> None:
    done = build_message(NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, 1, error(0))
    assert answered(read, done).was_interrupted
    assert answered(part(b"a", NLM_F_MULTI | NLM_F_DUMP_INTR), DONE).was_interrupted


def test_answers_to_earlier_questions_are_passed_over() -> None:
    reader = answered(part(b"old", sequence=6) + part(b"new", sequence=7), DONE, sequence=7)
    assert [bytes(payload) for payload in reader.payloads] == [b"new"]
    assert not reader.is_done


def test_empty_messages_and_unknown_types_are_passed_over() -> None:
    reader = answered(build_message(NLMSG_NOOP, 0, 1, b"") + build_message(99, 0, 1, b"x") + DONE)
    assert (reader.payloads, reader.is_done) == ([], True)


@pytest.mark.parametrize("kind", [NLMSG_ERROR, NLMSG_DONE])
def test_the_kernels_error_is_raised_with_its_number(kind: int) -> None:
    with pytest.raises(DumpRefused, match="the kernel does not list this: No such file or directory") as caught:
        answered(build_message(kind, 0, 1, error(-errno.ENOENT)))
    assert caught.value.code == errno.ENOENT
    assert isinstance(caught.value, LocalError)


def test_an_overrun_is_an_error_too() -> None:
    with pytest.raises(DumpRefused):
        answered(build_message(NLMSG_OVERRUN, 0, 1, b""))


def test_an_error_of_nought_is_an_acknowledgement() -> None:
    assert answered(build_message(NLMSG_ERROR, 0, 1, error(0))).is_done


def test_a_done_without_its_number_is_done() -> None:
    assert answered(build_message(NLMSG_DONE, 0, 1, b"")).is_done


def test_an_error_without_its_number_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="an error message has 3 bytes"):
        answered(build_message(NLMSG_ERROR, 0, 1, b"abc"))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_a_reader_survives_any_reads(reads: list[bytes]) -> None:
    try:
        answered(*reads)
    except (MalformedMessage, DumpRefused):
        return
