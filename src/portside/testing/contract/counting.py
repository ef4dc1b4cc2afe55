"""What counters promise, those of one process and those that many share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

import pytest

from portside.contracts import Counters

MakeCounters: TypeAlias = Callable[[Callable[[], float]], Counters]
"""Makes counters that ask this clock for the time."""


FLOOD: Final = 5_000


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class CountersContract:
    """``make_counters`` is a fixture that gives a MakeCounters, of counters with room for less than FLOOD numbers."""

    def test_numbers_begin_at_nothing_and_are_added_to(self, make_counters: MakeCounters) -> None:
        counters = make_counters(Clock())
        assert counters.value("anna") == 0
        assert counters.add("anna", 1, lasts_s=60.0) == 1
        assert counters.add("anna", 5, lasts_s=60.0) == 6
        assert counters.add("anna", -2, lasts_s=60.0) == 4
        assert counters.value("anna") == 4
        assert counters.value("bert") == 0

    @pytest.mark.parametrize("key", ["", "a" * 10_000, "192.0.2.1", "jürgen", "\udcff", "a\0b"])
    def test_any_text_is_a_key(self, make_counters: MakeCounters, key: str) -> None:
        counters = make_counters(Clock())
        assert counters.add(key, 3, lasts_s=1.0) == 3
        assert counters.hold(key, 1)
        assert counters.value(key) == 3
        assert not counters.hold(key, 1)

    def test_a_number_is_forgotten_its_time_after_it_was_added_to(self, make_counters: MakeCounters) -> None:
        clock = Clock()
        counters = make_counters(clock)
        counters.add("anna", 1, lasts_s=10.0)
        clock.now_s += 9.0
        assert counters.add("anna", 1, lasts_s=10.0) == 2
        clock.now_s += 9.0
        assert counters.value("anna") == 2
        clock.now_s += 1.0
        assert counters.value("anna") == 0
        assert counters.add("anna", 1, lasts_s=10.0) == 1

    def test_a_number_may_be_forgotten_at_once(self, make_counters: MakeCounters) -> None:
        counters = make_counters(Clock())
        counters.forget("anna")
        counters.add("anna", 7, lasts_s=60.0)
        counters.add("bert", 7, lasts_s=60.0)
        counters.forget("anna")
        assert (counters.value("anna"), counters.value("bert")) == (0, 7)

    def test_without_room_those_to_be_forgotten_first_go(self, make_counters: MakeCounters) -> None:
        counters = make_counters(Clock())
        counters.add("kept", 1, lasts_s=1_000_000.0)
        for number in range(FLOOD):
            counters.add(f"flood {number}", 1, lasts_s=float(number + 1))
        assert counters.value("kept") == 1
        assert counters.value(f"flood {FLOOD - 1}") == 1
        assert counters.value("flood 0") == 0

    def test_there_are_so_many_places_and_no_more(self, make_counters: MakeCounters) -> None:
        counters = make_counters(Clock())
        assert [counters.hold("anna", 3) for _ in range(5)] == [True, True, True, False, False]
        assert counters.hold("bert", 1)
        counters.let_go("anna")
        assert [counters.hold("anna", 3) for _ in range(2)] == [True, False]
        assert counters.hold("anna", 4)
        assert not counters.hold("carl", 0)

    def test_letting_go_of_what_is_not_held_gives_no_place(self, make_counters: MakeCounters) -> None:
        counters = make_counters(Clock())
        counters.let_go("anna")
        assert counters.hold("anna", 1)
        counters.let_go("anna")
        counters.let_go("anna")
        assert counters.hold("anna", 1)
        assert not counters.hold("anna", 1)

    def test_places_are_not_numbers(self, make_counters: MakeCounters) -> None:
        counters = make_counters(Clock())
        counters.hold("anna", 1)
        assert counters.value("anna") == 0
        counters.forget("anna")
        assert not counters.hold("anna", 1)

    def test_many_threads_count_exactly(self, make_counters: MakeCounters) -> None:
        counters = make_counters(Clock())
        with ThreadPoolExecutor(4) as threads:
            held = list(threads.map(lambda _: counters.hold("places", 50), range(100)))
            list(threads.map(lambda _: counters.add("number", 1, lasts_s=60.0), range(400)))
        assert (sum(held), counters.value("number")) == (50, 400)
