"""The five small services, byte for byte as their RFCs have them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portside.protocols import small
from support.conversations import Conversations

A_MOMENT_S = datetime(2026, 11, 21, 6, 5, 9, 999_999, UTC).timestamp()


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[i : i + size] for i in range(0, len(stream), size)]


# ── echo and discard ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_echo_sends_back_what_comes_however_it_is_cut(conversations: Conversations, size: int) -> None:
    stream = b"hello\r\n" + bytes(range(256)) * 30 + b"no end"
    assert conversations.stream(small.echo_battery().stream, *cut(stream, size)) == stream


def test_echo_answers_nothing_with_nothing(conversations: Conversations) -> None:
    assert conversations.stream(small.echo_battery().stream) == b""


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256))])
def test_echo_sends_a_datagram_back_as_it_came(conversations: Conversations, data: bytes) -> None:
    assert conversations.datagram(small.echo_battery().datagram, data) == [data]


def test_discard_hears_everything_and_says_nothing(conversations: Conversations) -> None:
    assert conversations.stream(small.discard_battery().stream, b"all", b"of", b"it") == b""
    assert conversations.datagram(small.discard_battery().datagram, b"question") == []


# ── chargen ──────────────────────────────────────────────────────────────────────────────────────────────────────────

RFC_864_LINES = [
    b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n",
    b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n",
    b"\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghi\r\n",
]


def test_chargen_begins_with_the_lines_of_the_rfc() -> None:
    assert small.CHARGEN_PATTERN.splitlines(keepends=True)[:3] == RFC_864_LINES


def test_the_ring_closes_behind_the_tilde() -> None:
    assert small.build_chargen_line(23).endswith(b"|}~\r\n")
    assert small.build_chargen_line(24).endswith(b"|}~ \r\n")
    assert small.build_chargen_line(94).startswith(b"~ !")
    assert small.build_chargen_line(95) == small.build_chargen_line(0)


@given(st.integers(0, 10**6))
def test_every_chargen_line_is_72_characters_of_the_ring_and_an_end(number: int) -> None:
    line = small.build_chargen_line(number)
    assert (len(line), line[-2:]) == (74, b"\r\n")
    assert [character - 0x20 for character in line[:-2]] == [(number + place) % 95 for place in range(72)]


@pytest.mark.parametrize("pieces", [(), (b"thrown", b"away"), (b"x",) * 9])
def test_chargen_goes_on_until_the_visitor_leaves(conversations: Conversations, pieces: tuple[bytes, ...]) -> None:
    heard = conversations.stream(small.chargen_battery().stream, *pieces, room=300_000)
    assert len(heard) == 300_000
    lines = heard.splitlines(keepends=True)
    assert len(lines) > 4_000
    assert all(small.build_chargen_line(number).startswith(line) for number, line in enumerate(lines))


@pytest.mark.parametrize(("asked", "answered"), [(0, 0), (1, 1), (74, 74), (511, 511), (512, 512), (9_000, 512)])
def test_a_chargen_datagram_is_as_long_as_its_question(conversations: Conversations, asked: int, answered: int) -> None:
    assert conversations.datagram(small.chargen_battery().datagram, bytes(asked)) == [small.CHARGEN_PATTERN[:answered]]


@pytest.mark.parametrize("count", [0, 300, 512])
def test_a_chargen_datagram_may_be_longer_when_told_to(conversations: Conversations, count: int) -> None:
    battery = small.chargen_battery(amplify=True, count=lambda: count)
    assert conversations.datagram(battery.datagram, b"?") == [small.CHARGEN_PATTERN[:count]]


def test_a_chargen_datagram_of_any_length_stays_within_the_rfc(conversations: Conversations) -> None:
    battery = small.chargen_battery(amplify=True)
    lengths = {len(conversations.datagram(battery.datagram, b"")[0]) for _ in range(200)}
    assert max(lengths) <= 512
    assert len(lengths) > 1


# ── daytime ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("moment", "line"),
    [
        (datetime(1982, 2, 22, 17, 37, 43, tzinfo=UTC), b"Monday, February 22, 1982 17:37:43-UTC\r\n"),
        (datetime(2026, 11, 21, 6, 5, 9, 999_999, tzinfo=UTC), b"Saturday, November 21, 2026 06:05:09-UTC\r\n"),
        (datetime(1970, 1, 1, tzinfo=UTC), b"Thursday, January 1, 1970 00:00:00-UTC\r\n"),
        (datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), b"Thursday, February 29, 2024 23:59:59-UTC\r\n"),
    ],
)
def test_daytime_is_one_line_of_ascii(conversations: Conversations, moment: datetime, line: bytes) -> None:
    battery = small.daytime_battery(clock=moment.timestamp)
    assert conversations.stream(battery.stream, b"ignored") == line
    assert conversations.datagram(battery.datagram, b"ignored") == [line]


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

# RFC 868's own examples, then the last second of the first era, and the first of the second.
RFC_868_TIMES = [
    (datetime(1970, 1, 1, tzinfo=UTC), 2_208_988_800),
    (datetime(1976, 1, 1, tzinfo=UTC), 2_398_291_200),
    (datetime(1980, 1, 1, tzinfo=UTC), 2_524_521_600),
    (datetime(1983, 5, 1, tzinfo=UTC), 2_629_584_000),
    (datetime(1858, 11, 17, tzinfo=UTC), 2**32 - 1_297_728_000),
    (datetime(2036, 2, 7, 6, 28, 15, tzinfo=UTC), 2**32 - 1),
    (datetime(2036, 2, 7, 6, 28, 16, tzinfo=UTC), 0),
]


@pytest.mark.parametrize(("moment", "number"), RFC_868_TIMES)
def test_time_is_seconds_since_1900_in_32_bits(conversations: Conversations, moment: datetime, number: int) -> None:
    battery = small.time_battery(clock=moment.timestamp)
    assert conversations.stream(battery.stream, b"ignored") == number.to_bytes(4, "big")
    assert conversations.datagram(battery.datagram, b"ignored") == [number.to_bytes(4, "big")]


@given(st.floats(-(2.0**33), 2.0**34))
def test_time_always_has_four_bytes_and_never_runs_ahead(now_s: float) -> None:
    number = int.from_bytes(small.build_time(now_s), "big")
    assert len(small.build_time(now_s)) == 4
    assert 0 <= (now_s + small.SECONDS_FROM_1900_TO_1970 - number) % 2**32 < 1.001


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(min_size=1, max_size=50), max_size=20))
def test_clocks_tell_the_same_whatever_the_visitor_says(conversations: Conversations, pieces: list[bytes]) -> None:
    battery = small.daytime_battery(clock=lambda: A_MOMENT_S)
    assert conversations.stream(battery.stream, *pieces) == b"Saturday, November 21, 2026 06:05:09-UTC\r\n"
