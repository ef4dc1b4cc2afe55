"""How durations, sizes, rates, counts and switches are typed and shown: in options, files and messages alike."""

from __future__ import annotations

import math
import re
from typing import Final

from portside.errors import UsageError

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)
_SECONDS_IN: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
DURATION_S_MAX: Final = 36_500 * 86_400.0  # a century: timers overflow somewhere, and nobody means more

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_BYTES_IN: Final = {
    "b": 1,
    **{f"{prefix}b": 1_000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1_024**power for power, prefix in enumerate("kmgt", 1)},
}
SIZE_BYTES_MAX: Final = 2**53  # an exact float, and more than any machine has

_RATE: Final = re.compile(r"(\d+(?:_\d{3})*(?:\.\d+)?)\s*(?:/\s*s)?", re.ASCII)

_SWITCHES: Final = {
    **dict.fromkeys(("on", "1", "true", "yes"), True),
    **dict.fromkeys(("off", "0", "false", "no"), False),
}


def parse_duration(text: str) -> float:
    """Return the seconds in ``500ms``, ``1s``, ``5m``, ``1h`` or ``1d``; a bare number is seconds.

    Raises: UsageError.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a duration: write 500ms, 1s, 5m, 1h or 1d")
    seconds = float(match[1]) * _SECONDS_IN[match[2] or "s"]
    if seconds > DURATION_S_MAX:
        raise UsageError(f"{text!r} is too long: a duration is at most 36500d")
    return seconds


def parse_size(text: str) -> int:
    """Return the bytes in ``64KiB`` (1,024 each) or ``10MB`` (1,000,000 each); a bare number is bytes.

    Raises: UsageError.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size: write 4096, 64KiB or 10MB")
    unit = match[2].lower() or "b"
    if unit not in _BYTES_IN:
        hint = f"did you mean {match[1]}{unit.upper()}iB?" if unit in {"k", "m", "g", "t"} else "write 64KiB or 10MB"
        raise UsageError(f"{text!r} is not a size: there is no unit {match[2]!r}; {hint}")
    size = float(match[1]) * _BYTES_IN[unit]
    if size > SIZE_BYTES_MAX:
        raise UsageError(f"{text!r} is too large: a size is at most {SIZE_BYTES_MAX} bytes")
    if size != int(size):
        raise UsageError(f"{text!r} is not a whole number of bytes")
    return int(size)


def parse_rate(text: str) -> float:
    """Return how many a second: ``500``, ``500/s`` or ``0.5``. Raises: UsageError."""
    match = _RATE.fullmatch(text.strip())
    if match is None or not math.isfinite(float(match[1])):
        raise UsageError(f"{text!r} is not a rate: write how many a second, such as 500")
    return float(match[1])


def parse_size_rate(text: str) -> float:
    """Return the bytes a second in ``64KiB`` or ``10MB/s``. Raises: UsageError."""
    return float(parse_size(text.strip().removesuffix("/s")))


def parse_count(text: str) -> int:
    """Return a whole number; ``10_000`` may be written so. Raises: UsageError."""
    if not re.fullmatch(r"\d{1,15}(_\d{3})*", text.strip(), re.ASCII):
        raise UsageError(f"{text!r} is not a whole number")
    return int(text)


def parse_switch(text: str) -> bool:
    """Return whether ``on`` or ``off`` (1 0, true false, yes no) was said. Raises: UsageError."""
    if text.strip().lower() not in _SWITCHES:
        raise UsageError(f"{text!r} is neither on nor off")
    return _SWITCHES[text.strip().lower()]


def show_duration(seconds: float) -> str:
    """Return the shortest exact way to type it: ``1d``, ``90s``, ``500ms``."""
    for unit, least in (("d", 1), ("h", 1), ("m", 2), ("s", 1)):  # 60s reads better than 1m
        count = seconds / _SECONDS_IN[unit]
        if count >= least and count == int(count):
            return f"{int(count)}{unit}"
    return f"{seconds * 1_000:g}ms" if 0 < seconds < 1 else f"{_decimal(seconds)}s"


def _decimal(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def show_size(size_bytes: float) -> str:
    """Return the shortest exact way to type it: ``64KiB``, ``10MB``, ``1500``."""
    count = int(size_bytes)
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"):
        factor = _BYTES_IN[unit.lower()]
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)


def size_in_words(size_bytes: int) -> str:
    """Return the size as people say it, to two digits or three: ``17 B``, ``1.2 MB``."""
    if size_bytes < 1_000:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1_000
        if size < 999.5 or unit == "TB":
            break
    return f"{size:.1f} {unit}" if size < 9.95 else f"{size:.0f} {unit}"


def show_count(count: int) -> str:
    """Return the number with commas between the thousands."""
    return f"{count:,}"


def show_switch(on: bool) -> str:
    """Return ``on`` or ``off``."""
    return "on" if on else "off"


def show_rate(rate: float) -> str:
    """Return how many a second, as ``500/s``."""
    return f"{rate:,.3f}".rstrip("0").rstrip(".") + "/s"
