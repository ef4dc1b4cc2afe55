"""Counters of one process and of many: the one contract, and what happens when processes die."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from portside.accounts.counters import LocalCounters
from portside.contracts import Counters
from portside.serve import counters as module
from portside.serve.counters import SharedCounters, is_alive, started_at
from portside.testing.contract import CountersContract
from portside.testing.contract.counting import Clock, MakeCounters

ROOM = 512  # for numbers: little, so that it is used up soon


class TestLocal(CountersContract):
    @pytest.fixture
    def make_counters(self) -> MakeCounters:
        def make(clock: Callable[[], float]) -> Counters:
            return LocalCounters(keys_max=ROOM, clock=clock)

        return make


class TestShared(CountersContract):
    @pytest.fixture
    def make_counters(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeCounters]:
        monkeypatch.setattr(module, "SETS", ROOM // module.WAYS)
        made: list[SharedCounters] = []

        def make(clock: Callable[[], float]) -> Counters:
            made.append(SharedCounters(clock))
            return made[-1]

        yield make
        for counters in made:
            counters.close()


@pytest.fixture
def shared() -> Iterator[SharedCounters]:
    counters = SharedCounters(Clock())
    yield counters
    counters.close()


class Child:
    """A forked process that does something with the counters, says so, and stays until it is told to go."""

    def __init__(self, act: Callable[[], object]) -> None:
        said, says = os.pipe()
        self._waits, self._tells = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._tells)
            self._be(act, says)
        os.close(says)
        os.close(self._waits)
        with os.fdopen(said, "rb") as file:
            self.answer = file.readline().decode().strip()

    def _be(self, act: Callable[[], object], says: int) -> NoReturn:
        try:
            os.write(says, f"{act()}\n".encode())
            os.close(says)
            os.read(self._waits, 1)
        finally:
            os._exit(0)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.go()

    def go(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._tells, b"go")  # closing it would not do: children forked later have it too
        os.close(self._tells)
        os.waitpid(self.pid, 0)


def test_all_processes_count_the_same(shared: SharedCounters) -> None:
    shared.add("anna", 1, lasts_s=60.0)
    child = Child(lambda: shared.add("anna", 10, lasts_s=60.0))
    assert child.answer == "11"
    assert shared.value("anna") == 11
    child.go()
    assert shared.value("anna") == 11


def test_many_processes_count_exactly(shared: SharedCounters) -> None:
    def count() -> int:
        for _ in range(200):
            shared.add("number", 1, lasts_s=60.0)
        return sum(shared.hold("places", 50) for _ in range(20))

    children = [Child(count) for _ in range(4)]
    held = sum(int(child.answer) for child in children)
    assert (shared.value("number"), held) == (800, 50)
    for child in children:
        child.go()


def test_places_of_the_dead_are_free_and_those_of_the_living_are_not(shared: SharedCounters) -> None:
    children = [Child(lambda: [shared.hold("anna", 4) for _ in range(2)]) for _ in range(2)]
    assert [child.answer for child in children] == ["[True, True]", "[True, True]"]
    assert not shared.hold("anna", 4)
    children[0].kill()
    assert [shared.hold("anna", 4) for _ in range(3)] == [True, True, False]
    shared.let_go("anna")
    assert shared.hold("anna", 4)
    children[1].go()
    assert [shared.hold("anna", 4) for _ in range(3)] == [True, True, False]


def test_a_child_that_was_not_buried_yet_is_dead(shared: SharedCounters) -> None:
    child = Child(lambda: shared.hold("anna", 1))
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert shared.hold("anna", 1)
    child.go()


def test_a_process_that_dies_with_the_lock_holds_up_nobody(shared: SharedCounters) -> None:
    def take_the_lock() -> str:
        shared._exclusively().__enter__()
        return "locked"

    child = Child(take_the_lock)
    child.kill()
    assert shared.add("anna", 1, lasts_s=60.0) == 1


def test_a_number_that_comes_again_is_another_process(shared: SharedCounters) -> None:
    assert shared.hold("anna", 1)
    at = shared._held(shared._key("anna"))[0]
    shared._words[at + 3] -= 1  # as if one that was started a moment earlier, with our number, had died
    assert shared.hold("anna", 1)


def test_where_the_table_is_full_the_dead_make_room(shared: SharedCounters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLACES_MAX", 4)
    child = Child(lambda: [shared.hold(f"{number}", 1) for number in range(5)])
    assert child.answer == "[True, True, True, True, False]"
    assert not shared.hold("anna", 9)
    child.kill()
    assert [shared.hold(f"mine {number}", 1) for number in range(5)] == [True, True, True, True, False]
    shared.let_go("mine 1")
    assert shared.hold("anna", 9)


def test_who_lives() -> None:
    assert is_alive(os.getpid(), started_at(os.getpid()) or 0)
    assert not is_alive(os.getpid(), 1)
    child = Child(lambda: "there")
    started = started_at(child.pid)
    assert started
    assert is_alive(child.pid, started)
    child.go()
    assert not is_alive(child.pid, started)
