"""Sockets of a test's own, which the fixture ``opened`` closes when it is over."""

from __future__ import annotations

import socket

from portside.address import parse_endpoint
from portside.net.sockets import Bound, Socket, bind


def bound_to(opened: list[Socket], url: str) -> Bound:
    (bound,) = bind(parse_endpoint(url))
    opened.append(bound.socket)
    return bound


def connect(opened: list[Socket], host: str, port: int) -> Socket:
    client = socket.create_connection((host, port), timeout=5)
    opened.append(client)
    return client
