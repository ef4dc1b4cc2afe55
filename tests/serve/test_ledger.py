"""Who holds how many places: the shared ledger behaves like dicts, across processes, and whoever dies."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import LocalError
from portside.serve import ledger as ledgers
from portside.serve.ledger import LocalLedger, SharedLedger, Tally, next_arrival_s

WIDE = {"connections": 10_000, "per_ip": 10_000, "accept_rate": 1e9}


@pytest.fixture
def shared() -> Iterator[SharedLedger]:
    made = SharedLedger(100)
    made.join(made.claim())
    yield made
    made.close()


def as_seen_by(ledger: SharedLedger, slot: int) -> SharedLedger:
    """Return the ledger as another process would see it that has joined the slot: the memory is the same."""
    other = object.__new__(SharedLedger)
    other.__dict__.update(ledger.__dict__)
    other.join(slot)
    return other


# A step: a host comes, or one of those that are there (by number) goes. Few hosts, so that they meet.
HOSTS = [f"192.0.2.{number}" for number in range(12)] + [""]
STEPS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(HOSTS), st.booleans()), max_size=120)


@given(steps=STEPS, connections=st.integers(1, 30), per_ip=st.integers(1, 6))
def test_it_counts_as_dicts_do_whichever_worker_asks(
    steps: list[tuple[int, str, bool]], connections: int, per_ip: int
) -> None:
    shared = SharedLedger(30)
    try:
        workers = [as_seen_by(shared, shared.claim()) for _ in range(2)]
        model, held = LocalLedger(), [Counter[str](), Counter[str]()]
        for now, (worker, host, comes) in enumerate(steps):
            if comes:
                limits = {"connections": connections, "per_ip": per_ip, "accept_rate": 1e9}
                expected = model.take(host, now, **limits)  # type: ignore[arg-type]
                assert workers[worker].take(host, now, **limits) == expected  # type: ignore[arg-type]
                held[worker][host] += expected is None
            elif held[worker][host]:
                held[worker][host] -= 1
                model.give_back(host)
                workers[worker].give_back(host)
            assert shared.total == model.total
    finally:
        shared.close()


@given(order=st.permutations(range(60)), cut=st.integers(0, 60))
def test_removing_one_host_loses_no_other(order: list[int], cut: int) -> None:
    shared = SharedLedger(60)
    try:
        one, other = (as_seen_by(shared, shared.claim()) for _ in range(2))
        hosts = [f"2001:db8::{number:x}" for number in range(60)]
        for host in hosts:
            assert one.take(host, 0.0, **WIDE) is None  # type: ignore[arg-type]
        for number in order[:cut]:
            one.give_back(hosts[number])
        held = {number: other._held_elsewhere(hosts[number]) for number in range(60)}
        assert held == {number: int(number in order[cut:]) for number in range(60)}
    finally:
        shared.close()


def test_hosts_of_one_hash_are_told_apart(shared: SharedLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "_keys", lambda host: (7, hash(host)))
    other = as_seen_by(shared, shared.claim())
    for host in HOSTS[:5]:
        shared.take(host, 0.0, **WIDE)  # type: ignore[arg-type]
    shared.give_back(HOSTS[1])
    assert [other._held_elsewhere(host) for host in HOSTS[:5]] == [1, 0, 1, 1, 1]


def test_a_dead_worker_s_places_are_free_again_and_its_counts_are_kept(shared: SharedLedger) -> None:
    slot = shared.claim()
    doomed = as_seen_by(shared, slot)
    for _ in range(3):
        doomed.take("192.0.2.1", 0.0, **WIDE)  # type: ignore[arg-type]
    doomed.count(ledgers.TALLY_NAMES.index("opened"), 3)
    doomed.put(ledgers.TALLY_NAMES.index("open"), 3)
    limits = {"connections": 100, "per_ip": 3, "accept_rate": 1e9}
    assert shared.take("192.0.2.1", 0.0, **limits) == "per_ip"  # type: ignore[arg-type]
    shared.wipe(slot)
    assert shared.total == 0
    assert shared.take("192.0.2.1", 0.0, **limits) is None  # type: ignore[arg-type]
    assert shared.tally() == Tally(opened=3)


def test_a_worker_killed_with_the_lock_in_hand_holds_nobody_up(
    shared: SharedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = shared.claim()
    child = os.fork()
    if child == 0:
        try:
            shared.join(slot)
            monkeypatch.setattr(shared, "_insert", lambda host: os.kill(os.getpid(), signal.SIGKILL))
            shared.take("192.0.2.1", 0.0, **WIDE)  # type: ignore[arg-type]
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert shared.take("192.0.2.1", 0.0, **WIDE) is None  # type: ignore[arg-type]


def test_several_processes_never_exceed_a_limit_together() -> None:
    shared = SharedLedger(100)
    granted_by, limit = [], 37
    for _ in range(4):
        slot = shared.claim()
        child = os.fork()
        if child == 0:
            try:
                shared.join(slot)
                limits = {"connections": 10_000, "per_ip": limit, "accept_rate": 1e9}
                taken = [shared.take("192.0.2.1", 0.0, **limits) for _ in range(60)]  # type: ignore[arg-type]
                os._exit(taken.count(None))
            finally:
                os._exit(255)
        granted_by.append(child)
    granted = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in granted_by]
    assert sum(granted) == limit == shared.total
    shared.close()


def test_slots_run_out_with_a_sentence() -> None:
    shared = SharedLedger(1)
    for _ in range(ledgers.SLOTS):
        shared.claim()
    with pytest.raises(LocalError, match="earlier ones keep their connections"):
        shared.claim()
    shared.wipe(5)
    assert shared.claim() == 5
    shared.close()


# ── rates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("per_s", [1.0, 7.0, 500.0, 0.25])
def test_a_rate_allows_a_burst_of_one_second_s_worth_and_then_its_average(per_s: float) -> None:
    burst = max(1, int(per_s))
    expected_s, at_once = 0.0, 0
    while (due_s := next_arrival_s(expected_s, 100.0, per_s)) is not None:
        expected_s, at_once = due_s, at_once + 1
    assert at_once == burst
    # Over the next minute as many come as the rate says, however often they try.
    later = 0
    for step in range(60 * 50):
        if (due_s := next_arrival_s(expected_s, 100.0 + step / 50, per_s)) is not None:
            expected_s, later = due_s, later + 1
            while (due_s := next_arrival_s(expected_s, 100.0 + step / 50, per_s)) is not None:
                expected_s, later = due_s, later + 1
    assert later == pytest.approx(60 * per_s, abs=1 + per_s / 50)


@pytest.mark.parametrize("make", [LocalLedger, lambda: SharedLedger(10)])
def test_datagrams_are_counted_by_host(make: type[LocalLedger]) -> None:
    ledger = make()
    if isinstance(ledger, SharedLedger):
        ledger.join(ledger.claim())
    allowed = [ledger.take_datagram("192.0.2.1", 50.0, per_s=10.0) for _ in range(15)]
    assert allowed == [True] * 10 + [False] * 5
    assert ledger.take_datagram("192.0.2.2", 50.0, per_s=10.0)
    assert ledger.take_datagram("192.0.2.1", 50.1, per_s=10.0)
    assert not ledger.take_datagram("192.0.2.1", 50.1, per_s=10.0)


def test_a_flood_of_forged_sources_takes_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "DATAGRAM_HOSTS_MAX", 50)
    ledger = LocalLedger()
    for number in range(1_000):
        assert ledger.take_datagram(f"2001:db8::{number:x}", 1.0, per_s=1.0)
        assert len(ledger._next_datagram_s) <= 52


def test_whoever_is_turned_away_for_itself_uses_up_no_rate() -> None:
    ledger = LocalLedger()
    limits = {"connections": 100, "per_ip": 1, "accept_rate": 2.0}
    assert ledger.take("192.0.2.1", 0.0, **limits) is None  # type: ignore[arg-type]
    assert {ledger.take("192.0.2.1", 0.0, **limits) for _ in range(50)} == {"per_ip"}  # type: ignore[arg-type]
    assert ledger.take("192.0.2.2", 0.0, **limits) is None  # type: ignore[arg-type]
    assert ledger.take("192.0.2.3", 0.0, **limits) == "accept_rate"  # type: ignore[arg-type]
