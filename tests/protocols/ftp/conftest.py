"""What the tests of FTP's visits share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from portside import events
from support.ftp_visits import World


@pytest.fixture
def world() -> World:
    """A server with one user, anna, who has all rights."""
    return World()


@pytest.fixture(params=[None, 1], ids=["whole", "byte by byte"])
def cut_world(request: pytest.FixtureRequest) -> World:
    """The same; a test that takes it runs once with lines that come whole, and once with each byte by itself."""
    world = World()
    world.cut = request.param
    return world


@pytest.fixture
def told() -> Iterator[list[events.Event]]:
    """The events of the test, as they happen. Without it nobody listens, and the code takes its shorter ways."""
    heard: list[events.Event] = []
    unsubscribe = events.subscribe(heard.append)
    yield heard
    unsubscribe()
