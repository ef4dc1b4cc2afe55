"""Times of RFC 3659, against datetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.protocols.ftp.times import build_time, parse_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_NS = -62_135_596_800 * 10**9  # year 1
LAST_NS = 253_402_300_800 * 10**9 - 1  # of year 9999

moments = st.datetimes(timezones=st.just(UTC))
times_ns = st.integers(FIRST_NS, LAST_NS)


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("19700101000000", 0),
        ("19700101000001.5", 1_500_000_000),
        ("19691231235959.999999999", -1),
        ("19980615100045.014", 897_904_845_014_000_000),  # RFC 3659 section 2.3
        ("19990929003355", 938_565_235_000_000_000),
        ("20000229000000", 951_782_400_000_000_000),
        ("20161231235960", 1_483_228_799_000_000_000),  # a leap second stays in its day
        ("20161231235960.25", 1_483_228_799_250_000_000),
        ("19700101000000.1234567891", 123_456_789),
        ("00010101000000", FIRST_NS),
        ("99991231235959.999999999", LAST_NS),
    ],
)
def test_a_time_is_nanoseconds_since_1970(text: str, time_ns: int) -> None:
    assert parse_time(text) == time_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1998061510004",
        "199806151000455",
        "19980615100045.",
        "19980615100045.x",
        "19980615100045 ",
        "-9980615100045",
        "19981315100045",
        "19980600100045",
        "19980631100045",
        "19990229000000",
        "19980615240000",
        "19980615106000",
        "19980615100061",
        "00000101000000",
        "1998061510004٣",
        "19980615100045\n",
        "9" * 10_000,
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_time(text)


@given(moments)
def test_datetime_says_the_same(moment: datetime) -> None:
    time_ns = (moment - EPOCH) // timedelta(microseconds=1) * 1_000
    assert parse_time(f"{moment.year:04}{moment:%m%d%H%M%S.%f}") == time_ns
    assert build_time(time_ns) == f"{moment.year:04}{moment:%m%d%H%M%S}"


@given(times_ns)
def test_what_was_built_is_parsed(time_ns: int) -> None:
    assert parse_time(build_time(time_ns, fraction=True)) == time_ns
    assert parse_time(build_time(time_ns)) == time_ns // 10**9 * 10**9


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "19700101000000"),
        (1_500_000_000, "19700101000001.5"),
        (1, "19700101000000.000000001"),
        (100_000_000_000, "19700101000140"),  # no zeros are cut off where there is no fraction
        (LAST_NS + 1, "99991231235959.999999999"),
        (2**100, "99991231235959.999999999"),
        (FIRST_NS - 1, "00010101000000"),
        (-(2**100), "00010101000000"),
    ],
)
def test_a_time_beyond_four_digits_of_year_is_the_nearest_within(time_ns: int, text: str) -> None:
    assert build_time(time_ns, fraction=True) == text


@given(st.text(max_size=20) | st.text("0123456789.", min_size=14, max_size=20))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        time_ns = parse_time(text)
    except MalformedMessage:
        return
    assert FIRST_NS <= time_ns <= LAST_NS
