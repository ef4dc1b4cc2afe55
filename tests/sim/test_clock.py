"""The scheduler: what is due happens in its order, and time passes only when nothing else is left to do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portside.sim.clock import SECOND, Scheduler, Timer
from portside.sim.host_clock import HostClock


def test_what_is_due_first_happens_first_and_equals_in_the_order_they_were_asked_for() -> None:
    scheduler, done = Scheduler(), []
    for name, time_ns in (("late", 20), ("first", 10), ("second", 10)):
        scheduler.at(time_ns, lambda name: done.append((name, scheduler.now)), name)
    scheduler.soon(lambda name: done.append((name, scheduler.now)), "now")
    scheduler.run()
    assert done == [("now", 0), ("first", 10), ("second", 10), ("late", 20)]


def test_a_run_ends_at_the_time_it_is_given_and_goes_on_from_there() -> None:
    scheduler, done = Scheduler(), []
    for time_ns in (5, 10, 15):
        scheduler.at(time_ns, done.append, time_ns)
    scheduler.run(10)
    assert (done, scheduler.now) == ([5, 10], 10)
    scheduler.run(12)
    assert (done, scheduler.now) == ([5, 10], 12)
    scheduler.run()
    assert (done, scheduler.now) == ([5, 10, 15], 15)


def test_a_run_can_be_stopped_from_within() -> None:
    scheduler, done = Scheduler(), []
    scheduler.at(1, lambda _: scheduler.stop())
    scheduler.at(1, done.append, "after")
    scheduler.run()
    assert (done, scheduler.now) == ([], 1)
    scheduler.run()
    assert done == ["after"]


def test_a_timer_rings_once_at_the_last_time_it_was_set_to() -> None:
    scheduler, rung = Scheduler(), []
    timer = Timer(scheduler, lambda: rung.append(scheduler.now))
    timer.set(10)
    timer.set(30)
    timer.set(20)
    assert len(scheduler.heap) == 1
    scheduler.run()
    assert rung == [20]
    assert not timer.is_set
    timer.start(5)
    timer.set(22)
    scheduler.run()
    assert rung == [20, 22]
    timer.start(5)
    timer.cancel()
    scheduler.run()
    assert rung == [20, 22]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50)), max_size=40))
def test_a_timer_rings_as_one_that_is_made_anew_each_time(acts: list[tuple[int, int]]) -> None:
    scheduler, rung, expected = Scheduler(), [], []
    timer = Timer(scheduler, lambda: rung.append(scheduler.now))
    due: int | None = None
    for act, number in acts:
        if act == 0:
            timer.cancel()
            due = None
        elif act == 1:
            until = scheduler.now + number
            if due is not None and due <= until:
                expected.append(due)
                due = None
            scheduler.run(until)
        else:
            timer.start(number)
            due = scheduler.now + number
    if due is not None:
        expected.append(due)
    scheduler.run()
    assert rung == expected


@given(st.integers(0, 10**15), st.sampled_from([0.0, 50e-6, -50e-6, 0.25, -0.5]))
def test_a_clock_that_drifts_finds_the_earliest_moment_of_a_time_it_will_show(due_ns: int, drift: float) -> None:
    scheduler = Scheduler()
    clock = HostClock(scheduler, drift=drift)
    scheduler.now = clock.world_ns(due_ns)
    assert clock.monotonic_ns() >= due_ns
    if scheduler.now > 0:
        scheduler.now -= 1
        assert clock.monotonic_ns() < due_ns


def test_a_clock_gains_what_its_drift_says() -> None:
    scheduler = Scheduler()
    clock = HostClock(scheduler, began_ns=0, offset_ns=7, drift=50e-6)
    scheduler.now = 1_000 * SECOND
    assert clock.wall_ns() == 1_000 * SECOND + SECOND // 20 + 7
