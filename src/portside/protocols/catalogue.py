"""Which batteries there are, what each may be told, and how to make one: names become handlers here.

Listing and describing read the table below and import nothing, so that ``--help`` and ``check`` stay fast; a
battery's module is imported when the battery is made.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from portside.contracts import Battery
from portside.errors import UsageError

Kind: TypeAlias = Literal["text", "path", "number", "switch"]

_KIND_SENTENCES: Final[dict[Kind, str]] = {
    "text": "text",
    "path": "a path",
    "number": "a whole number",
    "switch": "on or off (true or false)",
}
_SWITCHES: Final = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}


@dataclass(frozen=True, slots=True)
class BatteryOption:
    """One thing a battery may be told, as ``NAME=VALUE`` on the command line or a key in the file.

    ``kind`` says which values it takes; ``text`` and ``path`` become str, ``number`` int, ``switch`` bool. A
    ``positional`` option may be given without its name, in the order of the table.
    """

    name: str
    kind: Kind
    default: str | int | bool | None
    sentence: str
    positional: bool = False


@dataclass(frozen=True, slots=True)
class BatterySpec:
    """What is known of a battery without importing it.

    ``port`` is the one its RFC gives. ``datagram`` says whether it also answers over UDP. ``given`` names the
    arguments that nobody types: values of the running server, which its caller passes to ``load`` where it has them.
    """

    name: str
    sentence: str
    port: int
    options: tuple[BatteryOption, ...] = ()
    datagram: bool = False
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    spec: BatterySpec
    module: str
    factory: str


_SMALL: Final = "portside.protocols.small"

_TABLE: Final[tuple[_Entry, ...]] = (
    _Entry(
        BatterySpec("echo", "send back whatever comes (RFC 862)", 7, datagram=True),
        _SMALL,
        "echo_battery",
    ),
    _Entry(
        BatterySpec("discard", "read and throw away (RFC 863)", 9, datagram=True),
        _SMALL,
        "discard_battery",
    ),
    _Entry(
        BatterySpec("daytime", "tell the date and time as a line of text (RFC 867)", 13, datagram=True),
        _SMALL,
        "daytime_battery",
    ),
    _Entry(
        BatterySpec(
            "chargen",
            "send rotating lines of characters without end (RFC 864)",
            19,
            datagram=True,
            given=("amplify",),
        ),
        _SMALL,
        "chargen_battery",
    ),
    _Entry(
        BatterySpec("time", "tell the seconds since 1900 in four bytes (RFC 868)", 37, datagram=True),
        _SMALL,
        "time_battery",
    ),
    _Entry(
        BatterySpec(
            "whoami",
            "a web page that tells visitors their host name and address (RFC 1945)",
            80,
            options=(BatteryOption("names", "switch", True, "look up the visitor's host name"),),
        ),
        "portside.protocols.whoami",
        "whoami_battery",
    ),
    _Entry(
        BatterySpec(
            "directory",
            "tell ports by the names of services: running ones first, then the system's",
            6168,
            options=(BatteryOption("file", "path", "/etc/services", "the system's list of services"),),
            given=("services",),
        ),
        "portside.protocols.directory",
        "directory_battery",
    ),
)
_BY_NAME: Final = {entry.spec.name: entry for entry in _TABLE}


def names() -> list[str]:
    """Return the name of every battery, in the order of their ports."""
    return list(_BY_NAME)


def describe(name: str) -> BatterySpec:
    """Return what is known of the battery. Raises: UsageError with the nearest name."""
    return _entry(name).spec


def load(name: str, arguments: Mapping[str, object] | None = None) -> Battery:
    """Return the battery, made with the arguments; its module is imported now.

    ``arguments`` has values of the options' kinds, or their text as typed, and the ``given`` ones as they are.
    Raises: UsageError for an unknown battery or argument, with the nearest name, and for a value of another kind.
    """
    entry = _entry(name)
    accepted = check_arguments(entry.spec, arguments or {})
    factory = getattr(importlib.import_module(entry.module), entry.factory)
    return cast(Battery, factory(**accepted))


def check_arguments(spec: BatterySpec, arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments with their values converted, defaults not filled in. Raises: UsageError as ``load`` does."""
    options = {option.name: option for option in spec.options}
    accepted: dict[str, object] = {}
    for name, value in arguments.items():
        if name in spec.given:
            accepted[name] = value
        elif name in options:
            accepted[name] = convert(spec, options[name], value)
        elif options:
            raise UsageError(f"the battery {spec.name} takes no argument {name!r}; {_nearest(name, options)}")
        else:
            raise UsageError(f"the battery {spec.name} takes no arguments, and got {name!r}")
    return accepted


def convert(spec: BatterySpec, option: BatteryOption, value: object) -> object:
    """Return the value as the option's kind, from that kind itself or from text. Raises: UsageError."""
    match option.kind:
        case "text" | "path" if isinstance(value, str) and value and "\0" not in value:
            return value
        case "number" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "number" if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
        case "switch" if isinstance(value, bool):
            return value
        case "switch" if isinstance(value, str) and value.lower() in _SWITCHES:
            return _SWITCHES[value.lower()]
    raise UsageError(f"{option.name} of the battery {spec.name} is {_KIND_SENTENCES[option.kind]}, not {value!r}")


def _entry(name: str) -> _Entry:
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UsageError(f"there is no battery {name!r}; {_nearest(name, _BY_NAME)}") from None


def _nearest(word: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
