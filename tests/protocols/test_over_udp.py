"""Batteries over real datagrams: what the runtime's guard against amplification leaves of their answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from portside.protocols.small import CHARGEN_PATTERN
from support.waiting import WITHIN_S


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(WITHIN_S)
        yield sock


def serve_udp(serve: Any, client: socket.socket, *arguments: str) -> None:
    server = serve("serve", *arguments, "--listen", "udp://127.0.0.1:0")
    client.connect(("127.0.0.1", server.port))


@pytest.mark.parametrize("model", ["event", "thread", "fork", "iterative"])
def test_chargen_is_cut_to_the_question(serve: Any, client: socket.socket, model: str) -> None:
    serve_udp(serve, client, "chargen", "--model", model)
    for size in (10, 1, 600):
        client.send(bytes(size))
        assert client.recv(2_000) == CHARGEN_PATTERN[: min(size, 512)]


def test_chargen_may_say_more_when_told_to(serve: Any, client: socket.socket) -> None:
    serve_udp(serve, client, "chargen", "--amplify")
    answers = []
    for _ in range(10):
        client.send(b"?")
        answers.append(client.recv(2_000))
    assert all(CHARGEN_PATTERN.startswith(answer) and len(answer) <= 512 for answer in answers)
    assert max(map(len, answers)) > 1


@pytest.mark.parametrize(("name", "length"), [("daytime", 60), ("time", 4)])
def test_a_clock_answers_a_question_that_is_long_enough(
    serve: Any, client: socket.socket, name: str, length: int
) -> None:
    serve_udp(serve, client, name, "--model", "iterative")  # which takes one after the other
    client.send(b"?")
    client.send(bytes(length))
    first = client.recv(2_000)
    assert 4 <= len(first) <= length
    client.send(bytes(length))
    client.recv(2_000)
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(2_000)  # two were answered, and the short one was not among them


def test_a_clock_answers_any_question_when_told_to(serve: Any, client: socket.socket) -> None:
    serve_udp(serve, client, "time", "--amplify")
    client.send(b"")
    assert len(client.recv(2_000)) == 4
