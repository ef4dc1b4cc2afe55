"""The turns of a worker's life that a battery hears of, and what it says when it sends somebody away."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.client import connect, read_exactly, read_to_end
from support.server import Server

Live = Callable[..., Server]


@pytest.fixture
def live(serve: Callable[..., Server]) -> Live:
    """Serve a battery of handlers/living.py."""

    def start(battery: str, *arguments: str, **options: Any) -> Server:
        listen = ("--listen", "tcp://127.0.0.1:0")
        return serve("run", f"living:{battery}", *listen, *arguments, cwd=Path(__file__).parent / "handlers", **options)

    return start


def turns(server: Server) -> list[str]:
    return [line for line in server.lines if line.startswith(("to ", "told ", "done: ", "listening"))]


def test_a_battery_hears_of_every_turn_in_its_order(live: Live) -> None:
    server = live("well")
    with connect(server.at()) as visitor:
        assert read_exactly(visitor, 8) == b"welcome\n"
        server.signal(signal.SIGTERM)
        assert read_to_end(visitor) == b"farewell\n"
    assert server.wait() == 0
    first, second, ready, *rest = turns(server)
    assert (first, second) == ("to begin", "done: begin")
    assert ready.startswith("listening on tcp://")
    assert sorted(rest[:2]) == ["told to drain", "told to retire"]
    assert rest[2:] == ["to finish", "done: finish"]


def test_a_reload_retires_the_old_life_and_ends_it_without_a_drain(live: Live) -> None:
    server = live("well")
    server.signal(signal.SIGHUP)
    server.wait_for(lambda: turns(server).count("done: finish") == 1, "the old worker's end")
    assert turns(server).count("to begin") == 2
    assert "told to drain" not in turns(server)
    assert server.stop() == 0


def test_a_worker_whose_life_cannot_begin_dies_at_birth(live: Live) -> None:
    server = live("stillborn", listening=0)
    assert server.wait() == 3
    assert "the cellar is flooded" in server.said
    assert "listening" not in server.said


def test_a_stop_does_not_wait_for_a_life_that_does_not_begin(live: Live, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    server = live("second_unborn", "--drain", "1h", env={"MARK": str(mark)})
    mark.touch()
    server.signal(signal.SIGHUP)
    server.wait_for(lambda: turns(server).count("to begin") == 2, "the new worker's birth")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_an_end_that_takes_too_long_is_given_up(live: Live) -> None:
    server = live("undying", "--drain", "100ms")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "took too long" in server.said


def test_an_end_that_fails_is_told_and_nothing_else(live: Live) -> None:
    server = live("bad_end", tracebacks=True)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "the cellar is flooded" in server.said


@pytest.mark.parametrize("model", ["iterative", "fork", "prefork", "thread", "prethread"])
def test_a_life_needs_an_event_loop(live: Live, model: str) -> None:
    server = live("well", "--model", model, listening=0)
    assert server.wait() == 2
    assert "living:well needs an event loop: use --model event" in server.said


def test_whoever_was_served_is_told_other_words_than_whoever_is_not_let_in(live: Live) -> None:
    server = live("polite", "--limit-per-ip", "1")
    with connect(server.at()) as visitor:
        visitor.sendall(b"hello\n")
        assert read_exactly(visitor, 6) == b"hello\n"
        with connect(server.at()) as another:
            assert read_to_end(another) == b"no: too many connections from your address"
        server.signal(signal.SIGTERM)
        assert read_to_end(visitor) == b"bye\n"
