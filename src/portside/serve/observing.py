"""What a worker asks of its observer: to keep in mind what is said and what fails, for whoever asks the supervisor.

What an observer keeps, and in which form, is its own matter: here it is an object of JSON that is carried from a worker
to the control socket. ``portside.observe`` has the one that keeps conversations; who starts the server brings it along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, Protocol, TypeAlias

Sight: TypeAlias = dict[str, Any]
"""What an observer saw, as an object of JSON."""


class Observer(Protocol):
    """One in each worker, made after the fork. Its methods are called from any thread, and none of them waits."""

    def begin(self, tell_failure: Callable[[Sight], None]) -> None:
        """Observe from now on, and tell of each handler that fails.

        Keys: ``time`` (ISO 8601), ``connection``, ``peer``, ``error``, ``traceback``.
        """

    def begin_in_child(self, tell: Callable[[Sight], None]) -> None:
        """In a child of the fork model, which ends with its connection: tell what is seen instead of keeping it."""

    def take(self, sight: Sight) -> None:
        """Keep what the observer of a child saw as if it had been seen here."""

    def moved(self, connection: str, direction: Literal["in", "out"], data: bytes, at_s: float) -> None:
        """Keep, as a message, bytes that a connection has moved; ``b""`` at the end of the stream that way.

        The time is in seconds since the epoch.
        """

    def conversation(self, connection: str, after: int, limit: int) -> Sight | None:
        """Return what is kept of a conversation: at most ``limit`` messages that came after number ``after``.

        Keys: ``messages``, each with ``seq`` (counting from 1), ``time``, ``direction``, ``lane``, ``words`` and
        ``bytes``; ``lost``, how many that came after ``after`` are not kept any more; ``ended``, None while it goes on.
        None if nothing was said under that name.
        """


Observe: TypeAlias = Callable[[], Observer]
"""Makes the observer of a worker."""


class _Blind:
    """Sees nothing: for a server that nobody can ask."""

    def begin(self, tell_failure: Callable[[Sight], None]) -> None:
        pass

    def begin_in_child(self, tell: Callable[[Sight], None]) -> None:
        pass

    def take(self, sight: Sight) -> None:
        pass

    def moved(self, connection: str, direction: Literal["in", "out"], data: bytes, at_s: float) -> None:
        pass

    def conversation(self, connection: str, after: int, limit: int) -> Sight | None:
        return None


BLIND: Final[Observer] = _Blind()
