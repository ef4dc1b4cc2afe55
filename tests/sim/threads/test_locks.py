"""Locks, and what is made of them: who waits lets the others, and the world's time, go on."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import pytest

from portside.sim import World
from portside.sim.environment.escape import Escape
from support.in_threads import blocking, play


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"])
def test_who_holds_a_lock_may_wait_and_the_others_wait_for_it(kind: str) -> None:
    def program() -> list[Any]:
        lock, said = getattr(threading, kind)(), []

        def work(number: int) -> None:
            with lock:
                said.append((number, "in"))
                time.sleep(1)
                said.append((number, time.monotonic()))

        workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return said

    assert blocking(program) == [(0, "in"), (0, 1.0), (1, "in"), (1, 2.0), (2, "in"), (2, 3.0)]


def test_who_waits_for_a_lock_may_give_up() -> None:
    def program() -> tuple[Any, ...]:
        lock = threading.Lock()
        lock.acquire()
        assert not lock.acquire(blocking=False)
        at_once = lock.acquire(timeout=0)
        later = lock.acquire(timeout=3)
        after_s = time.monotonic()
        lock.release()
        assert lock.acquire(timeout=3)
        assert lock.locked()
        lock.release()
        with pytest.raises(RuntimeError):
            lock.release()
        with pytest.raises(ValueError, match="timeout value"):
            lock.acquire(timeout=-2)
        return at_once, later, after_s

    assert blocking(program) == (False, False, 3.0)


def test_a_lock_of_one_thread_may_be_taken_again_by_it() -> None:
    def program() -> None:
        lock = threading.RLock()
        with lock, lock:
            pass
        with pytest.raises(RuntimeError):
            lock.release()

    blocking(program)


def test_conditions_events_and_barriers_wake_those_who_wait() -> None:
    def program() -> list[Any]:
        said: list[Any] = []
        condition, event, barrier = threading.Condition(), threading.Event(), threading.Barrier(3)
        stock: list[int] = []

        def take() -> None:
            with condition:
                assert condition.wait_for(lambda: stock, timeout=60)
                said.append(("took", stock.pop(), time.monotonic()))
            event.wait()
            said.append(("heard", time.monotonic()))
            barrier.wait()

        for _ in range(2):
            threading.Thread(target=take).start()
        time.sleep(1)
        with condition:
            stock.extend([1, 2])
            condition.notify_all()
        time.sleep(1)
        event.set()
        time.sleep(1)
        barrier.wait()
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait(timeout=4)
        return [*said, time.monotonic()]

    assert blocking(program) == [("took", 2, 1.0), ("took", 1, 1.0), ("heard", 2.0), ("heard", 2.0), 7.0]


@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "LifoQueue", "PriorityQueue"])
def test_queues_hand_over_what_was_put(kind: str) -> None:
    def program() -> list[Any]:
        line = getattr(queue, kind)()
        got: list[Any] = []

        def consume() -> None:
            while (one := line.get()) < 9:
                got.append((one, time.monotonic()))

        worker = threading.Thread(target=consume)
        worker.start()
        for number in (1, 2, 9):
            time.sleep(1)
            line.put(number)
        worker.join()
        with pytest.raises(queue.Empty):
            line.get(timeout=5)
        return [*got, time.monotonic()]

    assert blocking(program) == [(1, 1.0), (2, 2.0), 8.0]


def test_a_full_queue_waits_for_room() -> None:
    def program() -> float:
        line: queue.Queue[int] = queue.Queue(maxsize=1)

        def consume() -> None:
            for _ in range(3):
                time.sleep(2)
                line.get()
                line.task_done()

        threading.Thread(target=consume).start()
        for number in range(3):
            line.put(number)
        line.join()
        return time.monotonic()

    assert blocking(program) == 6.0


def test_on_a_loop_a_lock_that_others_let_go_of_at_once_is_waited_for_and_no_other() -> None:
    async def program() -> bool:
        lock = threading.Lock()
        lock.acquire()
        threading.Thread(target=lock.release).start()
        with lock:  # the thread has only to be given its turn
            pass
        lock.acquire()
        with pytest.raises(Escape, match=r"waiting for a lock.* on the loop.*host\.run_blocking"):
            lock.acquire()
        sleeper = threading.Thread(target=time.sleep, args=(1,))
        sleeper.start()
        with pytest.raises(Escape, match=r"join\(\) of .* on the loop"):
            sleeper.join()
        return True

    async def main(world: World) -> Any:
        return await world["alice"].spawn(program())

    assert play(main)


def test_a_lock_that_was_made_on_a_host_works_elsewhere() -> None:
    kept: list[Any] = []

    def program() -> None:
        kept.extend([threading.Lock(), threading.RLock(), queue.SimpleQueue()])

    blocking(program)
    lock, recursive, line = kept
    lock.acquire()
    waiter = threading.Thread(target=lock.acquire)  # a thread of this machine
    waiter.start()
    lock.release()
    waiter.join(10)
    assert not waiter.is_alive()
    with recursive:
        line.put(1)
    assert line.get(timeout=10) == 1
    assert type(threading.Lock()).__name__ == "lock"
