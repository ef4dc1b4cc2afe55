"""Names in blocking code: the thread waits until the host knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portside.sim import threads
from portside.sim.here import Machine


def look_up_blocking(machine: Machine, host: str, family: int) -> list[int]:
    """Find the addresses of a name, in a thread of blocking code. Raises: socket.gaierror."""
    answers: list[Any] = []

    def register(wake: Callable[[], None]) -> None:
        def done(answer: Any) -> None:
            answers.append(answer)
            wake()

        machine.names.look_up(host, family, done)

    threads.wait(register)
    if isinstance(answers[0], OSError):
        raise answers[0]
    found: list[int] = answers[0]
    return found
