"""What a battery may be told: its options, the kinds of their values, and how a value is read.

A value comes as text, from the command line, or as TOML has it, from a file.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from portside.errors import UsageError
from portside.units import parse_count, parse_duration, parse_rate, parse_size, parse_size_rate, parse_switch


@dataclass(frozen=True, slots=True)
class Kind:
    """What sort of value an option takes. ``sentence`` is how a mistake calls it, ``metavar`` how help shows it.

    ``takes`` are the types that TOML gives beside text; a number is read as if it had been typed.
    """

    sentence: str
    metavar: str
    parse: Callable[[str], object]
    takes: tuple[type, ...] = ()
    is_switch: bool = False


def _text(text: str) -> str:
    if not text or "\0" in text:
        raise UsageError("the value is empty" if not text else f"{text!r} holds a NUL")
    return text


TEXT: Final = Kind("text", "TEXT", _text)
PATH: Final = Kind("a path", "PATH", _text)
NUMBER: Final = Kind("a whole number", "NUMBER", parse_count, (int,))
SWITCH: Final = Kind("on or off (true or false)", "", parse_switch, (bool,), is_switch=True)
DURATION: Final = Kind("a duration", "TIME", parse_duration, (int, float))
SIZE: Final = Kind("a size", "SIZE", parse_size, (int,))
RATE: Final = Kind("a rate", "RATE", parse_rate, (int, float))
SIZE_RATE: Final = Kind("a rate in bytes", "SIZE", parse_size_rate, (int,))


def choice(*words: str) -> Kind:
    """Return the kind of an option that takes one of the words."""

    def parse(text: str) -> str:
        if text not in words:
            raise UsageError(f"{text!r} is none of {', '.join(words)}")
        return text

    return Kind(f"one of {', '.join(words)}", "|".join(words), parse)


@dataclass(frozen=True, slots=True)
class BatteryOption:
    """One thing a battery may be told, as an option, as ``NAME=VALUE`` on the command line or as a key in the file.

    ``name`` is that of the factory's parameter and of the key; the option has dashes. A ``positional`` option may be
    given without its name, in the order of the table. One that ``repeats`` takes several values, as a tuple.
    ``default_text`` is shown where the default depends on something.
    """

    name: str
    kind: Kind
    default: str | float | bool | tuple[str, ...] | None
    sentence: str
    positional: bool = False
    repeats: bool = False
    default_text: str | None = None

    @property
    def option(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """The environment variable that says it to ``portside serve``; a list comes by comma."""
        return f"PORTSIDE_{self.name.upper()}"

    @property
    def default_shown(self) -> str:
        if self.default_text is not None:
            return self.default_text
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        return "none" if self.default in (None, ()) else str(self.default)


def read_value(battery: str, option: BatteryOption, value: object) -> object:
    """Return the value as the option's kind has it; a tuple where it repeats. Raises: UsageError."""
    if option.repeats:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_read_one(battery, option, item) for item in items)
    if value is None and option.default is None:
        return None
    return _read_one(battery, option, value)


def _read_one(battery: str, option: BatteryOption, value: object) -> object:
    kind, of = option.kind, f"{option.name} of the battery {battery}"
    text = _as_text(kind, value)
    if text is None:
        raise UsageError(f"{of} is {kind.sentence}, not {value!r}")
    try:
        return kind.parse(text)
    except UsageError as error:
        raise UsageError(f"{of}: {error}") from error


def _as_text(kind: Kind, value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return ("on" if value else "off") if kind.is_switch else None
        case int() | float() if isinstance(value, kind.takes):
            return str(value) if isinstance(value, int) else f"{value:.9f}".rstrip("0").rstrip(".")
    return None


def nearest(word: str, known: Mapping[str, object] | Sequence[str]) -> str:
    """Return what to say after an unknown word: the nearest right one, or else what there is."""
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
