"""Hubs repeat, switches learn."""

from __future__ import annotations

from typing import Any

import pytest

from portside.sim.clock import SECOND, Scheduler
from portside.sim.frame import Frame
from portside.sim.port import Port
from portside.sim.switch import TABLE_MAX, Hub, Switch


class Room:
    """A box with stations at its ports, each with its number for a MAC address."""

    def __init__(self, kind: Any, stations: int) -> None:
        self.scheduler = Scheduler()
        self.box = kind("box", self.scheduler)
        self.heard: list[tuple[int, Frame]] = []
        self.inner: list[Port] = []
        for number in range(1, stations + 1):
            port = self.box.add_port()
            port.plug(lambda frame, number=number: self.heard.append((number, frame)))
            self.inner.append(port)

    def say(self, place: int, source: int, target: int) -> list[int]:
        """Return who hears a frame that comes in at a station's port, from and for these addresses."""
        frame = Frame()
        frame.source_mac, frame.target_mac, frame.size = source, target, 60
        self.heard.clear()
        self.inner[place - 1].deliver(frame)
        assert all(one is frame for _, one in self.heard)  # shared, not copied
        return [number for number, _ in self.heard]


def test_a_hub_repeats_everything_to_everybody_else() -> None:
    room = Room(Hub, 4)
    assert room.say(2, 2, 3) == [1, 3, 4]
    assert room.say(3, 3, 2) == [1, 2, 4]


def test_a_switch_floods_until_it_has_heard_the_address() -> None:
    room = Room(Switch, 4)
    assert room.say(2, 2, 3) == [1, 3, 4]
    assert room.say(3, 3, 2) == [2]
    assert room.say(2, 2, 3) == [3]
    assert [(address, port) for address, port, _ in room.box.table()] == [(2, "port2"), (3, "port3")]


def test_groups_go_to_everybody_and_are_never_learned() -> None:
    room = Room(Switch, 3)
    assert room.say(1, 1, 0xFFFF_FFFF_FFFF) == [2, 3]
    assert room.say(2, 0x0100_5E00_0001, 1) == [1]
    assert room.say(3, 3, 0x0100_5E00_0001) == [1, 2]


def test_what_is_on_the_same_side_is_not_sent_back() -> None:
    room = Room(Switch, 3)
    room.say(1, 1, 9)
    room.say(1, 2, 9)  # behind port 1 there are two
    assert room.say(1, 1, 2) == []


def test_an_address_that_moves_is_learned_anew() -> None:
    room = Room(Switch, 3)
    room.say(1, 7, 9)
    assert room.say(2, 2, 7) == [1]
    room.say(3, 7, 9)
    assert room.say(2, 2, 7) == [3]


def test_an_address_is_forgotten_after_five_minutes_of_silence() -> None:
    room = Room(Switch, 3)
    room.say(1, 1, 9)
    room.scheduler.run(300 * SECOND - 1)
    assert room.say(2, 2, 1) == [1]
    room.scheduler.run(300 * SECOND)
    assert room.say(2, 2, 1) == [1, 3]


@pytest.mark.parametrize("aged", [False, True])
def test_the_table_is_bounded_and_makes_room_by_ageing(aged: bool) -> None:
    room = Room(Switch, 2)
    for address in range(TABLE_MAX):
        room.say(1, address << 1, 9)
    if aged:
        room.scheduler.run(300 * SECOND)
    room.say(1, TABLE_MAX << 1, 9)
    assert len(list(room.box.table())) == (1 if aged else TABLE_MAX)
