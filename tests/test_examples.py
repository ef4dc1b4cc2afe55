"""The examples do what they say: as handlers, and as the server that ``./dev run`` starts."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portside.testing.conversations import feed
from support.client import connect, exchange, read_exactly
from support.conversations import Conversations
from support.server import portside as run_portside

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shout_answers_in_capitals() -> None:
    assert feed(load("shout").shout, b"hello\r\nworld") == b"HELLO\nWORLD\n"


def test_guess_leads_to_the_number() -> None:
    said = feed(load("guess").guess, b"x\n" + b"".join(b"%d\n" % number for number in range(1, 101)))
    greeting, no_number, *hints, right = said.splitlines()
    assert greeting.endswith(b"Your guess?")
    assert no_number == b"That is no number."
    assert set(hints) <= {b"Too small."}
    assert right == b"Right, after %d tries." % (len(hints) + 2)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (b"2d6", rb"[1-6] [1-6]"),
        (b"2d6\n", rb"[1-6] [1-6]"),
        (b"9d9", rb"\d\d?"),
        (b"99d999", rb"\d{3,5}"),
        (b"1d1", rb"1"),
        (b"0d6", rb""),
        (b"2d0", rb"2d6"),
        (b"roll!", rb"2d6\?"),
        (b"", rb""),
    ],
)
def test_dice_answer_no_longer_than_the_question(conversations: Conversations, asked: bytes, answer: bytes) -> None:
    replies = conversations.datagram(load("dice").roll, asked)
    assert len(replies) == 1
    assert re.fullmatch(answer, replies[0])
    assert len(replies[0]) <= len(asked)


@pytest.fixture
def conversations() -> Conversations:
    return Conversations()


def test_the_demo_can_be_served() -> None:
    done = run_portside("check", "demo.toml", cwd=EXAMPLES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_the_demo_serves_and_its_directory_knows_it(serve: Any) -> None:
    server = serve("up", str(EXAMPLES / "demo.toml"), listening=11)
    assert exchange(server.at("shout:shout"), b"hello\n") == b"HELLO\n"
    assert exchange(server.at("echo", "tcp"), b"hello\n") == b"hello\n"
    assert b"Your guess?" in exchange(server.at("guess:guess"), b"")
    assert exchange(server.at("ftp"), b"QUIT\r\n").startswith(b"220 ")
    assert exchange(server.at("daytime", "tcp"), b"").endswith(b"-UTC\r\n")
    assert exchange(server.at("whoami"), b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 OK\r\n")
    with connect(server.at("chargen")) as visitor:
        assert read_exactly(visitor, 5) == b' !"#$'
    for name, what in (("shout", "shout:shout"), ("dice", "dice:roll"), ("directory", "directory")):
        ready = server.at(what)
        protocol = "udp" if ready.endpoint.is_datagram else "tcp"
        answer = exchange(server.at("directory"), f"{name}\n".encode())
        assert answer == f"{name},{ready.port},{protocol}\n".encode()
