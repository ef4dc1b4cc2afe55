"""Signals as bytes to read: nothing is done in the middle of anything else, and none is lost in a race with a fork."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

HEARD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SignalInbox:
    """The signals that came since the last look. ``fileno`` is readable when there are any."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # The interpreter writes each signal's number there; a full pipe has woken us anyway.
        self._old_wakeup_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, _heard) for number in HEARD}

    def fileno(self) -> int:
        return self._read_fd

    def take(self) -> list[signal.Signals]:
        """Return the signals that came, in their order, children's deaths perhaps once for several."""
        try:
            return [signal.Signals(number) for number in os.read(self._read_fd, 4_096)]
        except BlockingIOError:
            return []

    def close(self, *, for_good: bool = False) -> None:
        """Restore what was before. ``for_good``: the process ends now, and who tells it so once more kills nobody."""
        for number, handler in self._old_handlers.items():
            signal.signal(number, signal.SIG_IGN if for_good and number in ENDING else handler)
        signal.set_wakeup_fd(self._old_wakeup_fd)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def forget_in_child(self) -> None:
        """In a forked child: a worker is told by its channel; a terminal's interrupt goes to the whole group."""
        os.close(self._read_fd)
        os.close(self._write_fd)
        restore_defaults()


def restore_defaults() -> None:
    """In a forked child: hear only what is meant for it. A terminal's interrupt goes to the whole group."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def wake_through(write_fd: int) -> None:
    """Have every signal, deaths of children among them, write a byte to the pipe."""
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _heard)


def _heard(number: int, frame: object) -> None:
    """The number has been written to the inbox already."""


@contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back around a fork: a child that still shares the inbox would write its own into it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """In a child forked while signals were held back, once it has handlers of its own."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
