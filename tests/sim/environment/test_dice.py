"""``random`` and the kernel's chance on a host, and outside."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import FakeMachine
from .draws import drawn

On = Callable[[FakeMachine], Any]


def test_equal_hosts_draw_the_same_and_others_do_not(on: On) -> None:
    with on(FakeMachine()):
        first = drawn()
        second = drawn()
    with on(FakeMachine()):
        assert drawn() == first
    with on(FakeMachine(seed=8)):
        other = drawn()
    for one, later, elsewhere in zip(first, second, other, strict=True):
        assert one != later or isinstance(one, str)
        assert one != elsewhere or isinstance(one, str)


def test_outside_nothing_repeats_and_nothing_is_drawn_from_a_host(alice: FakeMachine, on: On) -> None:
    state = alice.chance.getstate()
    assert os.urandom(16) != os.urandom(16)
    assert uuid.uuid4() != uuid.uuid4()
    assert random.Random().random() != random.Random().random()
    assert alice.chance.getstate() == state


def test_a_host_s_draws_leave_the_process_s_chance_alone(alice: FakeMachine, on: On) -> None:
    state = random.getstate()
    with on(alice):
        drawn()
        random.seed(3)
    assert random.getstate() == state


def test_seed_is_of_this_host_only(on: On) -> None:
    one, two = FakeMachine(), FakeMachine("bob")
    with on(two):
        undisturbed = FakeMachine("bob").chance.random()
    with on(one):
        random.seed(5)
        assert random.random() == random.Random(5).random()
    with on(two):
        assert random.random() == undisturbed


def test_two_programs_that_seed_alike_get_different_uuids(on: On) -> None:
    made = []
    for name in ("alice", "bob"):
        with on(FakeMachine(name)):
            random.seed(0)
            made.append(uuid.uuid4())
    assert made[0] != made[1]


def test_seeding_with_nothing_repeats_too(on: On) -> None:
    drawn_after = []
    for _ in range(2):
        with on(FakeMachine()):
            random.seed()
            drawn_after.append(random.random())
    assert drawn_after[0] == drawn_after[1]


def test_state_can_be_taken_and_put_back(alice: FakeMachine, on: On) -> None:
    with on(alice):
        state = random.getstate()
        first = random.random()
        random.setstate(state)
        assert random.random() == first


def test_a_stream_with_a_seed_is_what_it_always_was(alice: FakeMachine, on: On) -> None:
    outside = random.Random("seed").random()
    with on(alice):
        stream = random.Random("seed")
        assert stream.random() == outside
        assert type(stream) is random.Random
        assert pickle.loads(pickle.dumps(stream)).random() == stream.random()


def test_sizes_are_kept(alice: FakeMachine, on: On) -> None:
    with on(alice):
        assert [len(os.urandom(size)) for size in (0, 1, 16, 5_000)] == [0, 1, 16, 5_000]
        assert len(os.getrandom(12)) == 12
        with pytest.raises(ValueError, match="negative"):
            os.urandom(-1)


def test_names_of_temporary_files_draw_nothing_from_a_host(alice: FakeMachine, on: On) -> None:
    state = alice.chance.getstate()
    with on(alice), tempfile.TemporaryFile() as file:
        file.write(b"real")
    assert alice.chance.getstate() == state


PROGRAM = """
import sys
sys.path.insert(0, {here!r})
from conftest import FakeMachine
from draws import drawn
from portside.sim import environment
from portside.sim.here import enter
environment.install()
enter(FakeMachine())
print(drawn(), drawn())
"""


def test_another_process_with_another_hash_seed_draws_the_same() -> None:
    here = Path(__file__).parent
    program = PROGRAM.format(here=str(here))
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert said[0] == said[1] != b""


def test_what_the_kernel_gives_shifts_nothing_of_random(on: On) -> None:
    def drawn(*, kernel_first: bool) -> list[float]:
        with on(FakeMachine()):
            if kernel_first:
                os.urandom(16)
            return [random.random() for _ in range(3)]

    assert drawn(kernel_first=True) == drawn(kernel_first=False)
