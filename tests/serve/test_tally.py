"""What is counted by events and in histograms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside import events
from portside.address import InternetAddress
from portside.serve import tally as tallies
from portside.serve.tally import LASTED_S, MOVED_BYTES, TALLY_NAMES, Tally
from portside.serve.tallying import place_of

PEER = InternetAddress("192.0.2.1", 40_000)


@given(st.lists(st.floats(0, 1e6), max_size=50))
def test_every_duration_is_in_the_range_that_ends_with_the_first_bound_it_does_not_pass(durations: list[float]) -> None:
    tally = Tally()
    for duration_s in durations:
        name = TALLY_NAMES[tallies.place_of_lasted(duration_s)]
        setattr(tally, name, getattr(tally, name) + 1)
    below = [sum(duration_s <= bound for duration_s in durations) for bound in LASTED_S]
    counts = tallies.lasted_counts(tally)
    assert [sum(counts[: place + 1]) for place in range(len(LASTED_S))] == below
    assert sum(counts) == len(durations)


@pytest.mark.parametrize(("size_bytes", "name"), [(0, "moved_1k"), (1_000, "moved_1k"), (1_001, "moved_10k")])
def test_a_bound_belongs_to_the_range_below_it(size_bytes: int, name: str) -> None:
    assert TALLY_NAMES[tallies.place_of_moved(size_bytes)] == name


def test_there_is_a_counter_for_each_range_and_a_sum() -> None:
    named = [sum(name.startswith(start) for name in TALLY_NAMES) for start in ("lasted_", "moved_")]
    assert named == [len(LASTED_S) + 2, len(MOVED_BYTES) + 2]
    assert (len(tallies.lasted_counts(Tally())), len(tallies.moved_counts(Tally()))) == (10, 8)


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (events.HandlerFailed("s", "1-1", PEER, ValueError()), "handler_failed"),
        (events.LoginTried("s", "1-1", PEER, "anna"), "logins"),
        (events.LoginTried("s", "1-1", PEER, "anna", "wrong password"), "logins_refused"),
        (events.FileActed("s", "1-1", PEER, "anna", "upload", "/x"), "uploads"),
        (events.FileActed("s", "1-1", PEER, "anna", "append", "/x"), "uploads"),
        (events.FileActed("s", "1-1", PEER, "anna", "download", "/x"), "downloads"),
        (events.FileActed("s", "1-1", PEER, "anna", "download", "/x", failed="gone"), "file_acts_failed"),
        (events.FileActed("s", "1-1", PEER, "anna", "mkdir", "/x"), None),
        (events.Answered("s", 101), "answers_1xx"),
        (events.Answered("s", 404), "answers_4xx"),
        (events.Answered("s", 599), "answers_5xx"),
        (events.Answered("s", 600), None),
        (events.Answered("s", 0), None),
    ],
)
def test_what_batteries_tell_of_is_counted_by_name(event: events.Event, name: str | None) -> None:
    place = place_of(event)
    assert (None if place is None else TALLY_NAMES[place]) == name


def test_all_reasons_and_limits_have_a_counter() -> None:
    reasons = set(Tally().starting("ended_"))
    assert reasons == {"done", "peer", "idle", "life", "stopped", "drained", "handler", "tls", "timeout"}
    assert len(Tally().starting("limit_")) == 7


def test_only_what_is_of_now_ends_with_its_worker() -> None:
    ours, theirs = Tally(open=1, opened=2), Tally(open=5, opened=3, uploads=4)
    ours.add(theirs, live=False)
    assert ours == Tally(open=1, opened=5, uploads=4)
