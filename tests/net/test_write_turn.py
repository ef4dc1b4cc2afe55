"""Turns to write: one thread at a time, everybody in the end, and nobody forgotten when one gives up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from portside.net.blocking_bytes import WriteTurn
from support.waiting import WITHIN_S, wait_until


def test_one_at_a_time_and_everybody_in_the_end() -> None:
    turn = WriteTurn()
    inside: list[int] = []
    most: list[int] = []

    def use(number: int) -> int:
        done = 0
        for _ in range(300):
            with turn:
                inside.append(number)
                most.append(len(inside))
                done += 1
                inside.pop()
        return done

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(use, range(4))) == 1_200
    assert set(most) == {1}
    assert turn.free == [None]
    assert turn.waiters == []


def test_a_turn_that_is_taken_is_waited_for_or_not() -> None:
    turn = WriteTurn()
    assert turn.try_take()
    assert not turn.try_take()
    taken: list[str] = []

    def take(name: str) -> None:
        turn.take()
        taken.append(name)
        turn.give_back()

    threads = [threading.Thread(target=take, args=(name,)) for name in ("anna", "bert")]
    for number, thread in enumerate(threads, 1):
        thread.start()
        wait_until(lambda number=number: len(turn.waiters) == number)  # type: ignore[misc]
    assert taken == []
    turn.give_back()
    for thread in threads:
        thread.join(WITHIN_S)
    assert taken == ["anna", "bert"]
    assert turn.try_take()


def test_being_woken_for_nothing_is_no_turn() -> None:
    turn = WriteTurn()
    turn.take()
    waiting = threading.Thread(target=turn.take)
    waiting.start()
    wait_until(lambda: bool(turn.waiters))
    for _ in range(10):
        turn.wake()
    assert waiting.is_alive()
    turn.give_back()
    waiting.join(WITHIN_S)
    assert not turn.try_take()
