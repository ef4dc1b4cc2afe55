"""Bytes are told only while somebody looks."""

from __future__ import annotations

from typing import Any

from portside.net.drive import drive
from portside.serve.watching import LOOK_S, WATCHED_MAX, Watches
from portside.testing.memory import pair


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Notes:
    """An observer that writes down what it is told of bytes."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bytes]] = []

    def moved(self, connection: str, direction: str, data: bytes, at_s: float) -> None:
        assert at_s > 1e9
        self.told.append((connection, direction, data))


def run(coroutine: Any) -> Any:
    return drive(coroutine, handler="test", model="memory")


def test_a_look_lasts_for_some_seconds_and_can_be_renewed() -> None:
    notes, clock = Notes(), Clock()
    watches = Watches(notes, clock)  # type: ignore[arg-type]
    server, client = pair()

    def passes(words: bytes) -> bool:
        before = len(notes.told)
        run(client.write(words))
        assert run(server.read()) == words
        return len(notes.told) > before

    assert not passes(b"unseen")
    watches.watch(server)
    assert passes(b"one")
    clock.now_s += LOOK_S - 1
    watches.tick()
    watches.watch(server)  # somebody goes on looking
    clock.now_s += LOOK_S - 1
    watches.tick()
    assert passes(b"two")
    clock.now_s += 2
    watches.tick()
    assert not passes(b"unseen again")
    watches.watch(server)
    run(server.write(b"three"))
    run(client.close())
    assert run(server.read()) == b""
    assert notes.told == [
        (server.id, "in", b"one"),
        (server.id, "in", b"two"),
        (server.id, "out", b"three"),
        (server.id, "in", b""),
    ]


def test_only_so_many_are_watched_at_a_time() -> None:
    notes, clock = Notes(), Clock()
    watches = Watches(notes, clock)  # type: ignore[arg-type]
    servers = [pair()[0] for _ in range(WATCHED_MAX + 1)]
    for server in servers:
        watches.watch(server)
        run(server.write(b"x"))
    assert [connection for connection, *_ in notes.told] == [server.id for server in servers[:-1]]
    clock.now_s += LOOK_S + 1
    watches.tick()
    watches.watch(servers[-1])
    run(servers[-1].write(b"y"))
    assert notes.told[-1] == (servers[-1].id, "out", b"y")
