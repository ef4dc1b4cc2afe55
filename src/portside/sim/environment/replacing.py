"""How functions that are all over a process are replaced: where they are at home, and where they were imported to."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple

OURS: Final = "portside.sim"  # it keeps what is real


class Replacement(NamedTuple):
    """One function of a module, and what takes its place.

    The substitute is a bound method wherever the original is a built-in function. Those are no descriptors: a class
    may have ``clock = time.monotonic`` and call ``self.clock()``, and a plain function would be given ``self`` there.
    """

    module: ModuleType
    name: str
    substitute: Any


class Dispatcher:
    """What substitutes are methods of. There is one of each class, so its methods can be pickled and copied deeply,
    as built-in functions can: ``GLOBAL_NAME`` is where it is found in the module of its class.
    """

    GLOBAL_NAME: str

    def __reduce__(self) -> str:
        return self.GLOBAL_NAME

    def replacing(self, module: ModuleType, *names: str) -> Iterator[Replacement]:
        """Yield replacements by the methods of the same names, for those that the module has on this platform."""
        for name in names:
            if hasattr(module, name):
                yield Replacement(module, name, getattr(self, name))


def replace(replacements: Iterable[Replacement]) -> None:
    """Replace functions at home, which serves all modules that are imported from now on and all that say
    ``time.time()``, and in the modules that have imported them by name before.
    """
    substitutes: dict[int, tuple[Any, Any]] = {}
    for module, name, substitute in replacements:
        original = getattr(module, name)
        substitutes[id(original)] = original, substitute  # the original as well: no other object may get its id
        setattr(module, name, substitute)
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and not _is_ours(module):
            _replace_in(module, substitutes)


def _is_ours(module: ModuleType) -> bool:
    name = _namespace(module).get("__name__")
    return isinstance(name, str) and (name == OURS or name.startswith(OURS + "."))


def _replace_in(module: ModuleType, substitutes: dict[int, tuple[Any, Any]]) -> None:
    namespace = _namespace(module)
    for name, value in list(namespace.items()):
        if id(value) in substitutes:
            namespace[name] = substitutes[id(value)][1]


def _namespace(module: ModuleType) -> dict[str, Any]:
    """Return the names in a module, without waking it up if it is one that loads itself on the first access."""
    try:
        namespace: dict[str, Any] = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}  # the libraries that cffi makes say they are modules
    return namespace


def replace_in_builtin_type(kind: type, name: str, attribute: object) -> None:
    """Replace a method of a type that is written in C, which ``setattr`` refuses.

    The type stays the one it is, so ``isinstance``, ``type(x) is datetime``, pickles, tables by type and C code that
    checks for it need no help; a subclass in its place breaks each of these for somebody. The interpreter is told, as
    it keeps what it has found in a type (``PyType_Modified``).
    """
    namespace = gc.get_referents(vars(kind))[0]  # the dict behind the read-only view of it
    namespace[name] = attribute
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
