"""Waiting for facts: nothing here waits longer than until the fact, or for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Fact = TypeVar("Fact")

WITHIN_S = 30.0  # far more than anything takes: a deadline is for what never comes, on a machine that is busy
_POLL_S = 0.005  # for facts that nobody announces, such as a line of /proc


def wait_until(fact: Callable[[], Fact], what: str = "", within_s: float = WITHIN_S) -> Fact:
    """Return the first true value of ``fact()``. Fails with what was waited for."""
    deadline_s = time.monotonic() + within_s
    while True:
        if value := fact():
            return value
        assert time.monotonic() < deadline_s, f"did not happen within {within_s:g} s: {what or fact.__name__}"
        time.sleep(_POLL_S)
