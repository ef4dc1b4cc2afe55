"""What goes wrong on a wire by chance: loss alone and in bursts, jitter, reordering, duplicates, flipped bits.

Every kind draws from a stream of its own, so that turning one on leaves the draws of the others as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final, Literal, Self

from portside.errors import UsageError
from portside.sim.chance import stream
from portside.sim.clock import MILLISECOND
from portside.sim.encoding import encode
from portside.sim.frame import AnyFrame, RawFrame
from portside.sim.quantities import bit_rate, byte_count, duration_ns, fraction

QUEUE_FRAMES: Final = 1_000  # what Linux gives an Ethernet interface: its txqueuelen
REORDER_DELAY_NS: Final = MILLISECOND
ETHERNET_ADDRESSES_BITS: Final = 96  # a frame whose MAC addresses are damaged is one for somebody else


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """One direction of a link. Rate in bits a second, None without bound; times in ns; probabilities per frame.

    ``burst`` is how many frames a loss lasts on average: with 1 each frame is lost or not by itself, with more it is
    Gilbert's model (Bell System Technical Journal 39, 1960), and ``loss`` still the part that is lost in the long run.
    ``jitter_ns`` is the most that ``uniform`` adds, or the standard deviation of ``normal``; frames do not overtake one
    another by jitter, only by ``reorder``, which holds a frame back for ``reorder_delay_ns`` more.
    """

    rate: int | None = None
    delay_ns: int = 0
    jitter_ns: int = 0
    jitter_shape: Literal["uniform", "normal"] = "uniform"
    loss: float = 0.0
    burst: float = 1.0
    reorder: float = 0.0
    reorder_delay_ns: int = REORDER_DELAY_NS
    duplicate: float = 0.0
    corrupt: float = 0.0
    queue: Literal["drop-tail", "codel"] = "drop-tail"
    queue_frames: int | None = QUEUE_FRAMES
    queue_bytes: int | None = None

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """Return settings as people write them: ``rate="10Mbit/s"``, ``delay="20ms"``, ``loss="1%"``,
        ``queue_bytes="64KiB"``. Raises: UsageError.
        """
        return cls().changed(**settings)

    def changed(self, **settings: Any) -> Self:
        """Return them with some changed, written as for ``of``. Raises: UsageError."""
        read: dict[str, Any] = {}
        for name, value in settings.items():
            if name not in _READERS:
                raise UsageError(f"a link has no {name!r}, only {', '.join(_READERS)}")
            field_name, reader = _READERS[name]
            read[field_name] = reader(value)
        made = replace(self, **read)
        if made.burst < 1:
            raise UsageError("a burst of loss is one frame long at least")
        if made.queue not in {"drop-tail", "codel"} or made.jitter_shape not in {"uniform", "normal"}:
            raise UsageError("a queue is drop-tail or codel, and jitter uniform or normal")
        return made

    @property
    def is_ideal(self) -> bool:
        """Whether a frame is only delayed, each alike, and never waits."""
        return self.rate is None and not self.jitter_ns and not self.harms

    @property
    def harms(self) -> bool:
        """Whether frames are lost, doubled, damaged or overtaken by chance."""
        return bool(self.loss or self.reorder or self.duplicate or self.corrupt)


def _as_it_is(value: Any) -> Any:
    return value


def _maybe_bytes(value: Any) -> int | None:
    return None if value is None else byte_count(value)


_READERS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "rate": ("rate", bit_rate),
    "delay": ("delay_ns", duration_ns),
    "jitter": ("jitter_ns", duration_ns),
    "jitter_shape": ("jitter_shape", _as_it_is),
    "loss": ("loss", fraction),
    "burst": ("burst", float),
    "reorder": ("reorder", fraction),
    "reorder_delay": ("reorder_delay_ns", duration_ns),
    "duplicate": ("duplicate", fraction),
    "corrupt": ("corrupt", fraction),
    "queue": ("queue", _as_it_is),
    "queue_frames": ("queue_frames", _as_it_is),
    "queue_bytes": ("queue_bytes", _maybe_bytes),
}


@dataclass(slots=True)
class Mishaps:
    """The chance of one direction of a link, and what it has decided so far."""

    seed: int
    names: tuple[str, ...]
    is_bad: bool = False  # Gilbert's model is in its bad state: everything is lost
    _streams: dict[str, Random] = field(default_factory=dict)

    def _stream(self, kind: str) -> Random:
        found = self._streams.get(kind)
        if found is None:
            found = self._streams[kind] = stream(self.seed, *self.names, kind)
        return found

    def happens(self, kind: str, probability: float) -> bool:
        """Decide about one frame."""
        return probability > 0 and self._stream(kind).random() < probability

    def is_lost(self, settings: LinkSettings) -> bool:
        """Decide whether the next frame is lost."""
        if not settings.loss:
            return False
        if settings.burst <= 1 or settings.loss >= 1:
            return self._stream("loss").random() < settings.loss
        ends = 1 / settings.burst
        changes = ends if self.is_bad else settings.loss * ends / (1 - settings.loss)
        if self._stream("loss").random() < changes:
            self.is_bad = not self.is_bad
        return self.is_bad

    def jitter_ns(self, settings: LinkSettings) -> int:
        """Return how much later than its delay the next frame comes."""
        if settings.jitter_shape == "uniform":
            return self._stream("jitter").randrange(settings.jitter_ns + 1)
        return max(-settings.delay_ns, round(self._stream("jitter").gauss(0, settings.jitter_ns)))

    def damaged(self, frame: AnyFrame) -> RawFrame:
        """Return the frame with one bit flipped, anywhere behind its MAC addresses."""
        data = bytearray(encode(frame))
        bit = self._stream("corrupt").randrange(ETHERNET_ADDRESSES_BITS, 8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        return RawFrame(bytes(data))
