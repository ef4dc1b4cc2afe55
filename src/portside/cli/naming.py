"""From names to handlers: ``MODULE:HANDLER`` by import, a battery by the catalogue.

Nothing is imported when a name is looked at; ``load_handler`` runs in a worker, after the fork, so that a reload gets
new code and the supervisor never runs any of it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, Final

from portside.contracts import Battery
from portside.errors import UsageError
from portside.serve.config import Found
from portside.serve.settings import BY_NAME, hint

_TARGET: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class HandlerFinder:
    """Finds handlers for a configuration; modules are sought in ``folders`` before anywhere else."""

    folders: tuple[str, ...]

    def handler(self, target: str, *, factory: bool) -> Found:
        """Return what ``MODULE:HANDLER`` names, without importing it. Raises: UsageError."""
        if not _TARGET.fullmatch(target):
            raise UsageError(f"{target!r} names no handler: write MODULE:HANDLER{_guess(target)}")
        return Found(
            name=target.rpartition(":")[2].rpartition(".")[2],
            what=target,
            load=_Target(target, factory, self.folders),
        )

    def battery(self, name: str) -> Found:
        """Return the battery of that name, without importing it. Raises: UsageError."""
        from portside.protocols import catalogue

        spec = catalogue.describe(name)
        return Found(
            name=name,
            what=name,
            load=partial(_load_battery, name, self.folders),
            port=spec.port,
            datagrams=spec.datagram,
            arguments=tuple(option.name for option in spec.options),
            tls_port=spec.tls_port,
            starts_tls=spec.starts_tls,
            given=tuple(setting for setting in spec.given if setting in BY_NAME),
            check=lambda argument, value: catalogue.check_arguments(spec, {argument: value})[argument],
        )


def _guess(target: str) -> str:
    """Return the likely right spelling of a target that is none: a path to a file, or a dot where the colon goes."""
    module, colon, attribute = target.partition(":")
    module = module.removesuffix(".py").removeprefix("./").replace("/", ".")
    if not colon:
        module, _, attribute = module.rpartition(".") if "." in module else (module, "", "handler")
    guess = f"{module}:{attribute or 'handler'}"
    return f", such as {guess}" if _TARGET.fullmatch(guess) else ", such as shout:shout"


# ── in a worker ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _load_battery(
    name: str, folders: tuple[str, ...], arguments: Mapping[str, object], streams: bool, datagrams: bool
) -> Battery:
    from portside.accounts.counters import LocalCounters
    from portside.protocols import catalogue
    from portside.serve import running

    ours = running.given()
    given: dict[str, object] = {
        "services": running.services,
        "service": ours.service or name,
        "tls": ours.tls,
        "counters": LocalCounters() if ours.counters is None else ours.counters,
        "find": partial(load_object, folders=folders),
    }
    wanted = {key: value for key, value in given.items() if key in catalogue.describe(name).given}
    return catalogue.load(name, {**arguments, **wanted})


@dataclass(frozen=True, slots=True)
class _Target:
    """Loads the handler that was named; two of the same name are equal."""

    name: str
    factory: bool
    folders: tuple[str, ...]

    def __call__(self, arguments: Mapping[str, object], streams: bool, datagrams: bool) -> Battery:
        return load_handler(self.name, factory=self.factory, folders=self.folders, streams=streams, datagrams=datagrams)


def load_handler(
    target: str, *, factory: bool = False, folders: tuple[str, ...] = (), streams: bool = True, datagrams: bool = False
) -> Battery:
    """Import what ``MODULE:a.b.c`` names and return it as a battery.

    A handler is a callable that takes a connection (or a message, on datagram endpoints), or a Battery.
    Raises: UsageError as ``load_object`` does, and for what is no handler.
    """
    found = load_object(target, factory=factory, folders=folders)
    return _battery_of(target, found, streams=streams, datagrams=datagrams)


def load_object(target: str, *, factory: bool = False, folders: tuple[str, ...] = ()) -> object:
    """Import what ``MODULE:a.b.c`` names and return it.

    With ``factory`` the thing is called, without arguments, and what it gives is returned. Raises: UsageError, with the
    nearest name, or with the place in the code where it failed.
    """
    if not _TARGET.fullmatch(target):
        raise UsageError(f"{target!r} names nothing: write MODULE:NAME{_guess(target)}")
    module_name, _, path = target.partition(":")
    found: Any = import_module(module_name, folders)
    parts = path.split(".")
    for depth, name in enumerate(parts):
        if not hasattr(found, name):
            so_far = f"{module_name}:{'.'.join(parts[:depth])}" if depth else module_name
            raise UsageError(
                f"{so_far} has no {name!r}{hint(name, [other for other in dir(found) if other[:2] != '__'])}"
            )
        found = getattr(found, name)
    return _call(target, found) if factory else found


def _call(target: str, factory: object) -> object:
    if not callable(factory):
        raise UsageError(f"{target} is {_kind_of(factory)}, and --factory wants something to call")
    return _guarded(f"{target}()", factory)


def import_module(name: str, folders: tuple[str, ...] = ()) -> ModuleType:
    """Import the module, sought in ``folders`` first. Raises: UsageError, whatever its code does."""
    import importlib

    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    # Bytecode files are matched by their source's second and size: an edit and a reload within a second would get the
    # old code. Ours is compiled anew each time instead.
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        return _guarded(f"import {name}", partial(importlib.import_module, name))  # type: ignore[return-value]
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"cannot import {name}: {error}{_place_in_code(error)}") from error
        where = f" in {folders[0]}" if folders else ""
        raise UsageError(
            f"there is no module {error.name!r}{where}{hint(error.name, _modules_near(error.name))}"
        ) from error


def _guarded(act: str, function: Callable[[], object]) -> object:
    """Call somebody's code, and make a sentence of whatever it raises; ModuleNotFoundError is left to the caller."""
    try:
        return function()
    except (ModuleNotFoundError, KeyboardInterrupt):
        raise
    except UsageError as error:  # it used ours to say what is wrong with its own configuration
        raise UsageError(f"{act} failed: {error}") from error
    except BaseException as error:
        raise UsageError(f"{act} failed: {type(error).__name__}: {error}{_place_in_code(error)}") from error


