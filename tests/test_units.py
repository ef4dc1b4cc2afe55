"""How durations, sizes, rates, counts and switches are typed, and that what is shown can be typed again."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import UsageError
from portside.units import (
    DURATION_S_MAX,
    SIZE_BYTES_MAX,
    parse_count,
    parse_duration,
    parse_rate,
    parse_size,
    parse_size_rate,
    parse_switch,
    show_count,
    show_duration,
    show_rate,
    show_size,
    show_switch,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1s", 1.0),
        ("5m", 300.0),
        ("1h", 3_600.0),
        ("1d", 86_400.0),
        ("60", 60.0),
        ("0.25", 0.25),
        ("1.5h", 5_400.0),
        ("0", 0.0),
        (" 2 s ", 2.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4_096),
        ("64KiB", 65_536),
        ("10MB", 10_000_000),
        ("1.5KiB", 1_536),
        ("2 GiB", 2**31),
        ("1kB", 1_000),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("parse", "text", "why"),
    [
        (parse_duration, "60x", "'60x' is not a duration: write 500ms, 1s, 5m, 1h or 1d"),
        (parse_duration, "-1s", "is not a duration"),
        (parse_duration, "", "is not a duration"),
        (parse_duration, "nan", "is not a duration"),
        (parse_duration, "1e3", "is not a duration"),
        (parse_duration, "\u0661s", "is not a duration"),
        (parse_duration, "36501d", "at most 36500d"),
        (parse_duration, "9" * 400, "at most 36500d"),
        (parse_size, "64K", "did you mean 64KiB?"),
        (parse_size, "64 beer", "there is no unit 'beer'"),
        (parse_size, "0.3B", "whole number of bytes"),
        (parse_size, "9" * 400, "at most"),
        (parse_size, "-1", "is not a size"),
        (parse_rate, "5/m", "how many a second"),
        (parse_rate, "9" * 400, "is not a rate"),
        (parse_count, "3.5", "not a whole number"),
        (parse_count, "-3", "not a whole number"),
        (parse_switch, "maybe", "neither on nor off"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(parse: Any, text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert why in str(caught.value)


def test_other_values() -> None:
    assert [parse_rate("500"), parse_rate("0.5/s"), parse_rate("7 / s")] == [500.0, 0.5, 7.0]
    assert [parse_count("10_000"), parse_count("7")] == [10_000, 7]
    assert [parse_switch(text) for text in ("on", "TRUE", "1", "off", "no", "0")] == [True] * 3 + [False] * 3


def test_sizes_a_second() -> None:
    assert [parse_size_rate("64KiB"), parse_size_rate("10MB/s")] == [65_536.0, 10_000_000.0]


@given(st.integers(0, int(DURATION_S_MAX) * 1_000).map(lambda ms: ms / 1_000))
def test_a_duration_that_is_shown_can_be_typed(seconds: float) -> None:
    assert parse_duration(show_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@given(st.integers(0, SIZE_BYTES_MAX))
def test_a_size_that_is_shown_can_be_typed(size_bytes: int) -> None:
    assert parse_size(show_size(size_bytes)) == size_bytes


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_usage_error(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_rate, parse_size_rate, parse_count, parse_switch):
        with contextlib.suppress(UsageError):
            parse(text)


def test_durations_read_as_people_write_them() -> None:
    shown = [show_duration(seconds) for seconds in (0.5, 1, 10, 60, 90, 120, 3_600, 86_400, 0)]
    assert shown == ["500ms", "1s", "10s", "60s", "90s", "2m", "1h", "1d", "0s"]


def test_counts_rates_and_switches_as_people_read_them() -> None:
    assert [show_count(10_000), show_rate(1_500.5), show_rate(0.25)] == ["10,000", "1,500.5/s", "0.25/s"]
    assert [show_switch(on) for on in (True, False)] == ["on", "off"]
