"""Conditions: the order of RFC 9110 section 13.2.2, strong and weak comparison, and dates in three forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.http.site.conditions import Validators, is_range_current, judge
from portside.protocols.http.site.dates import build_file_date, parse_date

NOW = Validators(b'"abc"', 784_111_777)
THEN, SAME, LATER = (build_file_date(784_111_777 + seconds) for seconds in (-60, 0, 60))


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", {}, None),
        ("GET", {b"if-none-match": b'"abc"'}, 304),
        ("GET", {b"if-none-match": b'W/"abc"'}, 304),  # compared weakly
        ("GET", {b"if-none-match": b'"x", "abc"'}, 304),
        ("GET", {b"if-none-match": b'"x","y"'}, None),
        ("GET", {b"if-none-match": b"*"}, 304),
        ("GET", {b"if-none-match": b"abc"}, None),  # no entity tag at all
        ("HEAD", {b"if-none-match": b'"abc"'}, 304),
        ("PUT", {b"if-none-match": b'"abc"'}, 412),
        ("PUT", {b"if-none-match": b"*"}, 412),
        ("PUT", {b"if-none-match": b'"x"'}, None),
        ("GET", {b"if-match": b'"abc"'}, None),
        ("GET", {b"if-match": b"*"}, None),
        ("GET", {b"if-match": b'W/"abc"'}, 412),  # compared strongly
        ("GET", {b"if-match": b'"x"'}, 412),
        ("PUT", {b"if-match": b'"x", "abc"'}, None),
        ("PUT", {b"if-match": b'"x"'}, 412),
        ("GET", {b"if-modified-since": SAME}, 304),
        ("GET", {b"if-modified-since": LATER}, 304),
        ("GET", {b"if-modified-since": THEN}, None),
        ("GET", {b"if-modified-since": b"yesterday"}, None),
        ("PUT", {b"if-modified-since": SAME}, None),  # for GET and HEAD alone
        ("GET", {b"if-unmodified-since": SAME}, None),
        ("GET", {b"if-unmodified-since": THEN}, 412),
        ("PUT", {b"if-unmodified-since": THEN}, 412),
        ("PUT", {b"if-unmodified-since": b"yesterday"}, None),
        # An entity tag goes before the date that stands beside it.
        ("GET", {b"if-none-match": b'"x"', b"if-modified-since": SAME}, None),
        ("GET", {b"if-match": b'"abc"', b"if-unmodified-since": THEN}, None),
        ("GET", {b"if-match": b'"abc"', b"if-none-match": b'"abc"'}, 304),
        ("GET", {b"if-match": b'"x"', b"if-none-match": b'"abc"'}, 412),
    ],
)
def test_whether_a_request_goes_on(method: str, fields: dict[bytes, bytes], status: int | None) -> None:
    assert judge(method, fields, NOW) == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({b"if-match": b"*"}, 412),
        ({b"if-match": b'"abc"'}, 412),
        ({b"if-none-match": b"*"}, None),
        ({b"if-none-match": b'"abc"'}, None),
        ({b"if-unmodified-since": THEN}, None),
    ],
)
def test_where_there_is_no_file(fields: dict[bytes, bytes], status: int | None) -> None:
    assert judge("PUT", fields, None) == status


def test_a_weak_tag_matches_weakly_alone() -> None:
    weak = Validators(b'W/"abc"', 0)
    assert judge("GET", {b"if-none-match": b'"abc"'}, weak) == 304
    assert judge("GET", {b"if-match": b'W/"abc"'}, weak) == 412


@pytest.mark.parametrize(
    ("condition", "is_current"),
    [
        (None, True),
        (b'"abc"', True),
        (b'"x"', False),
        (b'W/"abc"', False),
        (SAME, True),
        (LATER, False),
        (THEN, False),
        (b"nonsense", False),
    ],
)
def test_whether_a_range_is_of_the_same_content(condition: bytes | None, is_current: bool) -> None:
    assert is_range_current(condition, NOW, now_s=784_111_877.0) is is_current


def test_a_date_of_this_very_second_proves_nothing() -> None:
    assert not is_range_current(SAME, NOW, now_s=784_111_777.9)
    assert is_range_current(b'"abc"', NOW, now_s=784_111_777.9)


@pytest.mark.parametrize(
    "text", [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"]
)
def test_a_date_is_read_in_its_three_forms(text: bytes) -> None:
    """RFC 9110 section 5.6.7."""
    assert parse_date(text) == 784_111_777


@pytest.mark.parametrize("text", [b"", b"0", b"-1", b"06 Nov", b"\xff\xfe", b"Sun, 06 Nov 99999999999 08:49:37 GMT"])
def test_what_is_no_date(text: bytes) -> None:
    assert parse_date(text) is None


@given(st.binary(max_size=40))
def test_no_date_is_worth_an_error(text: bytes) -> None:
    parse_date(text)


@given(st.integers(0, 253_402_300_799))
def test_a_date_is_read_as_it_was_written(seconds: int) -> None:
    assert parse_date(build_file_date(seconds)) == seconds


def test_times_that_no_date_can_say_are_the_nearest_one() -> None:
    assert build_file_date(-5) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert build_file_date(1 << 60) == b"Fri, 31 Dec 9999 23:59:59 GMT"


@given(st.binary(max_size=60))
def test_no_condition_is_worth_an_error(text: bytes) -> None:
    for name in (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"):
        judge("GET", {name: text}, NOW)
    is_range_current(text, NOW, now_s=0.0)