def _place_in_code(error: BaseException) -> str:
    """Return the file and line where the error arose, outside of the import system; of the text for a SyntaxError."""
    if isinstance(error, SyntaxError) and error.filename:
        return ""  # its own text names them
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<frozen") and file != __file__:
            place = f" ({os.path.relpath(file)}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _modules_near(name: str) -> list[str]:
    """Return the modules that might have been meant: beside the last package found, or at the top."""
    import pkgutil

    parent, _, _ = name.rpartition(".")
    prefix = f"{parent}." if parent else ""
    path = getattr(sys.modules.get(parent), "__path__", []) if parent else sys.path
    return [prefix + module.name for module in pkgutil.iter_modules(path)]


def _battery_of(target: str, found: object, *, streams: bool, datagrams: bool) -> Battery:
    if isinstance(found, Battery):
        for wanted, handler, what in ((streams, found.stream, "streams"), (datagrams, found.datagram, "datagrams")):
            if wanted and handler is None:
                raise UsageError(f"{target} has no handler for {what}, and an endpoint asks for it")
        return found
    if isinstance(found, type):
        raise UsageError(f"{target} is a class: name an instance, or say --factory to have one made")
    if not callable(found):
        raise UsageError(f"{target} is {_kind_of(found)}, not a handler")
    _check_signature(target, found)
    return Battery(
        name=target.rpartition(":")[2],
        stream=found if streams else None,
        datagram=found if datagrams else None,
    )


def _check_signature(target: str, handler: Callable[..., object]) -> None:
    import inspect

    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        raise UsageError(f"{target} is a generator: a handler has no yield")
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # built in C, without a signature
        return
    try:
        signature.bind(object())
    except TypeError as error:
        raise UsageError(f"{target}{signature} cannot be called with a connection: {error}") from error


def _kind_of(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
