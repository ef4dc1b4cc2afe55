"""Ranges: what is asked for, what is ignored, what is not there, and no byte twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.http.site.ranges import (
    RANGES_MAX,
    Part,
    Unsatisfiable,
    build_content_range,
    build_part_head,
    build_parts_end,
    parse_range,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"bytes=0-499", [(0, 500)]),
        (b"bytes=500-999", [(500, 1_000)]),
        (b"bytes=-500", [(9_500, 10_000)]),
        (b"bytes=9500-", [(9_500, 10_000)]),
        (b"bytes=0-0,-1", [(0, 1), (9_999, 10_000)]),
        (b"bytes= 0-999, 4500-5499, -1000", [(0, 1_000), (4_500, 5_500), (9_000, 10_000)]),
    ],
)
def test_the_examples_of_the_rfc(text: bytes, parts: list[tuple[int, int]]) -> None:
    """RFC 9110 section 14.1.2: of a representation of 10,000 bytes."""
    assert parse_range(text, 10_000) == tuple(Part(*part) for part in parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"BYTES=0-1", [(0, 2)]),
        (b"bytes = 0 - 1 ", [(0, 2)]),
        (b"bytes=0-99999999", [(0, 10)]),
        (b"bytes=-99999999", [(0, 10)]),
        (b"bytes=,,3-4,", [(3, 5)]),
        (b"bytes=3-4,10-20", [(3, 5)]),  # the second is not there, the first is
    ],
)
def test_what_is_written_otherwise_or_beyond_the_end(text: bytes, parts: list[tuple[int, int]]) -> None:
    assert parse_range(text, 10) == tuple(Part(*part) for part in parts)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0-1",
        b"items=0-1",
        b"bytes",
        b"bytes=",
        b"bytes=,",
        b"bytes=-",
        b"bytes=5-3",
        b"bytes=a-b",
        b"bytes=0-1;2-3",
        b"bytes=0-1 2-3",
        b"bytes=+1-2",
        b"bytes=--1",
        b"bytes=0x1-2",
        b"bytes=\xb2-3",
        b"bytes=0-" + b"9" * 19,
        b"bytes=0-0,x",
        b"bytes=" + b"0-0," * (RANGES_MAX + 1),
        b"bytes=0-0" + b" " * 5_000,
    ],
)
def test_what_is_no_range_is_ignored(text: bytes) -> None:
    assert parse_range(text, 10) is None


@pytest.mark.parametrize(("text", "size"), [(b"bytes=10-", 10), (b"bytes=-0", 10), (b"bytes=0-", 0), (b"bytes=-5", 0)])
def test_a_range_of_which_nothing_is_there_is_told_apart(text: bytes, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(text, size)


def test_parts_that_overlap_or_nearly_touch_are_one() -> None:
    assert parse_range(b"bytes=0-9,5-14,90-99", 1_000) == ((0, 100),)
    assert parse_range(b"bytes=500-509,0-9,5-14", 1_000) == ((0, 15), (500, 510))
    assert parse_range(b"bytes=500-509,0-9", 1_000) == ((500, 510), (0, 10))


numbers = st.integers(0, 400)
specs = st.one_of(
    st.tuples(numbers, numbers).map(lambda pair: b"%d-%d" % (min(pair), max(pair))),
    numbers.map(lambda first: b"%d-" % first),
    numbers.map(lambda count: b"-%d" % count),
)


@given(st.lists(specs, min_size=1, max_size=12), st.integers(0, 300))
def test_every_byte_that_was_asked_for_comes_once(asked: list[bytes], size: int) -> None:
    wanted = set()
    for spec in asked:
        first, _, last = spec.partition(b"-")
        if first:
            wanted |= set(range(int(first), min(int(last or size) + 1, size)))
        else:
            wanted |= set(range(max(0, size - int(last)), size))
    try:
        parts = parse_range(b"bytes=" + b",".join(asked), size)
    except Unsatisfiable:
        assert not wanted
        return
    assert parts
    given_ = [number for part in parts for number in range(part.start, part.end)]
    assert len(given_) == len(set(given_))
    assert wanted <= set(given_)
    assert set(given_) <= set(range(size))


@given(st.binary(max_size=40))
def test_nothing_that_is_sent_is_more_than_ignored(text: bytes) -> None:
    for header in (text, b"bytes=" + text):
        try:
            parts = parse_range(header, 100)
        except Unsatisfiable:
            continue
        assert parts is None or all(0 <= part.start < part.end <= 100 for part in parts)


def test_parts_are_written_as_the_rfc_shows_them() -> None:
    """RFC 9110 section 14.6: but for the empty line before the first boundary, which it allows."""
    part = Part(500, 1_000)
    assert build_content_range(part, 8_000) == b"bytes 500-999/8000"
    assert build_part_head(part, 8_000, b"application/pdf", b"THIS_STRING_SEPARATES") == (
        b"\r\n--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\nContent-Range: bytes 500-999/8000\r\n\r\n"
    )
    assert build_parts_end(b"THIS_STRING_SEPARATES") == b"\r\n--THIS_STRING_SEPARATES--\r\n"
