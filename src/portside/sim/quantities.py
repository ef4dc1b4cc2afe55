"""How links are described: ``10Mbit/s``, ``20ms``, ``2%``. Numbers are seconds, bits per second and fractions."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from portside.errors import UsageError
from portside.sim.clock import SECOND

_NUMBER: Final = re.compile(r"\s*(\d+(?:_\d{3})*(?:\.\d+)?)\s*([A-Za-zµ/%]*)\s*")
_DURATIONS: Final[dict[str, int]] = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "": SECOND,
    "s": SECOND,
    "min": 60 * SECOND,
    "m": 60 * SECOND,
    "h": 3_600 * SECOND,
    "d": 86_400 * SECOND,
}
_BITS: Final[dict[str, int]] = {
    "": 1,
    **{f"{prefix}bit": 1_000**power for power, prefix in enumerate(("", "k", "m", "g", "t"))},
    **{f"{prefix}bps": 1_000**power for power, prefix in enumerate(("", "k", "m", "g", "t"))},
}
_BYTES: Final[dict[str, int]] = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1_000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1_024**power for power, prefix in enumerate("kmgt", 1)},
}


def _parts(text: str, what: str, example: str) -> tuple[Decimal, str]:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not {what}: write {example}")
    return Decimal(match[1].replace("_", "")), match[2]


def duration_ns(value: str | float) -> int:
    """Return the nanoseconds in ``250us``, ``20ms``, ``1.5s``, ``2min`` or ``1h``; a number is seconds.

    Raises: UsageError.
    """
    if not isinstance(value, str):
        return round(value * SECOND)
    number, unit = _parts(value, "a duration", "250us, 20ms, 1.5s, 2min or 1h")
    if unit not in _DURATIONS:
        raise UsageError(f"{value!r} is not a duration: there is no unit {unit!r}; write 250us, 20ms, 1.5s, 2min or 1h")
    return round(number * _DURATIONS[unit])


def bit_rate(value: str | float | None) -> int | None:
    """Return the bits per second in ``10Mbit/s`` or ``64kbit/s``; None, no limit, stays so. Raises: UsageError."""
    if value is None:
        return None
    if not isinstance(value, str):
        return round(value)
    number, unit = _parts(value, "a rate", "64kbit/s, 10Mbit/s or 1Gbit/s")
    factor = _BITS.get(unit.lower().removesuffix("/s"))
    if factor is None:
        hint = " (a byte has 8 bits)" if "B" in unit else ""
        raise UsageError(f"{value!r} is not a rate: write 64kbit/s, 10Mbit/s or 1Gbit/s{hint}")
    rate = round(number * factor)
    if rate <= 0:
        raise UsageError(f"{value!r}: a line that carries nothing is one that is down")
    return rate


def fraction(value: str | float) -> float:
    """Return the probability in ``2%`` or ``0.02``. Raises: UsageError."""
    if isinstance(value, str):
        number, unit = _parts(value, "a probability", "2% or 0.02")
        if unit not in {"", "%"}:
            raise UsageError(f"{value!r} is not a probability: write 2% or 0.02")
        value = float(number / 100 if unit else number)
    if not 0 <= value <= 1:
        raise UsageError(f"{value!r}: a probability is between 0 and 1, or 0% and 100%")
    return float(value)


def byte_count(value: str | int) -> int:
    """Return the bytes in ``64KiB`` or ``100kB``. Raises: UsageError."""
    if not isinstance(value, str):
        return value
    number, unit = _parts(value, "a size", "64KiB or 100kB")
    if unit.lower() not in _BYTES:
        raise UsageError(f"{value!r} is not a size: write 64KiB or 100kB")
    return round(number * _BYTES[unit.lower()])
