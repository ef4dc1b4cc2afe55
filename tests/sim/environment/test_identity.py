"""The name of the machine, and UUIDs of time and node: RFC 9562."""

from __future__ import annotations

import os
import platform
import socket
import uuid
from collections.abc import Callable
from typing import Any

from .conftest import FakeMachine

On = Callable[[FakeMachine], Any]
GREGORIAN_TICKS = 0x01B21DD213814000  # of 100 ns from 1582-10-15 to 1970-01-01: RFC 9562 section 5.1


def test_the_machine_s_name_is_the_host_s(alice: FakeMachine, on: On) -> None:
    real = socket.gethostname(), os.uname(), platform.node()
    with on(alice):
        assert socket.gethostname() == socket.getfqdn() == platform.node() == os.uname().nodename == "alice"
        assert platform.uname().node == "alice"
        assert socket.getfqdn("bob.example") == "bob.example"
        assert os.uname().sysname == real[1].sysname
    assert (socket.gethostname(), os.uname(), platform.node()) == real


def test_asking_for_the_processor_starts_no_process(alice: FakeMachine, on: On) -> None:
    with on(alice):
        assert len(list(platform.uname())) == 6


def test_uuid1_is_of_the_host_s_time_and_node(alice: FakeMachine, on: On) -> None:
    with on(alice):
        made = uuid.uuid1()
        assert made.time - GREGORIAN_TICKS == alice.clock.wall_ns() // 100
        assert made.node == uuid.getnode()
        assert made.node >> 40 & 1  # section 6.10: the multicast bit marks what is no MAC address
        assert uuid.uuid1().time == made.time + 1  # section 6.1: no two of one tick


def test_uuid1_remembers_nothing_of_another_world(on: On) -> None:
    made = []
    for _ in range(2):
        with on(FakeMachine()):
            made.append((uuid.uuid1(), uuid.uuid1()))
    assert made[0] == made[1]


def test_the_process_has_its_number(alice: FakeMachine, on: On) -> None:
    outside = os.getpid()
    with on(alice):
        assert os.getpid() == outside
