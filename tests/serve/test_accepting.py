"""Accepting at the very moment a newer worker takes over: whoever was woken for a connection serves it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from portside.address import parse_endpoint
from portside.net.sockets import Bound, bind
from portside.serve.models.accepting import Acceptor, Visit
from serve.test_service import service_of
from support.waiting import WITHIN_S


class Takeover:
    """A stop that comes while the acceptor waits: not yet when it begins, but when it looks what has happened."""

    def __init__(self) -> None:
        self.asked = 0

    def is_set(self) -> bool:
        self.asked += 1
        return self.asked > 1


@pytest.fixture
def bound() -> Iterator[Bound]:
    (listening,) = bind(parse_endpoint("tcp://127.0.0.1:0"))
    with listening.socket:
        yield listening


@pytest.mark.parametrize("is_draining", [False, True])
def test_the_connection_one_was_woken_for(bound: Bound, is_draining: bool) -> None:
    stop_fd = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    worker: Any = SimpleNamespace(
        service=service_of(), bounds=(bound,), stop_fd=stop_fd, stopping=Takeover(), is_draining=is_draining
    )
    try:
        with socket.create_connection(("127.0.0.1", bound.endpoint.port), WITHIN_S):
            acceptor = Acceptor(worker, one_at_a_time=True)
            arrivals = [arrival for arrival in acceptor if isinstance(arrival, Visit)]
            assert len(arrivals) == (0 if is_draining else 1)
            for arrival in arrivals:
                arrival.socket.close()
            acceptor.close()
    finally:
        os.close(stop_fd)
