"""CoDel: a queue that drops by how long frames have waited, not by how many there are. RFC 8289."""

from __future__ import annotations

from collections import deque
from math import isqrt
from typing import Final

from portside.sim.clock import MILLISECOND
from portside.sim.frame import AnyFrame

TARGET_NS: Final = 5 * MILLISECOND  # section 4.2
INTERVAL_NS: Final = 100 * MILLISECOND  # section 4.2
MTU_BYTES: Final = 1_514  # a queue with less than one frame is never too long: section 5.5


class CoDel:
    """The algorithm of section 5, and its pseudocode's variables; times in nanoseconds."""

    def __init__(self) -> None:
        self.frames: deque[tuple[int, AnyFrame]] = deque()  # with the time of its arrival
        self.bytes = 0
        self.dropped: list[AnyFrame] = []  # by the last ``take``: for those who count them
        self._first_above_ns = 0
        self._drop_next_ns = 0
        self._count = self._last_count = 0
        self._is_dropping = False

    def put(self, frame: AnyFrame, now_ns: int) -> None:
        """Take a frame in."""
        self.frames.append((now_ns, frame))
        self.bytes += frame.size

    def take(self, now_ns: int) -> AnyFrame | None:
        """Return the next frame to be sent, None if none is left: ``dequeue`` of section 5.5."""
        self.dropped.clear()
        frame, may_drop = self._pop(now_ns)
        if self._is_dropping:
            if not may_drop:
                self._is_dropping = False
            while frame is not None and self._is_dropping and now_ns >= self._drop_next_ns:
                self.dropped.append(frame)
                self._count += 1
                frame, may_drop = self._pop(now_ns)
                if may_drop:
                    self._drop_next_ns = self._control_law(self._drop_next_ns)
                else:
                    self._is_dropping = False
        elif frame is not None and may_drop:
            self.dropped.append(frame)
            frame, _ = self._pop(now_ns)
            self._is_dropping = True
            delta = self._count - self._last_count
            recent = now_ns - self._drop_next_ns < 16 * INTERVAL_NS
            self._count = delta if delta > 1 and recent else 1
            self._drop_next_ns = self._control_law(now_ns)
            self._last_count = self._count
        return frame

    def _pop(self, now_ns: int) -> tuple[AnyFrame | None, bool]:
        """Return the first frame, and whether frames have waited too long for a whole interval: ``dodequeue``."""
        if not self.frames:
            self._first_above_ns = 0
            return None, False
        came_ns, frame = self.frames.popleft()
        self.bytes -= frame.size
        if now_ns - came_ns < TARGET_NS or self.bytes <= MTU_BYTES:
            self._first_above_ns = 0
            return frame, False
        if self._first_above_ns == 0:
            self._first_above_ns = now_ns + INTERVAL_NS
            return frame, False
        return frame, now_ns >= self._first_above_ns

    def _control_law(self, time_ns: int) -> int:
        """Return when the next frame is dropped: sooner and sooner, by the square root of how many were."""
        return time_ns + INTERVAL_NS * 1_000 // isqrt(self._count * 1_000_000)
