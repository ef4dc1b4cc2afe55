"""Links: two directions of wire between two ports, each with its own rate, delay, queue and mishaps.

A frame waits in the queue, is put onto the wire bit by bit (``size`` bytes of it), travels, and arrives, or does not.
All of that is decided when it is handed in, but where the queue is CoDel's: a frame costs one entry of the scheduler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappush
from typing import Any, Final, Literal, TypeAlias

from portside.sim.clock import SECOND, Scheduler
from portside.sim.codel import CoDel
from portside.sim.frame import AnyFrame
from portside.sim.impairments import LinkSettings, Mishaps
from portside.sim.port import Port
from portside.sim.rules import Rule

Fate: TypeAlias = Literal["delivered", "lost", "dropped", "ruled out", "down", "damaged", "duplicated", "overtaken"]
Watcher: TypeAlias = Callable[["Line", AnyFrame, Fate, int, int], object]  # …, begins to be sent, arrives (ns)

BITS_NS: Final = 8 * SECOND


class Line:
    """One direction of a link, from the first of two ports to the second; ``sent`` and its like count frames.

    A watcher is told of each frame once, when its fate is known, with the times at which it begins to be sent and
    arrives, or would have. It must draw no chance and schedule nothing.
    """

    def __init__(
        self, name: str, scheduler: Scheduler, seed: int, ends: tuple[Port, Port], settings: LinkSettings
    ) -> None:
        self.name = name
        self.settings = settings
        self.is_up = True
        self.sent = self.sent_bytes = self.lost = self.dropped = 0
        self.rules: list[Rule] = []
        self._near, self._to = ends
        self._scheduler = scheduler
        self._mishaps = Mishaps(seed, ("link", name))
        self._watchers: list[Watcher] = []
        self._free_ns = 0  # when the last frame handed in is wholly on the wire
        self._last_ns = 0  # when the last frame that was not held back arrives
        self._waiting: deque[tuple[int, int]] = deque()  # begins to be sent, bytes
        self._waiting_bytes = 0
        self._codel: CoDel | None = None
        self._is_sending = False
        self._arrives = self._arrive
        self._choose()

    # ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def change(self, **settings: Any) -> None:
        """Change settings from now on, written as for ``LinkSettings.of``. What is on its way arrives as it would."""
        self.settings = self.settings.changed(**settings)
        self._choose()

    def turn(self, *, on: bool) -> None:
        """Cut the wire, or mend it. What is on its way when it is cut arrives."""
        self.is_up = on
        self._choose()

    def add(self, rule: Rule) -> Rule:
        """Judge frames by this rule too, after those that were added before. Return it, to be removed."""
        self.rules.append(rule)
        self._choose()
        return rule

    def remove(self, rule: Rule) -> None:
        """Judge frames by this rule no more."""
        self.rules.remove(rule)
        self._choose()

    def watch(self, watcher: Watcher) -> None:
        """Tell this one of every frame."""
        self._watchers.append(watcher)
        self._choose()

    def _choose(self) -> None:
        """Choose the shortest way that does all that is asked for."""
        self._delay_ns = self.settings.delay_ns
        if self.settings.queue == "codel" and self._codel is None:
            self._codel = CoDel()
        plain = self.is_up and not self.rules and not self._watchers
        self._near.plug(self._carry_ideal if plain and self.settings.is_ideal else self._carry)

    # ── the way of a frame ───────────────────────────────────────────────────────────────────────────────────────────

    def _carry_ideal(self, frame: AnyFrame) -> None:
        self.sent += 1
        self.sent_bytes += frame.size
        scheduler = self._scheduler  # ``after``, written out: no frame travels without
        heappush(scheduler.heap, (scheduler.now + self._delay_ns, next(scheduler.count), self._arrives, frame))

    def _arrive(self, frame: AnyFrame) -> None:
        self._to.deliver(frame)

    def _carry(self, frame: AnyFrame) -> None:
        if not self.is_up:
            self._tell(frame, "down", self._scheduler.now, self._scheduler.now)
            return
        if self.settings.queue == "codel" and self.settings.rate is not None:
            self._put(frame)
            return
        now = self._scheduler.now
        begins_ns = max(now, self._free_ns)
        if begins_ns > now and self._is_full(frame, now):
            self._drop(frame)
            return
        self._free_ns = begins_ns + self._time_on_wire(frame)
        if begins_ns > now:
            self._waiting.append((begins_ns, frame.size))
            self._waiting_bytes += frame.size
        self._send(frame, begins_ns, self._free_ns)

    def _time_on_wire(self, frame: AnyFrame) -> int:
        rate = self.settings.rate
        return 0 if rate is None else -(-frame.size * BITS_NS // rate)

    def _is_full(self, frame: AnyFrame, now: int) -> bool:
        settings = self.settings
        frames, waiting_bytes = self.queued(now)
        return (settings.queue_frames is not None and frames >= settings.queue_frames) or (
            settings.queue_bytes is not None and waiting_bytes + frame.size > settings.queue_bytes
        )

    def queued(self, now: int | None = None) -> tuple[int, int]:
        """Return how many frames and bytes wait to be sent; the one that is being sent is none of them."""
        if self._codel is not None and self.settings.queue == "codel":
            return len(self._codel.frames), self._codel.bytes
        now = self._scheduler.now if now is None else now
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            self._waiting_bytes -= waiting.popleft()[1]
        return len(waiting), self._waiting_bytes

    def _drop(self, frame: AnyFrame) -> None:
        self.dropped += 1
        self._tell(frame, "dropped", self._scheduler.now, self._scheduler.now)

    def _send(self, frame: AnyFrame, begins_ns: int, ends_ns: int) -> None:
        """Put the frame onto the wire, where chance and rules decide what becomes of it."""
        self.sent += 1
        self.sent_bytes += frame.size
        verdict = next((found for rule in self.rules if (found := rule.judge(frame)) is not None), None)
        if verdict is None:
            self._chance(frame, begins_ns, ends_ns)
        elif verdict.frame is None:
            self.lost += 1
            self._tell(frame, "ruled out", begins_ns, ends_ns + self.settings.delay_ns)
        else:
            arrives_ns = ends_ns + self.settings.delay_ns + verdict.delay_ns
            fate: Fate = "overtaken" if verdict.delay_ns else "delivered"
            self._deliver(verdict.frame, fate, begins_ns, arrives_ns)

    def _chance(self, frame: AnyFrame, begins_ns: int, ends_ns: int) -> None:
        settings, mishaps = self.settings, self._mishaps
        arrives_ns = ends_ns + settings.delay_ns
        if settings.jitter_ns:
            arrives_ns = max(arrives_ns + mishaps.jitter_ns(settings), self._last_ns)
        if not settings.harms:
            self._last_ns = arrives_ns
            self._deliver(frame, "delivered", begins_ns, arrives_ns)
            return
        if mishaps.is_lost(settings):
            self.lost += 1
            self._tell(frame, "lost", begins_ns, arrives_ns)
            return
        fate: Fate = "delivered"
        if mishaps.happens("corrupt", settings.corrupt):
            frame, fate = mishaps.damaged(frame), "damaged"
        if mishaps.happens("reorder", settings.reorder):
            arrives_ns, fate = arrives_ns + settings.reorder_delay_ns, "overtaken"
        else:
            self._last_ns = arrives_ns
        self._deliver(frame, fate, begins_ns, arrives_ns)
        if mishaps.happens("duplicate", settings.duplicate):
            self._deliver(frame, "duplicated", begins_ns, arrives_ns)

    def _deliver(self, frame: AnyFrame, fate: Fate, begins_ns: int, arrives_ns: int) -> None:
        self._scheduler.at(arrives_ns, self._arrive, frame)
        if self._watchers:
            self._tell(frame, fate, begins_ns, arrives_ns)

    def _tell(self, frame: AnyFrame, fate: Fate, begins_ns: int, arrives_ns: int) -> None:
        for watcher in self._watchers:
            watcher(self, frame, fate, begins_ns, arrives_ns)

    # ── with CoDel a frame's fate is known only when its turn comes ──────────────────────────────────────────────────

    def _put(self, frame: AnyFrame) -> None:
        codel, limit = self._codel, self.settings.queue_frames
        assert codel is not None
        if self._is_sending and limit is not None and len(codel.frames) >= limit:
            self._drop(frame)
            return
        codel.put(frame, self._scheduler.now)
        if not self._is_sending:
            self._next()

    def _next(self, _: object = None) -> None:
        codel, now = self._codel, self._scheduler.now
        assert codel is not None
        frame = codel.take(now)
        for dropped in codel.dropped:
            self._drop(dropped)
        self._is_sending = frame is not None
        if frame is not None:
            ends_ns = now + self._time_on_wire(frame)
            self._send(frame, now, ends_ns)
            self._scheduler.at(ends_ns, self._next, None)

    def counts(self) -> tuple[int, int, int, int]:
        """Return frames and bytes sent, frames lost on the wire, and frames for which the queue had no room."""
        return self.sent, self.sent_bytes, self.lost, self.dropped


class Link:
    """A cable between two ports: ``there`` is the line from the first to the second, ``back`` the other one."""

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        seed: int,
        ports: tuple[Port, Port],
        settings: tuple[LinkSettings, LinkSettings],
    ) -> None:
        self.name = name
        self.ports = ports
        self.ends: Any = ()  # the devices of both ends with their ports' names, in a world
        one, other = ports
        self.there = Line(f"{name}>", scheduler, seed, (one, other), settings[0])
        self.back = Line(f"{name}<", scheduler, seed, (other, one), settings[1])

    @property
    def lines(self) -> tuple[Line, Line]:
        return self.there, self.back

    def change(self, **settings: Any) -> None:
        """Change both directions from now on, written as for ``LinkSettings.of``."""
        for line in self.lines:
            line.change(**settings)

    def down(self) -> None:
        """Cut both directions."""
        for line in self.lines:
            line.turn(on=False)

    def up(self) -> None:
        """Mend both directions."""
        for line in self.lines:
            line.turn(on=True)

    def unplug(self) -> None:
        """Take the cable out of both ports, for good."""
        for port in self.ports:
            port.unplug()
