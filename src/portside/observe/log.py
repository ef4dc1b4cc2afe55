"""The log: one structured record for each connection, each failing handler, and each limit that turned peers away.

Records go to standard error, as JSON lines for programs or aligned for people. Python's own ``logging`` ends there
too, so that a handler's records and ours stand in one order and one form. The keys are in ``docs/reference.md``.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from portside import events
from portside.address import Address, InternetAddress
from portside.observe.forms import Form, json_form, pretty_form
from portside.observe.stderr import Stderr

Later: TypeAlias = Callable[[float, Callable[[], None]], None]

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}  # as in logging
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_BELOW_HANDLERS: Final = tuple(os.path.join(_PACKAGE, room, "") for room in ("net", "serve"))  # who calls them

SUMMARY_S: Final = 5.0  # a limit that goes on turning peers away is told this often, with how many they were


# ── what is recorded ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Turned:
    """Peers turned away at one limit of one service since it was last told."""

    count: int = 0
    peer: Address | None = None  # the last of them
    is_timed: bool = False


class Log:
    """A listener to events that makes records of them, and hands those of its level to ``write``."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        form: Form,
        *,
        level: str = "info",
        later: Later | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._write = write
        self._form = form
        self._level = LEVELS[level]
        self._later = later or _in_a_thread
        self._now = now
        self._turned: dict[tuple[str, events.Limit], _Turned] = {}
        self._acts: dict[type[events.Event], Callable[[Any], None]] = {events.HandlerFailed: self._handler_failed}
        if self._level <= LEVELS["warning"]:
            self._acts[events.LimitHit] = self._limit_hit
            self._acts[events.LoginTried] = self._login_tried
        if self._level <= LEVELS["info"]:
            self._acts[events.ConnectionClosed] = self._connection_closed
            self._acts[events.FileActed] = self._file_acted
        if self._level <= LEVELS["debug"]:
            self._acts[events.ConnectionOpened] = self._connection_opened
            self._acts[events.Spoke] = self._spoke

    @property
    def kinds(self) -> tuple[type[events.Event], ...]:
        """The events that make a record at this level; nobody need make the others."""
        return tuple(self._acts)

    def __call__(self, event: events.Event) -> None:
        act = self._acts.get(type(event))
        if act is not None:
            act(event)

    def put(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Write a record if its level is wanted."""
        if LEVELS[level] < self._level:
            return
        self._write(self._form({"time": self._now(), "level": level, "event": event, **fields}))

    def _connection_closed(self, event: events.ConnectionClosed) -> None:
        self.put(
            "info",
            "connection",
            {
                "service": event.service,
                "connection": event.connection,
                "peer": address_fields(event.peer),
                "local": address_fields(event.local),
                "bytes_in": event.bytes_in,
                "bytes_out": event.bytes_out,
                "duration_s": round(event.duration_s, 6),
                "ended": event.reason,
                "detail": event.detail,
            },
        )

    def _connection_opened(self, event: events.ConnectionOpened) -> None:
        self.put(
            "debug",
            "opened",
            {
                "service": event.service,
                "connection": event.connection,
                "peer": address_fields(event.peer),
                "local": address_fields(event.local),
            },
        )

    def _spoke(self, event: events.Spoke) -> None:
        self.put(
            "debug",
            "spoke",
            {
                "service": event.service,
                "connection": event.connection,
                "direction": event.direction,
                "lane": event.lane or None,
                "words": event.words,
                "bytes": event.size_bytes,
            },
        )

    def _login_tried(self, event: events.LoginTried) -> None:
        self.put(
            "info" if event.refused is None else "warning",
            "login",
            {
                "service": event.service,
                "connection": event.connection,
                "peer": address_fields(event.peer),
                "user": event.user,
                "refused": event.refused,
            },
        )

    def _file_acted(self, event: events.FileActed) -> None:
        self.put(
            "info",
            "file",
            {
                "service": event.service,
                "connection": event.connection,
                "peer": address_fields(event.peer),
                "user": event.user,
                "act": event.act,
                "path": event.path,
                "target": event.target,
                "bytes": event.size_bytes,
                "duration_s": None if event.duration_s is None else round(event.duration_s, 6),
                "digest": event.digest,
                "failed": event.failed,
            },
        )

    def _handler_failed(self, event: events.HandlerFailed) -> None:
        self.put(
            "error",
            "handler_failed",
            {
                "service": event.service,
                "connection": event.connection,
                "peer": address_fields(event.peer),
                "error": error_text(event.error),
                "traceback": traceback_of(event.error),
            },
        )

    def _limit_hit(self, event: events.LimitHit) -> None:
        """Tell of the first peer at once, and of those after it in sums: a flood must not flood the log."""
        # Without a lock, which a fork could inherit closed: in a race a sum may miss one. The ledger counts exactly.
        key = (event.service, event.limit)
        turned = self._turned.get(key)
        if turned is not None:
            turned.count += 1
            turned.peer = event.peer
            if not turned.is_timed:
                self._sum_up_later(key, turned)
            return
        self._turned[key] = turned = _Turned()
        self._tell_of_limit(key, event.peer, 1)
        self._sum_up_later(key, turned)

    def _sum_up_later(self, key: tuple[str, events.Limit], turned: _Turned) -> None:
        try:
            self._later(SUMMARY_S, lambda: self._sum_up(key))
            turned.is_timed = True
        except RuntimeError:  # no thread to be had, which is when limits are hit: the next peer's turn tries again
            turned.is_timed = False

    def _sum_up(self, key: tuple[str, events.Limit]) -> None:
        turned = self._turned.pop(key, None)
        if turned is None or turned.peer is None:
            return
        self._turned[key] = next_turned = _Turned()
        self._tell_of_limit(key, turned.peer, turned.count)
        self._sum_up_later(key, next_turned)

    def _tell_of_limit(self, key: tuple[str, events.Limit], peer: Address, count: int) -> None:
        service, limit = key
        self.put("warning", "limit", {"service": service, "limit": limit, "peer": address_fields(peer), "count": count})

    def flush(self) -> None:
        """Tell what was only counted so far: the process ends."""
        for key in list(self._turned):
            turned = self._turned.pop(key, None)
            if turned is not None and turned.peer is not None:
                self._tell_of_limit(key, turned.peer, turned.count)


class LogHandler(logging.Handler):
    """Brings the records of Python's ``logging`` into the log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            failure = record.exc_info[1] if record.exc_info else None
            self._log.put(
                _level_name(record.levelno),
                "log",
                {
                    "logger": record.name,
                    "message": record.getMessage(),
                    "traceback": traceback_of(failure) if failure is not None else None,
                },
            )
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Tell what was only counted so far: whoever ends the process flushes the handlers of its log."""
        self._log.flush()


def _level_name(number: int) -> str:
    return next((name for name, level in reversed(LEVELS.items()) if number >= level), "debug")


def _in_a_thread(delay_s: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(delay_s, act)
    timer.daemon = True
    timer.start()


def address_fields(address: Address) -> dict[str, str | int]:
    """Return the address as records have it."""
    if isinstance(address, InternetAddress):
        return {"host": address.host, "port": address.port}
    return {"path": address.path}


def error_text(error: BaseException) -> str:
    """Return the kind of the error and its sentence; it is a stranger's, so even asking for that may fail."""
    try:
        sentence = str(error)
    except Exception:
        sentence = "(its text cannot be had)"
    return f"{type(error).__name__}: {sentence}" if sentence else type(error).__name__


def traceback_of(error: BaseException) -> str:
    """Return the traceback of the error and of its causes, without the steps of ours that led to the handler."""
    import traceback

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_BELOW_HANDLERS):
        trace = trace.tb_next
    try:
        lines = traceback.format_exception(type(error), error, trace or error.__traceback__)
        return "".join(lines).rstrip("\n")
    except Exception:
        return error_text(error)


# ── beginning ────────────────────────────────────────────────────────────────────────────────────────────────────────

_end_current: Callable[[], None] | None = None


def _wants_colours() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def start(log_format: str | None, log_level: str, stderr: Stderr | None = None) -> Callable[[], None]:
    """Write the log to standard error from now on, instead of whatever an earlier call began. Returns what ends it.

    ``log_format`` is pretty, json or None: pretty on a terminal, JSON otherwise. Processes forked later go on with it.
    """
    global _end_current
    if _end_current is not None:
        _end_current()
    stderr = stderr or Stderr()
    if (log_format or ("pretty" if stderr.is_terminal else "json")) == "pretty":
        form = pretty_form(colours=stderr.is_terminal and _wants_colours())
    else:
        form = json_form()
    log = Log(stderr.write, form, level=log_level)
    unsubscribe = events.subscribe(log, *log.kinds)
    root, handler = logging.getLogger(), LogHandler(log)
    level_before = root.level
    root.addHandler(handler)
    root.setLevel(LEVELS[log_level])

    def end() -> None:
        global _end_current
        unsubscribe()
        log.flush()
        root.removeHandler(handler)
        root.setLevel(level_before)
        stderr.close()
        _end_current = None

    _end_current = end
    return end
