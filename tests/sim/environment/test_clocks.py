"""``time`` on a host, and outside."""

from __future__ import annotations

import copy
import errno
import inspect
import pickle
import threading
import time
from collections.abc import Callable
from time import monotonic as imported_by_name  # found by the scan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.sim import environment, threads
from portside.sim.clock import SECOND
from portside.sim.environment.escape import Escape
from portside.sim.here import Visit, enter
from portside.sim.host_clock import WORLD_BEGAN_NS

from .conftest import FakeMachine

On = Callable[[FakeMachine], Any]


def test_wall_clocks_show_the_host_s_time(alice: FakeMachine, on: On) -> None:
    alice.passes(1.5)
    alice.clock.offset_ns = 7
    with on(alice):
        assert time.time_ns() == WORLD_BEGAN_NS + 1_500_000_007
        assert time.time() == (WORLD_BEGAN_NS + 1_500_000_007) / SECOND
        assert time.clock_gettime_ns(time.CLOCK_REALTIME) == time.time_ns()
        assert time.clock_gettime(time.CLOCK_REALTIME) == time.time()


def test_monotonic_clocks_count_since_the_host_was_started(alice: FakeMachine, on: On) -> None:
    alice.passes(3)
    alice.clock.booted_ns = SECOND
    with on(alice):
        assert time.monotonic_ns() == time.perf_counter_ns() == 2 * SECOND
        assert time.monotonic() == time.perf_counter() == imported_by_name() == 2.0
        assert time.clock_gettime_ns(time.CLOCK_MONOTONIC) == 2 * SECOND
        assert time.clock_gettime(time.CLOCK_MONOTONIC) == 2.0


def test_programs_use_none_of_the_processor_s_time(alice: FakeMachine, on: On) -> None:
    with on(alice):
        assert time.process_time() == time.thread_time() == 0.0
        assert time.process_time_ns() == time.thread_time_ns() == 0
        assert time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID) == 0


def test_a_clock_that_no_host_has_is_refused_as_the_kernel_does(alice: FakeMachine, on: On) -> None:
    with on(alice), pytest.raises(OSError, match="Invalid") as refused:
        time.clock_gettime(99)
    assert refused.value.errno == errno.EINVAL


def test_dates_without_argument_are_of_the_host_s_clock(alice: FakeMachine, on: On) -> None:
    alice.passes(86_400.999_999_999)
    with on(alice):
        assert time.gmtime()[:6] == time.gmtime(None)[:6] == (2026, 1, 2, 0, 0, 0)
        now = WORLD_BEGAN_NS // SECOND + 86_400
        assert time.localtime() == time.localtime(now)
        assert time.ctime() == time.asctime() == time.ctime(now)
        assert time.strftime("%F %T") == time.strftime("%F %T", time.localtime(now))


def test_dates_with_argument_are_of_what_was_given(alice: FakeMachine, on: On) -> None:
    with on(alice):
        assert time.gmtime(0)[:3] == (1970, 1, 1)
        assert time.strftime("%Y", time.gmtime(0)) == "1970"
        assert time.asctime(time.gmtime(0)) == "Thu Jan  1 00:00:00 1970"


def test_a_program_may_set_its_own_wall_clock(alice: FakeMachine, on: On) -> None:
    alice.passes(2)
    with on(alice):
        time.clock_settime_ns(time.CLOCK_REALTIME, 1_000)
        assert time.time_ns() == 1_000
        assert time.monotonic() == 2.0
        time.clock_settime(time.CLOCK_REALTIME, 1.5)
        assert time.time() == 1.5
        with pytest.raises(OSError, match="Invalid"):
            time.clock_settime(time.CLOCK_MONOTONIC, 1.0)


def test_outside_of_hosts_clocks_are_real(alice: FakeMachine, on: On) -> None:
    with on(alice):
        pass
    assert time.time_ns() > WORLD_BEGAN_NS // 2
    before = time.monotonic_ns()
    assert time.clock_gettime_ns(time.CLOCK_MONOTONIC) >= before
    assert time.gmtime() >= time.gmtime(0)
    assert time.perf_counter() <= time.perf_counter()
    assert time.process_time() > 0


def test_other_threads_see_the_real_clock(alice: FakeMachine, on: On) -> None:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(time.monotonic_ns()))
    thread.start()
    with on(alice):
        thread.join()
        assert time.monotonic_ns() == 0
    assert seen[0] > 0


def test_sleep_on_a_loop_is_refused_with_advice(alice: FakeMachine, on: On) -> None:
    with on(alice):
        with pytest.raises(RuntimeError, match=r"'alice'.*await asyncio\.sleep.*host\.run_blocking") as refused:
            time.sleep(0.1)
        assert isinstance(refused.value, Escape)
        time.sleep(0)  # takes no time anywhere
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)


def test_sleep_in_blocking_code_lets_the_world_s_time_pass(alice: FakeMachine) -> None:
    def blocking() -> tuple[float, float]:
        began = time.monotonic()
        time.sleep(2.5)
        return began, time.monotonic()

    got: list[Any] = []
    enter(alice)  # as in a step of its loop: the thread that runs in step with the world may be started
    threads.run_blocking(alice, blocking, lambda result, error: got.append((result, error)))
    alice.scheduler.run()
    assert got == [((0.0, 2.5), None)]
    assert alice.scheduler.now == 2_500_000_000


def test_a_class_may_keep_a_clock_as_it_may_keep_a_built_in_function(alice: FakeMachine, on: On) -> None:
    class Keeper:
        clock = time.monotonic

    with on(alice):
        alice.passes(1)
        assert Keeper().clock() == 1.0


def test_what_takes_the_place_can_be_pickled_copied_and_looked_at() -> None:
    assert pickle.loads(pickle.dumps(time.time)) == time.time
    assert copy.deepcopy({"clock": time.monotonic})["clock"] == time.monotonic
    assert time.time.__name__ == "time"
    assert list(inspect.signature(time.sleep).parameters) == ["seconds"]


def test_installing_again_changes_nothing() -> None:
    before = time.time, vars(threading)["_time"]
    environment.install()
    assert (time.time, vars(threading)["_time"]) == before
    assert vars(threading)["_time"] is time.monotonic  # which threading has imported by name


@given(st.integers(0, 10**19), st.integers(-(10**18), 10**18))
def test_seconds_are_the_nanoseconds_rounded_once(passed_ns: int, offset_ns: int) -> None:
    machine = FakeMachine()
    machine.scheduler.now = passed_ns
    machine.clock.offset_ns = offset_ns
    with Visit():
        enter(machine)
        assert time.time() == time.time_ns() / 10**9
        assert time.monotonic() == passed_ns / 10**9
