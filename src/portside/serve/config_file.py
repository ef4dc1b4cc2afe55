"""``portside.toml``: many services in one file, under the environment and the command line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from portside.contracts import Battery
from portside.errors import UsageError
from portside.serve.config import (
    RUN_PORT,
    Configuration,
    Finder,
    Found,
    Wanted,
    places_of,
    read_arguments,
    read_server,
    read_service,
    refuse_same_endpoints,
)
from portside.serve.layers import Layer, Reader, Said, from_command_line, from_environment, type_name, unknown_variables
from portside.serve.mistakes import Mistake, Mistakes, Place
from portside.serve.settings import SETTINGS, ServiceSettings, Setting, hint
from portside.serve.toml_lines import KeyPath, lines_of_keys

FILE_NAME: Final = "portside.toml"


def configure_file(
    path: str,
    finder: Finder,
    *,
    options: Mapping[str, object],
    environment: Mapping[str, str],
    other_variables: Callable[[], Collection[str]],
    trial: Callable[[Configuration], Iterable[Mistake]] = lambda configuration: (),
) -> Configuration:
    """Return the configuration that the file gives, under the environment and the command line.

    ``trial`` gets the services that can be told and returns what else is wrong with them; a part that was complained
    of already (``service.a.tls``) is not complained of again.
    Raises: Mistakes, all of them, with the lines of the file; UsageError when there is no such file.
    """
    document, lines = _read(path)
    reader = Reader(unknown_variables(environment, other_variables))
    over = (from_command_line(options), from_environment(environment))
    file = _File(path, lines, reader)
    top = file.top(document)
    tables = document.get("service", {})
    if not isinstance(tables, dict):
        reader.complain(file.place(("service",)), f"service is a table: [service.NAME], not {type_name(tables)}")
    elif not tables:
        reader.complain(Place("", path), "there are no services: add [service.NAME]")
    services: list[tuple[ServiceSettings, Sequence[Place]]] = []
    places: dict[tuple[str, str], Place] = {}
    for name, table in tables.items() if isinstance(tables, dict) else ():
        wanted = file.service(name, table, finder, over, top)
        if wanted is not None:
            service = read_service(reader, wanted)
            if wanted.found is not _NOBODY:
                services.append(service)
                places |= places_of(name, wanted.layers, wanted.place)
    refuse_same_endpoints(reader, services)
    settings = read_server(reader, [service for service, _ in services], (*over, top), (path,))
    configuration = Configuration(settings, places)
    parts = {_part(mistake.place) for mistake in reader.mistakes}
    reader.mistakes += [mistake for mistake in trial(configuration) if _part(mistake.place) not in parts]
    reader.refuse_mistakes()
    return configuration


# Stands for a handler that cannot be told, so that the rest of its service is read, and all mistakes found.
_NOBODY: Final = Found("", "", lambda arguments, streams, datagrams: Battery(""), port=RUN_PORT)


def _part(place: Place) -> str:
    """Return what of a service the place speaks of: ``service.a.tls`` for all within."""
    return ".".join(place.key.split(".")[:3])


def _read(path: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path!r}{_hint_of_file(path)}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Mistakes([Mistake(Place("", path, line), "the file is not UTF-8")]) from error
    text = text.replace("\r\n", "\n")
    try:
        return tomllib.loads(text), lines_of_keys(text)
    except tomllib.TOMLDecodeError as error:
        sentence, line = _syntax_mistake(str(error), text)
        raise Mistakes([Mistake(Place("", path, line), sentence)]) from error
    except RecursionError:
        raise UsageError(f"{path!r} is nested too deeply") from None


def _hint_of_file(path: str) -> str:
    folder, name = os.path.split(path)
    try:
        return hint(name, [other for other in os.listdir(folder or ".") if other.endswith(".toml")])
    except OSError:
        return ""


def _syntax_mistake(said: str, text: str) -> tuple[str, int]:
    """Split tomllib's ``Invalid value (at line 3, column 5)`` into the sentence and the line."""
    sentence, _, at = said.rpartition(" (at ")
    digits = re.match(r"line (\d+)", at)
    line = int(digits[1]) if digits else text.count("\n") + 1  # "at end of document"
    return f"not TOML: {sentence[:1].lower()}{sentence[1:]}", line


