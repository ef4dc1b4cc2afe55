"""``datetime.now`` and ``utcnow`` as hosts see them. Both ``today`` ask ``time.time``, which is replaced."""

from __future__ import annotations

import sys
import warnings
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from portside.sim.clock import SECOND
from portside.sim.environment.replacing import replace_in_builtin_type
from portside.sim.here import Machine, here

MICROSECOND_NS: Final = 1_000

# Descriptors, to be bound to whatever subclass is asked, as the C code makes an instance of that.
_now: Final[Any] = vars(datetime)["now"]
_utcnow: Final[Any] = vars(datetime)["utcnow"]
_fromtimestamp: Final[Any] = vars(datetime)["fromtimestamp"]


def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
    """Return the host's time, in the zone of the process or in ``tz``."""
    machine = here.machine
    if machine is None:
        real: datetime = _now.__get__(None, cls)(tz)
        return real
    return _on(machine, cls, tz)


def utcnow(cls: type[datetime]) -> datetime:
    """Return the host's time in UTC, as a datetime without zone."""
    machine = here.machine
    if machine is None:
        real: datetime = _utcnow.__get__(None, cls)()
        return real
    if sys.version_info >= (3, 12):
        warnings.warn(
            "datetime.datetime.utcnow() is deprecated and scheduled for removal in a future version. Use "
            "timezone-aware objects to represent datetimes in UTC: datetime.datetime.now(datetime.UTC).",
            DeprecationWarning,
            stacklevel=2,
        )
    return _on(machine, cls, UTC).replace(tzinfo=None)


def _on(machine: Machine, cls: type[datetime], tz: tzinfo | None) -> datetime:
    """Return the host's time down to the microsecond it is in: the C code rounds down, too."""
    seconds, nanoseconds = divmod(machine.clock.wall_ns(), SECOND)
    second: datetime = _fromtimestamp.__get__(None, cls)(seconds, tz)
    return second.replace(microsecond=nanoseconds // MICROSECOND_NS)


def install() -> None:
    """Put these into the type itself."""
    replace_in_builtin_type(datetime, "now", classmethod(now))
    replace_in_builtin_type(datetime, "utcnow", classmethod(utcnow))
