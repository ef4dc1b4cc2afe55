"""Fixtures of sockets; and the asserts of the contract suite shall say what they compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from portside.net.sockets import Socket

pytest.register_assert_rewrite("portside.testing.contract")


@pytest.fixture
def opened() -> Iterator[list[Socket]]:
    """Sockets to close when the test is over."""
    kept: list[Socket] = []
    yield kept
    for sock in kept:
        sock.close()
