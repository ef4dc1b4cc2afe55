"""How failures are counted, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from portside.accounts.counters import LocalCounters
from portside.accounts.tries import Tries, counted_as, delay_s_after


@dataclass
class World:
    """Tries on a clock that a test moves."""

    attempts: int = 3
    window_s: float = 600.0
    ban_s: float = 600.0
    now_s: float = 10.0
    tries: Tries = field(init=False)

    def __post_init__(self) -> None:
        counters = LocalCounters(clock=lambda: self.now_s)
        self.tries = Tries(counters, attempts=self.attempts, window_s=self.window_s, ban_s=self.ban_s)

    def fail(self, address: str = "192.0.2.1") -> float:
        assert self.tries.begin(address, self.now_s)
        delay_s = self.tries.fail(address, self.now_s)
        self.tries.end(address)
        return delay_s


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("/run/x.sock", "/run/x.sock"),
    ],
)
def test_who_is_counted(host: str, counted: str) -> None:
    assert counted_as(host) == counted


def test_answers_get_slower_and_not_slower_than_that() -> None:
    assert [delay_s_after(failures) for failures in (1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 8, 8, 8]


def test_too_many_failures_ban_the_address_and_no_other() -> None:
    world = World()
    assert [world.fail(), world.fail(), world.fail()] == [1.0, 2.0, 0.0]
    assert world.tries.is_banned("192.0.2.1")
    assert not world.tries.is_banned("192.0.2.2")
    assert world.fail("192.0.2.2") == 1.0


def test_a_ban_ends_and_what_led_to_it_is_paid_for() -> None:
    world = World(ban_s=60.0)
    for _ in range(3):
        world.fail()
    world.now_s += 59.0
    assert world.tries.is_banned("192.0.2.1")
    world.now_s += 2.0  # still the same window
    assert not world.tries.is_banned("192.0.2.1")
    world.fail()
    world.fail()
    assert not world.tries.is_banned("192.0.2.1")
    world.fail()
    assert world.tries.is_banned("192.0.2.1")


def test_failures_of_another_window_do_not_ban() -> None:
    world = World()
    world.fail()
    world.fail()
    world.now_s += 600.0
    world.fail()
    world.fail()
    assert not world.tries.is_banned("192.0.2.1")


def test_a_success_takes_the_delay_away_and_not_the_failures() -> None:
    world = World()
    assert [world.fail(), world.fail()] == [1.0, 2.0]
    world.tries.forgive("192.0.2.1")
    world.tries.forgive("192.0.2.2")
    world.fail()
    assert world.tries.is_banned("192.0.2.1"), "whoever has a login could guess at another's for ever"
    world = World(attempts=10)
    world.fail()
    world.fail()
    world.fail("192.0.2.2")
    world.tries.forgive("192.0.2.1")
    assert world.fail() == 1.0
    assert world.fail("192.0.2.2") == 2.0


def test_there_are_as_many_places_as_failures_are_left() -> None:
    world = World()
    world.fail()
    assert [world.tries.begin("192.0.2.1", world.now_s) for _ in range(3)] == [True, True, False]
    assert world.tries.begin("192.0.2.2", world.now_s)
    world.tries.end("192.0.2.1")
    assert world.tries.begin("192.0.2.1", world.now_s)
    world.tries.fail("192.0.2.1", world.now_s)
    world.tries.end("192.0.2.1")
    assert not world.tries.begin("192.0.2.1", world.now_s), "the place of a failure is not given to another"
