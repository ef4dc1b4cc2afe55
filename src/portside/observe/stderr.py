"""Standard error as several processes share it: whole records, and never a wait for whoever reads them."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable
from time import monotonic
from typing import Final

PATIENCE_MS: Final = 100  # how long a reader who has just stopped reading is waited for …
WAITING_SHARE: Final = 0.1  # … and how much of its time a process may wait so: a slow reader must not slow us down


class Stderr:
    """Writes each record with one ``write()``, so that those of several processes do not mix.

    A reader that does not read, a full disk or a closed descriptor costs the record and nothing else: it is counted
    in ``lost``. A pipe or terminal is opened anew, so that only our own writes do not wait; the descriptor that we
    inherited is shared with other processes, and its flags are theirs as well.
    """

    # No lock: the kernel keeps writes apart, and one held by another thread at a fork would never open again.

    def __init__(self, fd: int = 2, clock: Callable[[], float] = monotonic) -> None:
        self._inherited_fd = fd
        self._clock = clock
        self._fd = _reopened(fd)
        self._is_cut = False  # the last record stands without its end
        self._patient_from_s = 0.0  # when the next wait is allowed
        self.lost = 0

    @property
    def is_terminal(self) -> bool:
        return os.isatty(self._inherited_fd)

    def write(self, record: bytes) -> bool:
        """Write one record, which ends in a newline. Returns whether it was written whole."""
        if self._is_cut:
            record = b"\n" + record
        written = self._write_some(record)
        if written < len(record) and self._wait():
            written += self._write_some(record[written:])
        is_whole = written == len(record)
        if written:
            self._is_cut = not is_whole
        self.lost += not is_whole
        return is_whole

    def _wait(self) -> bool:
        """Wait a little for room, if we have not done so too much of late. Returns whether there is room."""
        begin_s = self._clock()
        if begin_s < self._patient_from_s:
            return False
        is_writable = _writable(self._fd, PATIENCE_MS)
        end_s = self._clock()
        self._patient_from_s = end_s + (end_s - begin_s) / WAITING_SHARE
        return is_writable

    def _write_some(self, data: bytes) -> int:
        try:
            # A socket cannot be opened anew, nor anything without /proc: there, asking first is the next best.
            if self._fd == self._inherited_fd and not _writable(self._fd, 0):
                return 0
            return os.write(self._fd, data)
        except (OSError, ValueError):
            return 0

    def close(self) -> None:
        """Close what was opened; the inherited descriptor stays."""
        if self._fd != self._inherited_fd:
            os.close(self._fd)


def _reopened(fd: int) -> int:
    """Return a descriptor for the same pipe or terminal that does not block, or ``fd`` where that cannot be."""
    try:
        mode = os.fstat(fd).st_mode
        # A file keeps its position in the open description: opened anew, it would be overwritten from its start.
        if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            return fd
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return fd


def _writable(fd: int, timeout_ms: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(events & (select.POLLOUT | select.POLLERR) for _, events in poll.poll(timeout_ms))
