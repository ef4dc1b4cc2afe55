"""What was said, in layers: each source of values maps the names of ``SETTINGS`` to what it says and where.

Layers are laid over each other, the topmost first, and only then read, so that a mistake always knows its place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from portside.errors import UsageError
from portside.serve.mistakes import Mistake, Mistakes, Place
from portside.serve.settings import BY_NAME, ENVIRONMENT_PREFIX, SETTINGS, Setting, hint


@dataclass(frozen=True, slots=True)
class Said:
    """A value as it was typed, or as TOML has it, and where."""

    value: object
    place: Place


Layer: TypeAlias = Mapping[str, Sequence[Said]]
"""What one source says, by the names of settings; several values only for a setting that repeats."""


# ── sources ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def from_command_line(options: Mapping[str, object]) -> Layer:
    """Return the layer of options as click gives them: text, a flag, a tuple where they repeat, or None."""
    layer: dict[str, list[Said]] = {}
    for name, value in options.items():
        if value is None or value == ():
            continue
        items = value if isinstance(value, tuple) else (value,)  # False is said too: --no-reload
        layer[name] = [Said(item, Place(BY_NAME[name].option)) for item in items]
    return layer


def from_environment(environment: Mapping[str, str]) -> Layer:
    """Return the layer of ``PORTSIDE_*`` variables. Lists come by comma; an empty variable says nothing."""
    layer: dict[str, list[Said]] = {}
    for setting in SETTINGS:
        text = environment.get(setting.variable, "")
        if text.strip():
            items = [part for part in text.split(",") if part.strip()] if setting.kind.repeats else [text]
            layer[setting.name] = [Said(item, Place(setting.variable)) for item in items]
    return layer


def unknown_variables(environment: Mapping[str, str], others: Callable[[], Collection[str]]) -> list[Mistake]:
    """Return a mistake for each ``PORTSIDE_*`` that sets nothing; ``others`` tells the variables of client commands."""
    known = {setting.variable for setting in SETTINGS}
    strangers = [name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and name not in known]
    if not strangers:
        return []
    known |= set(others())
    return [
        Mistake(Place(name), f"there is no such setting{hint(name, sorted(known))}")
        for name in strangers
        if name not in known
    ]


# ── reading settings out of layers ───────────────────────────────────────────────────────────────────────────────────


class Reader:
    """Reads settings and gathers the mistakes; a value that is wrong counts as its default, so that reading goes on."""

    def __init__(self, mistakes: Iterable[Mistake] = ()) -> None:
        self.mistakes = list(mistakes)

    def complain(self, place: Place, sentence: str) -> None:
        self.mistakes.append(Mistake(place, sentence))

    def refuse_mistakes(self) -> None:
        if self.mistakes:
            raise Mistakes(self.mistakes)

    def items(
        self, setting: Setting, layers: Iterable[Layer], parse: Callable[[str], Any] | None = None
    ) -> list[tuple[Any, Place]]:
        """Return what the topmost layer that speaks of the setting says, parsed, with its places."""
        found = []
        for said in next((layer[setting.name] for layer in layers if layer.get(setting.name)), ()):
            for text in self._texts(setting, said):
                try:
                    found.append(((parse or setting.parse)(text.strip()), said.place))
                except UsageError as error:
                    self.complain(said.place, str(error))
        return found

    def _texts(self, setting: Setting, said: Said) -> list[str]:
        try:
            text = _as_text(setting, said.value)
        except UsageError as error:
            self.complain(said.place, str(error))
            return []
        return [part for part in text.split(",") if part.strip()] if setting.kind.commas else [text]

    def value(self, name: str, layers: Iterable[Layer]) -> Any:
        """Return the value of a setting that does not repeat; its default where nobody said it."""
        setting = BY_NAME[name]
        items = self.items(setting, layers)
        return items[-1][0] if items else setting.default

    def values(self, name: str, layers: Iterable[Layer]) -> tuple[Any, ...]:
        """Return the values of a setting that repeats."""
        return tuple(value for value, _ in self.items(BY_NAME[name], layers))


def _as_text(setting: Setting, value: object) -> str:
    """Return the value as it would be typed on the command line. Raises: UsageError for one of another type."""
    match value:
        case str():
            return value
        case bool() if setting.kind.switch:
            return "on" if value else "off"
        case int() if setting.kind.number and not isinstance(value, bool):
            return str(value)
        case float() if setting.kind.number:
            return f"{value:.9f}".rstrip("0").rstrip(".")
    raise UsageError(f"{setting.key} is {setting.kind.name}, not {type_name(value)}")


def type_name(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "an array", dict: "a table"}
    return names.get(type(value), "a date or time")


def place_of(name: str, layers: Iterable[Layer], otherwise: Place) -> Place:
    return next((layer[name][0].place for layer in layers if layer.get(name)), otherwise)
