"""The module ``time`` as hosts see it: their own clocks, and no waiting where a loop runs."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from time import struct_time
from typing import Final

from portside.sim import threads
from portside.sim.clock import SECOND
from portside.sim.environment.escape import Escape
from portside.sim.environment.replacing import Dispatcher, Replacement
from portside.sim.here import Machine, here

_time: Final = time.time
_time_ns: Final = time.time_ns
_monotonic: Final = time.monotonic
_monotonic_ns: Final = time.monotonic_ns
_perf_counter: Final = time.perf_counter
_perf_counter_ns: Final = time.perf_counter_ns
_process_time: Final = time.process_time
_process_time_ns: Final = time.process_time_ns
_thread_time: Final = time.thread_time
_thread_time_ns: Final = time.thread_time_ns
_clock_gettime: Final = time.clock_gettime
_clock_gettime_ns: Final = time.clock_gettime_ns
_clock_settime: Final = time.clock_settime
_clock_settime_ns: Final = time.clock_settime_ns
_localtime: Final = time.localtime
_gmtime: Final = time.gmtime
_ctime: Final = time.ctime
_asctime: Final = time.asctime
_strftime: Final = time.strftime
_sleep: Final = time.sleep

WALL: Final = frozenset(getattr(time, name) for name in ("CLOCK_REALTIME", "CLOCK_TAI") if hasattr(time, name)) | {
    5
}  # CLOCK_REALTIME_COARSE, see clock_gettime(2)
SINCE_BOOT: Final = frozenset(
    getattr(time, name) for name in ("CLOCK_MONOTONIC", "CLOCK_MONOTONIC_RAW", "CLOCK_BOOTTIME") if hasattr(time, name)
) | {6}  # CLOCK_MONOTONIC_COARSE


class Clocks(Dispatcher):
    """The functions of ``time``. Seconds are floats of the same nanoseconds, rounded once."""

    GLOBAL_NAME = "clocks"

    def time(self) -> float:
        machine = here.machine
        return _time() if machine is None else machine.clock.wall_ns() / SECOND

    def time_ns(self) -> int:
        machine = here.machine
        return _time_ns() if machine is None else machine.clock.wall_ns()

    def monotonic(self) -> float:
        machine = here.machine
        return _monotonic() if machine is None else machine.clock.monotonic_ns() / SECOND

    def monotonic_ns(self) -> int:
        machine = here.machine
        return _monotonic_ns() if machine is None else machine.clock.monotonic_ns()

    def perf_counter(self) -> float:
        machine = here.machine
        return _perf_counter() if machine is None else machine.clock.monotonic_ns() / SECOND

    def perf_counter_ns(self) -> int:
        machine = here.machine
        return _perf_counter_ns() if machine is None else machine.clock.monotonic_ns()

    # Computing takes no time in a world, so no program on a host has used any of the processor's.

    def process_time(self) -> float:
        return _process_time() if here.machine is None else 0.0

    def process_time_ns(self) -> int:
        return _process_time_ns() if here.machine is None else 0

    def thread_time(self) -> float:
        return _thread_time() if here.machine is None else 0.0

    def thread_time_ns(self) -> int:
        return _thread_time_ns() if here.machine is None else 0

    def clock_gettime(self, clk_id: int, /) -> float:
        machine = here.machine
        return _clock_gettime(clk_id) if machine is None else _read(machine, clk_id) / SECOND

    def clock_gettime_ns(self, clk_id: int, /) -> int:
        machine = here.machine
        return _clock_gettime_ns(clk_id) if machine is None else _read(machine, clk_id)

    def clock_settime(self, clk_id: int, time: float, /) -> None:
        machine = here.machine
        if machine is None:
            _clock_settime(clk_id, time)
        else:
            _set(machine, clk_id, round(time * SECOND))

    def clock_settime_ns(self, clk_id: int, time: int, /) -> None:
        machine = here.machine
        if machine is None:
            _clock_settime_ns(clk_id, time)
        else:
            _set(machine, clk_id, time)

    # Dates are of the time zone of the process: a host has none of its own.

    def localtime(self, seconds: float | None = None, /) -> struct_time:
        return _localtime(_or_now(seconds))

    def gmtime(self, seconds: float | None = None, /) -> struct_time:
        return _gmtime(_or_now(seconds))

    def ctime(self, seconds: float | None = None, /) -> str:
        return _ctime(_or_now(seconds))

    def asctime(self, *moment: struct_time) -> str:
        return _asctime(*(moment or (_localtime(_or_now(None)),)))

    def strftime(self, form: str, *moment: struct_time) -> str:
        return _strftime(form, *(moment or (_localtime(_or_now(None)),)))

    def sleep(self, seconds: float, /) -> None:
        """Let the world's time pass, in blocking code. Raises: Escape on a host's loop, unless it is for no time."""
        machine = here.machine
        if machine is None:
            _sleep(seconds)
            return
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if threads.is_thread():
            threads.sleep(seconds)
        elif seconds:
            raise Escape(
                machine.name,
                f"time.sleep({seconds!r}) on the loop",
                "await asyncio.sleep, or run it with host.run_blocking, where time.sleep lets the world's time pass",
            )


def _or_now(seconds: float | None) -> float | None:
    """Return the second it is on the host for None; outside, None stays None."""
    machine = here.machine
    return seconds if seconds is not None or machine is None else machine.clock.wall_ns() // SECOND


def _read(machine: Machine, clk_id: int) -> int:
    if clk_id in WALL:
        return machine.clock.wall_ns()
    if clk_id in SINCE_BOOT:
        return machine.clock.monotonic_ns()
    if clk_id in {time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID}:
        return 0
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _set(machine: Machine, clk_id: int, wall_ns: int) -> None:
    """Put the host's wall clock right, or wrong: its programs may, as those of root."""
    if clk_id != time.CLOCK_REALTIME:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    machine.clock.offset_ns += wall_ns - machine.clock.wall_ns()


clocks: Final = Clocks()


def replacements() -> Iterator[Replacement]:
    """Yield what takes the place of the functions of ``time``."""
    yield from clocks.replacing(time, *(name for name in vars(Clocks) if not name.startswith("_")))
