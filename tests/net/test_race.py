"""Happy Eyeballs in virtual time: who starts when, and who wins."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import Address, InternetAddress
from portside.net.dial import ATTEMPT_DELAY_S, Race


@dataclass(frozen=True)
class Fate:
    """What becomes of an attempt: an answer after ``after_s`` seconds, or silence for ever."""

    after_s: float | None
    connects: bool


@dataclass
class Outcome:
    starts_s: list[float]
    winner: int | None
    ended_s: float


def hosts(count: int) -> list[Address]:
    return [InternetAddress(f"192.0.2.{index}", 80) for index in range(count)]


def run(fates: list[Fate], delay_s: float = ATTEMPT_DELAY_S) -> tuple[Race, Outcome]:
    """Drive a race through its events, in order of time, until somebody connects or nothing is left to happen."""
    addresses = hosts(len(fates))
    now_s = 100.0
    race = Race(addresses, now_s, delay_s)
    starts_s: list[float] = []
    answers: list[tuple[float, int]] = []
    while True:
        while (address := race.due(now_s)) is not None:
            index = addresses.index(address)
            assert index == len(starts_s)
            starts_s.append(now_s)
            after_s = fates[index].after_s
            if after_s is not None:
                answers.append((now_s + after_s, index))
        moments = [moment for moment, _ in answers] + ([] if race.next_s is None else [race.next_s])
        if not moments:
            return race, Outcome(starts_s, None, now_s)
        assert min(moments) >= now_s
        now_s = min(moments)
        for answer in [answer for answer in answers if answer[0] == now_s]:
            answers.remove(answer)
            if fates[answer[1]].connects:
                return race, Outcome(starts_s, answer[1], now_s)
            race.failed(addresses[answer[1]], "refused", now_s)


SILENT, REFUSED, GOOD = Fate(None, False), Fate(0.001, False), Fate(0.03, True)


def test_a_dead_first_address_costs_a_quarter_of_a_second() -> None:
    _, outcome = run([SILENT, GOOD])
    assert outcome.winner == 1
    assert outcome.ended_s - 100.0 == pytest.approx(0.25 + 0.03)


def test_a_refused_address_costs_only_its_answer() -> None:
    _, outcome = run([REFUSED, REFUSED, GOOD])
    assert outcome.ended_s - 100.0 == pytest.approx(0.001 + 0.001 + 0.03)


def test_a_slow_first_address_still_wins_over_a_slower_second() -> None:
    _, outcome = run([Fate(0.3, True), Fate(0.1, True)])
    assert (outcome.winner, outcome.ended_s - 100.0) == (0, pytest.approx(0.3))


def test_a_late_failure_starts_the_next_at_once() -> None:
    _, outcome = run([Fate(0.3, False), SILENT, GOOD])
    assert [start - 100.0 for start in outcome.starts_s] == pytest.approx([0.0, 0.25, 0.3])


@given(st.lists(st.builds(Fate, st.none() | st.floats(0, 2), st.booleans()), min_size=1, max_size=8))
def test_every_race_keeps_the_rules(fates: list[Fate]) -> None:
    race, outcome = run(fates)
    failures_s = {
        start + fate.after_s
        for start, fate in zip(outcome.starts_s, fates, strict=False)
        if fate.after_s is not None and not fate.connects
    }
    assert outcome.starts_s[0] == 100.0
    for earlier, later in itertools.pairwise(outcome.starts_s):
        assert later == earlier + ATTEMPT_DELAY_S or later in failures_s  # on time, or because somebody failed
        assert earlier <= later <= earlier + ATTEMPT_DELAY_S
    answering = [
        start + fate.after_s
        for start, fate in zip(outcome.starts_s, fates, strict=False)
        if fate.connects and fate.after_s is not None
    ]
    if answering:  # the first that can connect does, and the race goes no further
        assert outcome.winner is not None
        assert outcome.ended_s == min(answering)
    else:
        assert outcome.winner is None
        assert len(outcome.starts_s) == len(fates)
        assert race.next_s is None
        assert [address for address, _ in race.attempts] == [str(address) for address in hosts(len(fates))]
        silent = [index for index, fate in enumerate(fates) if fate.after_s is None]
        assert race.lost is not bool(silent)
        assert [answer for _, answer in race.attempts] == [
            "no answer" if index in silent else "refused" for index in range(len(fates))
        ]


def test_an_attempt_that_could_not_begin_is_made_again_first() -> None:
    one, two = hosts(2)
    race = Race([one, two, one], 0.0)
    assert race.due(0.0) == one
    race.postponed(one, 0.02)
    assert race.due(0.01) is None
    assert race.next_s == 0.02
    assert race.due(0.02) == one
    assert not race.lost
    race.failed(one, "refused", 0.03)
    assert [race.due(0.03), race.due(0.03), race.next_s] == [two, None, None]
