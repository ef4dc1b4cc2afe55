"""Rules of a line: what is done to frames that somebody has chosen, in place of chance.

    line.add(Rule(lambda frame: isinstance(frame, TcpFrame) and frame.payload, drop, first=2, count=1))

loses the third segment that carries data, and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from portside.sim.frame import AnyFrame

Predicate: TypeAlias = Callable[[AnyFrame], object]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a frame: another one in its place (None: it is lost), and how much later it comes."""

    frame: AnyFrame | None
    delay_ns: int = 0


Act: TypeAlias = Callable[[AnyFrame], Verdict]


def let_pass(frame: AnyFrame) -> Verdict:
    """Let it go on as it is: no later rule and no chance has a say."""
    return Verdict(frame)


def drop(frame: AnyFrame) -> Verdict:
    """Lose it."""
    return Verdict(None)


def delay(delay_ns: int) -> Act:
    """Hold it back for so long; others may overtake it."""

    def hold(frame: AnyFrame) -> Verdict:
        return Verdict(frame, delay_ns)

    return hold


def alter(change: Callable[[AnyFrame], AnyFrame]) -> Act:
    """Send another frame in its place. The one that came must not be changed: others may hold it."""

    def exchange(frame: AnyFrame) -> Verdict:
        return Verdict(change(frame))

    return exchange


EVERY: Final[Predicate] = lambda frame: True  # noqa: E731 -- a predicate like those that users write


@dataclass(slots=True)
class Rule:
    """Does ``act`` to frames for which ``when`` says so: not to the ``first`` ones, and to no more than ``count``."""

    when: Predicate
    act: Act
    first: int = 0
    count: int | None = None
    seen: int = field(default=0, init=False)

    def judge(self, frame: AnyFrame) -> Verdict | None:
        """Return what becomes of the frame, None if this rule has nothing to say about it."""
        if not self.when(frame):
            return None
        self.seen += 1
        if self.seen <= self.first or (self.count is not None and self.seen > self.first + self.count):
            return None
        return self.act(frame)
