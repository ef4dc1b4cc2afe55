"""The simulated internet on the real one: a port on a Linux TAP device, and a world that keeps real time.

A TAP is an Ethernet card whose cable is a file (Linux, Documentation/networking/tuntap.rst): what the kernel sends
through it is read from the file, what is written to the file the kernel hears. So a host of ours, or a switch with many
of them, is on one link with the kernel, and the two can be held against each other.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Self

from portside.sim.clock import MICROSECOND, MILLISECOND, SECOND, Scheduler, Step
from portside.sim.encoding import encode
from portside.sim.frame import AnyFrame, RawFrame
from portside.sim.port import Port

# linux/if_tun.h
_TUNSETIFF: Final = 0x4004_54CA
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000  # frames only, without four bytes of packet information before each
_REQUEST: Final = struct.Struct("16sH22x")  # struct ifreq: a name, flags, and the rest of its union

DEVICE: Final = "/dev/net/tun"
NAME_BYTES_MAX: Final = 15  # IFNAMSIZ of linux/if.h, without the zero at its end
FRAME_BYTES_MAX: Final = 65_536 + 18
FRAMES_AT_ONCE: Final = 64  # read in one go, so that what is due is done between


class TapPort:
    """The kernel's end of a cable. ``join`` plugs the other end into a port of a simulated device.

    The device is made in the network namespace of the thread that calls, is down at first, and is gone after ``close``.
    ``dropped`` counts the frames that the kernel did not take, as it does while the device is down.
    Raises: OSError EPERM without CAP_NET_ADMIN, ENOENT without /dev/net/tun, EBUSY where the name is taken; ValueError
    for a name that is too long.
    """

    def __init__(self, name: str) -> None:
        packed = name.encode()
        if not 0 < len(packed) <= NAME_BYTES_MAX:
            raise ValueError(f"{name}: the name of an interface has 1 to {NAME_BYTES_MAX} bytes")
        self.name = name
        self.dropped = 0
        self._port: Port | None = None
        self._descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(self._descriptor, _TUNSETIFF, _REQUEST.pack(packed, _IFF_TAP | _IFF_NO_PI))
        except OSError:
            os.close(self._descriptor)
            raise

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the kernel has sent something."""
        return self._descriptor

    def join(self, port: Port) -> None:
        """Let what that port sends come to the kernel, and what the kernel sends to that port."""
        self._port = port
        port.plug(self.write)

    def write(self, frame: AnyFrame) -> None:
        """Let the kernel hear a frame."""
        try:
            os.write(self._descriptor, encode(frame))
        except OSError:  # EIO while the device is down, ENOBUFS without memory: a cable loses what it cannot carry
            self.dropped += 1

    def read(self) -> RawFrame | None:
        """Return the next frame that the kernel has sent, None if there is none."""
        with suppress(BlockingIOError):
            return RawFrame(os.read(self._descriptor, FRAME_BYTES_MAX))
        return None

    def deliver(self) -> None:
        """Hand over what the kernel has sent, some frames at most."""
        for _ in range(FRAMES_AT_ONCE):
            frame = self.read()
            if frame is None:
                return
            if self._port is not None:
                self._port.deliver(frame)

    def close(self) -> None:
        """Unplug the cable and remove the device."""
        if self._port is not None:
            self._port.unplug()
            self._port = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RealTime:
    """Runs a scheduler by the machine's clock: between two steps it sleeps until the next is due, or a TAP has a frame.

    The world's time goes on from where it is with every ``run``, and never goes ahead of the clock. When the machine is
    too slow it falls behind, and no step is left out. ``post`` is for other threads, whose steps wait for the next run
    if none is on.
    """

    def __init__(self, scheduler: Scheduler, taps: Iterable[TapPort] = ()) -> None:
        self.scheduler = scheduler
        self._posted: deque[tuple[Step, Any]] = deque()
        self._wakes = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._taps = {tap.fileno(): tap for tap in taps}
        self._poll = select.poll()  # whole milliseconds are all that it can sleep: see _sleep
        for descriptor in (self._wakes, *self._taps):
            self._poll.register(descriptor, select.POLLIN)

    def post(self, step: Step, argument: Any = None) -> None:
        """Do this as the scheduler's next step. Any thread may call."""
        self._posted.append((step, argument))
        os.eventfd_write(self._wakes, 1)

    def run(self, seconds: float | None = None, until: Callable[[], bool] = lambda: False) -> None:
        """Run for so long, or until ``until()`` is true after a step, or the scheduler is stopped by one."""
        scheduler = self.scheduler
        began_ns = time.monotonic_ns() - scheduler.now
        ends_ns = None if seconds is None else scheduler.now + round(seconds * SECOND)
        while True:
            now_ns = time.monotonic_ns() - began_ns
            scheduler.run(now_ns if ends_ns is None else min(now_ns, ends_ns))
            if scheduler.stopped or until() or (ends_ns is not None and now_ns >= ends_ns):
                return
            self._sleep(ends_ns, began_ns)

    def _sleep(self, ends_ns: int | None, began_ns: int) -> None:
        """Wait for the next step, and take what comes before it.

        poll() sleeps whole milliseconds, so it is asked for one less than there are, and the last is slept through with
        looks in between: a step is late by the time of a look, not by a millisecond.
        """
        due = [entry for entry in (self._next_ns(), ends_ns) if entry is not None]
        passes_ns = max(min(due) + began_ns - time.monotonic_ns(), 0) if due else None
        wait_ms = None if passes_ns is None else passes_ns // MILLISECOND
        ready = self._poll.poll(wait_ms)
        if not ready and wait_ms == 0 and passes_ns:
            time.sleep(min(passes_ns, 100 * MICROSECOND) / SECOND)
            ready = self._poll.poll(0)
        # Frames come at the time that is now, not at that of the last step.
        self.scheduler.now = max(self.scheduler.now, time.monotonic_ns() - began_ns) if ready else self.scheduler.now
        for descriptor, _ in ready:
            if descriptor == self._wakes:
                self._take_posted()
            else:
                self._taps[descriptor].deliver()

    def _next_ns(self) -> int | None:
        scheduler = self.scheduler
        if scheduler.ready:
            return scheduler.now
        return scheduler.heap[0][0] if scheduler.heap else None

    def _take_posted(self) -> None:
        os.eventfd_read(self._wakes)
        while self._posted:
            self.scheduler.soon(*self._posted.popleft())

    def close(self) -> None:
        """Let go of what this one has opened itself. The TAPs stay."""
        if self._wakes >= 0:
            os.close(self._wakes)
            self._wakes = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
