"""How far transfers have come, for who watches a terminal: rich's bars where rich is installed, else one plain line.

Nothing is shown where standard error is no terminal. What is said meanwhile goes through ``say``, so that it does not
land in the middle of a bar.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import IO, Any, Final, Protocol

from portside.cli.output import harmless, width_of

RATE_WINDOW_S: Final = 5.0  # the rate shown is that of the last seconds
STEP_S: Final = 0.1  # a terminal is written to at most so often

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class Bar(Protocol):
    """One transfer on show."""

    def move(self, moved_bytes: int) -> None:
        """Say how many bytes have moved so far, those that were there before not counted."""

    def end(self) -> None:
        """Take it off."""


class Progress(Protocol):
    """All transfers on show."""

    def begin(self, label: str, total_bytes: int | None, done_bytes: int = 0) -> Bar:
        """Show one more, of which ``done_bytes`` were there before; the total may not be known."""

    def say(self, sentence: str) -> None:
        """Print a line on standard error."""

    def close(self) -> None: ...


def open_progress() -> Progress:
    """Return what this terminal can show; nothing where there is none."""
    stream = sys.stderr
    if stream is None or not stream.isatty() or os.environ.get("TERM") == "dumb":
        return Silent(stream)
    try:
        import rich.progress  # noqa: F401
    except ImportError:
        return Plain(stream)
    return Rich(stream)


# ── nothing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _NoBar:
    def move(self, moved_bytes: int) -> None:
        pass

    def end(self) -> None:
        pass


class Silent:
    """Shows nothing, and says what must be said."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream

    def begin(self, label: str, total_bytes: int | None, done_bytes: int = 0) -> Bar:
        return _NoBar()

    def say(self, sentence: str) -> None:
        if self._stream is not None:
            self._stream.write(f"{harmless(sentence)}\n")
            self._stream.flush()

    def close(self) -> None:
        pass


# ── a plain line ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Plain:
    """One line for all transfers, written over itself."""

    def __init__(
        self, stream: IO[str], *, now_s: Callable[[], float] = monotonic, columns: Callable[[], int] | None = None
    ) -> None:
        self._stream = stream
        self._now_s = now_s
        self._columns = _terminal_columns if columns is None else columns
        self._bars: list[_PlainBar] = []
        self._done_bytes = 0  # of the transfers that are over
        self._samples: deque[tuple[float, int]] = deque()
        self._shown_s = -STEP_S
        self._width = 0

    def begin(self, label: str, total_bytes: int | None, done_bytes: int = 0) -> Bar:
        bar = _PlainBar(self, label, total_bytes, done_bytes)
        self._bars.append(bar)
        self.show()
        return bar

    def end(self, bar: _PlainBar) -> None:
        self._bars.remove(bar)
        self._done_bytes += bar.moved_bytes
        self._erase()

    def show(self) -> None:
        """Write the line anew, unless it has just been written."""
        now_s = self._now_s()
        self._samples.append((now_s, self._done_bytes + sum(bar.moved_bytes for bar in self._bars)))
        while now_s - self._samples[0][0] > RATE_WINDOW_S and len(self._samples) > 2:
            self._samples.popleft()
        if now_s - self._shown_s < STEP_S or not self._bars:
            return
        self._shown_s = now_s
        line = _cut(line_of(self._label, self._have_bytes, self._total_bytes, self.rate), self._columns() - 1)
        blank = " " * max(0, self._width - width_of(line))
        self._stream.write(f"\r{line}{blank}")
        self._stream.flush()
        self._width = width_of(line)

    @property
    def rate(self) -> float:
        """Bytes a second, over the last seconds."""
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0

    @property
    def _label(self) -> str:
        return self._bars[0].label if len(self._bars) == 1 else f"{len(self._bars)} files"

    @property
    def _have_bytes(self) -> int:
        return sum(bar.before_bytes + bar.moved_bytes for bar in self._bars)

    @property
    def _total_bytes(self) -> int | None:
        totals = [bar.total_bytes for bar in self._bars]
        return None if None in totals else sum(total for total in totals if total is not None)

    def say(self, sentence: str) -> None:
        self._erase()
        self._stream.write(f"{harmless(sentence)}\n")
        self._stream.flush()

    def close(self) -> None:
        self._erase()

    def _erase(self) -> None:
        if self._width:
            self._stream.write(f"\r{' ' * self._width}\r")
            self._stream.flush()
            self._width = 0


class _PlainBar:
    def __init__(self, line: Plain, label: str, total_bytes: int | None, before_bytes: int) -> None:
        self._line = line
        self.label = label
        self.total_bytes = total_bytes
        self.before_bytes = before_bytes
        self.moved_bytes = 0

    def move(self, moved_bytes: int) -> None:
        self.moved_bytes = moved_bytes
        self._line.show()

    def end(self) -> None:
        self._line.end(self)


def line_of(label: str, have_bytes: int, total_bytes: int | None, rate: float) -> str:
    """Return ``LABEL  45%  12.3 MB of 27.1 MB  4.5 MB/s  0:03 left``, without what is not known."""
    parts = [harmless(label)]
    if total_bytes:
        parts.append(f"{min(have_bytes, total_bytes) * 100 // total_bytes:3d}%")
    parts.append(size_text(have_bytes) + (f" of {size_text(total_bytes)}" if total_bytes is not None else ""))
    if rate > 0:
        parts.append(f"{size_text(int(rate))}/s")
        if total_bytes is not None:
            parts.append(f"{clock_text(max(0, total_bytes - have_bytes) / rate)} left")
    return "  ".join(parts)


def size_text(size_bytes: int) -> str:
    """Return a size for people: ``999 B``, ``12.3 MB``."""
    size, unit = float(size_bytes), 0
    while size >= 999.95 and unit + 1 < len(_UNITS):
        size, unit = size / 1_000, unit + 1
    return f"{size_bytes} B" if not unit else f"{size:.1f} {_UNITS[unit]}"


def clock_text(seconds: float) -> str:
    """Return a duration for people: ``0:03``, ``1:02:03``; a hundred hours are the most that anybody believes."""
    whole = min(int(seconds + 0.5), 359_999)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _terminal_columns() -> int:
    try:
        return os.get_terminal_size(2).columns
    except OSError:
        return 80


def _cut(line: str, columns: int) -> str:
    """Return as much of the line as fits; its end says more than the label before it."""
    while line and width_of(line) > columns:
        line = line[1:]
    return line


# ── rich ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Rich:
    """A bar for each transfer."""

    def __init__(self, stream: IO[str]) -> None:
        from rich import progress
        from rich.console import Console
        from rich.text import Text

        self._text = Text
        self._progress = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(file=stream),
            transient=True,
        )
        self._is_started = False

    def begin(self, label: str, total_bytes: int | None, done_bytes: int = 0) -> Bar:
        if not self._is_started:
            self._is_started = True
            self._progress.start()
        task = self._progress.add_task(harmless(label), total=total_bytes, completed=done_bytes)
        return _RichBar(self._progress, task, done_bytes)

    def say(self, sentence: str) -> None:
        self._progress.console.print(self._text(harmless(sentence)), soft_wrap=True)

    def close(self) -> None:
        if self._is_started:
            self._progress.stop()


class _RichBar:
    def __init__(self, progress: Any, task: Any, before_bytes: int) -> None:
        self._progress = progress
        self._task = task
        self._before_bytes = before_bytes

    def move(self, moved_bytes: int) -> None:
        self._progress.update(self._task, completed=self._before_bytes + moved_bytes)

    def end(self) -> None:
        self._progress.remove_task(self._task)