_TOP: Final = {setting.key: setting for setting in SETTINGS if setting.scope in ("server", "both")}
_SERVICE: Final = {setting.key: setting for setting in SETTINGS if setting.scope != "server" and not setting.group}
_GROUPED: Final = {
    group: {setting.key: setting for setting in SETTINGS if setting.group == group} for group in ("limits", "tls")
}
# A grouped setting may also stand in the service by its full name: limit_idle = "60s".
_BY_FULL_NAME: Final = {setting.name.replace("-", "_"): setting for setting in SETTINGS if setting.group}
_HANDLER_KEYS: Final = ("run", "serve")


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    lines: Mapping[KeyPath, int]
    reader: Reader

    def place(self, keys: KeyPath) -> Place:
        return Place(".".join(str(key) for key in keys), self.path, self.lines.get(keys))

    def top(self, document: Mapping[str, Any]) -> Layer:
        """Return the layer of what stands above the services."""
        layer: dict[str, list[Said]] = {}
        for key, value in document.items():
            setting = _TOP.get(_plain(key))
            if setting is not None:
                self._say(layer, setting, value, (key,))
            elif key != "service":
                self.reader.complain(self.place((key,)), self._why_not_at_the_top(key))
        return layer

    def _why_not_at_the_top(self, key: str) -> str:
        if _plain(key) in {*_SERVICE, *_GROUPED, *_BY_FULL_NAME, *_HANDLER_KEYS}:
            return "this belongs to a service: put it under [service.NAME]"
        return f"there is no such setting{hint(_plain(key), ['service', *_TOP])}"

    def service(self, name: str, table: object, finder: Finder, over: Sequence[Layer], top: Layer) -> Wanted | None:
        """Return the service as the file asks for it, by ``_NOBODY`` if nobody can be told; None for no table."""
        keys = ("service", name)
        place = self.place(keys)
        if not isinstance(table, dict):
            self.reader.complain(place, f"a service is a table: [service.NAME], not {type_name(table)}")
            return None
        if not name or not name.isprintable() or " " in name:
            self.reader.complain(place, f"{name!r} is no name for a service: it is one printable word")
        layer, rest = self._settings(keys, table)
        layers = (*over, layer, top)
        found = self._find(keys, table, finder, self.reader.value("factory", layers))
        arguments = {}
        for key, value in rest.items():
            argument = key if key in found.arguments else _plain(key)
            if argument in found.arguments:
                arguments[argument] = Said(value, self.place((*keys, key)))
            elif found is not _NOBODY or hint(_plain(key), [*_SERVICE, *_GROUPED, *_HANDLER_KEYS]):
                self.reader.complain(self.place((*keys, key)), _why_not_in_a_service(key, found))
        handler = self.place((*keys, "run" if "run" in table else "serve"))
        checked = read_arguments(self.reader, found, arguments)
        return Wanted(name, found, checked, layers, handler, port=found.port)

    def _settings(self, keys: KeyPath, table: Mapping[str, Any]) -> tuple[Layer, dict[str, Any]]:
        """Return the layer of a service's settings, and what is left: the battery's arguments, or mistakes."""
        layer: dict[str, list[Said]] = {}
        rest = {}
        for key, value in table.items():
            plain = _plain(key)
            if plain in _GROUPED:
                self._group(layer, plain, value, (*keys, key))
            elif plain in _SERVICE or plain in _BY_FULL_NAME:
                self._say(layer, _SERVICE.get(plain) or _BY_FULL_NAME[plain], value, (*keys, key))
            elif key not in _HANDLER_KEYS:
                rest[key] = value
        return layer, rest

    def _group(self, layer: dict[str, list[Said]], group: str, table: object, keys: KeyPath) -> None:
        if not isinstance(table, dict):
            self.reader.complain(self.place(keys), f"{group} is a table, not {type_name(table)}")
            return
        known = _GROUPED[group]
        for key, value in table.items():
            setting = known.get(_plain(key)) or _BY_FULL_NAME.get(_plain(key))
            if setting is None or setting.group != group:
                near = hint(_plain(key), list(known), otherwise=f"there are {', '.join(known)}")
                self.reader.complain(self.place((*keys, key)), f"there is no such setting{near}")
            else:
                self._say(layer, setting, value, (*keys, key))

    def _say(self, layer: dict[str, list[Said]], setting: Setting, value: object, keys: KeyPath) -> None:
        place = self.place(keys)
        if setting.name in layer:
            earlier = layer[setting.name][0].place if layer[setting.name] else place
            self.reader.complain(place, f"this was said already ({earlier})")
        elif isinstance(value, list) and setting.kind.repeats:
            layer[setting.name] = [
                Said(item, Place(place.key, self.path, self.lines.get((*keys, index), place.line)))
                for index, item in enumerate(value)
            ]
        else:
            layer[setting.name] = [Said(value, place)]

    def _find(self, keys: KeyPath, table: Mapping[str, Any], finder: Finder, factory: bool) -> Found:
        named = [key for key in _HANDLER_KEYS if key in table]
        if len(named) != 1:
            both = "says both run and serve" if named else 'says neither run = "MODULE:HANDLER" nor serve = "BATTERY"'
            self.reader.complain(self.place(keys), both)
            return _NOBODY
        key, value = named[0], table[named[0]]
        if not isinstance(value, str):
            self.reader.complain(self.place((*keys, key)), f"{key} is text, not {type_name(value)}")
            return _NOBODY
        try:
            return finder.handler(value, factory=factory) if key == "run" else finder.battery(value)
        except UsageError as error:
            self.reader.complain(self.place((*keys, key)), str(error))
            return _NOBODY


def _plain(key: str) -> str:
    """Return the key as the table has it: options have dashes where keys have underscores, and people mix them up."""
    return key.replace("-", "_")


def _why_not_in_a_service(key: str, found: Found) -> str:
    plain = _plain(key)
    if plain in _TOP:
        return "this belongs to the whole server: put it above the services"
    inner = {name: setting.path for group in _GROUPED.values() for name, setting in group.items()}
    if plain in inner:
        return f"there is no such setting; did you mean {inner[plain]}?"
    return f"there is no such setting{hint(plain, [*_SERVICE, *_GROUPED, *_HANDLER_KEYS, *found.arguments])}"
