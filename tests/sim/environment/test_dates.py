"""``datetime`` on a host, and outside."""

from __future__ import annotations

import copy
import datetime as module
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.sim.clock import SECOND
from portside.sim.here import Visit, enter
from portside.sim.host_clock import WORLD_BEGAN_NS

from .conftest import FakeMachine

On = Callable[[FakeMachine], Any]
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_now_is_exact_and_rounded_down(alice: FakeMachine, on: On) -> None:
    alice.scheduler.now = 1_234_567_999
    with on(alice):
        assert datetime.now(UTC) == datetime(2026, 1, 1, 0, 0, 1, 234_567, tzinfo=UTC)
        assert datetime.now(tz=UTC) == datetime.now(UTC)
        assert datetime.now() == datetime.now(UTC).astimezone().replace(tzinfo=None)


def test_now_knows_zones_and_their_summers(alice: FakeMachine, on: On) -> None:
    alice.clock.offset_ns = 182 * 86_400 * SECOND  # 2026-07-02
    with on(alice):
        assert datetime.now(ZoneInfo("Europe/Oslo")).isoformat() == "2026-07-02T02:00:00+02:00"
        assert datetime.now(timezone(timedelta(hours=-3))).isoformat() == "2026-07-01T21:00:00-03:00"


def test_now_tells_the_second_pass_through_an_hour_of_autumn(alice: FakeMachine, on: On) -> None:
    oslo = ZoneInfo("Europe/Oslo")
    again = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=oslo)
    alice.clock.offset_ns = round(again.timestamp()) * SECOND - WORLD_BEGAN_NS
    with on(alice):
        assert (datetime.now(oslo).hour, datetime.now(oslo).fold) == (2, 1)


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_utcnow_has_no_zone(alice: FakeMachine, on: On) -> None:
    alice.passes(0.25)
    with on(alice):
        assert datetime.utcnow() == datetime(2026, 1, 1, 0, 0, 0, 250_000)
    assert datetime.utcnow().year > 1970


def test_today_is_the_host_s(alice: FakeMachine, on: On) -> None:
    alice.clock.offset_ns = -10_000 * 86_400 * SECOND
    with on(alice):
        assert date.today() == datetime.now().date()
        assert abs(datetime.today() - datetime.now()) < timedelta(microseconds=2)
        assert date.today().year == 1998


def test_outside_of_hosts_it_is_now() -> None:
    assert abs(datetime.now(UTC) - datetime.fromtimestamp(module.datetime.now().timestamp(), UTC)) < timedelta(
        seconds=9
    )
    assert date.today() >= date(2024, 1, 1)


def test_the_types_are_the_real_ones(alice: FakeMachine, on: On) -> None:
    with on(alice):
        here = datetime.now(UTC)
        assert type(here) is datetime is module.datetime
        assert isinstance(here, date)
        assert issubclass(datetime, date)
        assert pickle.loads(pickle.dumps(here)) == copy.deepcopy(here) == here
    assert pickle.loads(pickle.dumps(datetime)) is datetime
    assert b"portside" not in pickle.dumps(here)
    assert pickle.loads(pickle.dumps(datetime.now)) == datetime.now


def test_a_derived_class_gets_its_own_kind(alice: FakeMachine, on: On) -> None:
    class Moment(datetime):
        pass

    with on(alice):
        assert type(Moment.now()) is type(Moment.now(UTC)) is Moment
        assert type(Moment.today()) is Moment


def test_what_is_no_zone_is_refused_as_ever(alice: FakeMachine, on: On) -> None:
    with pytest.raises(TypeError, match="tzinfo"):
        datetime.now(3)  # type: ignore[arg-type]
    with on(alice), pytest.raises(TypeError, match="tzinfo"):
        datetime.now(3)  # type: ignore[arg-type]


@given(st.integers(-WORLD_BEGAN_NS, 200 * 365 * 86_400 * SECOND))
def test_every_microsecond_is_met(offset_ns: int) -> None:
    machine = FakeMachine()
    machine.clock.offset_ns = offset_ns
    with Visit():
        enter(machine)
        now = datetime.now(UTC)
    assert (now - UNIX_EPOCH) // timedelta(microseconds=1) == (WORLD_BEGAN_NS + offset_ns) // 1_000
