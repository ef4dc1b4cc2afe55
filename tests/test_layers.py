"""The map of docs/architecture.md, enforced: every import is read, late and type-only ones included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
ROOT = SOURCE / "portside"

LEAVES = {"errors", "units", "address", "events", "contracts"}
ROOMS = {"wire", "storage", "accounts", "net", "protocols", "sim", "observe", "serve", "testing", "cli"}
MAY_IMPORT = {
    "errors": set[str](),
    "units": {"errors"},
    "address": {"errors"},
    "events": {"errors", "address"},
    "contracts": {"errors", "address", "events"},
    "wire": {"errors", "address"},
    "storage": LEAVES,
    "accounts": LEAVES,
    "net": LEAVES,
    "protocols": LEAVES | {"wire", "storage", "accounts"},
    "sim": {"errors", "address", "events", "wire"},
    "observe": LEAVES | {"wire"},
    "serve": LEAVES | {"net"},
    "testing": LEAVES | ROOMS - {"cli"},
    "cli": LEAVES | ROOMS,
    "__init__": LEAVES,
    "__main__": {"cli"},
}
MAY_IMPORT_SOCKET = {
    "net/sockets.py",
    # What stands in for it on a simulated host: its constants, errors and types.
    "sim/names.py",
    "sim/loop/addrinfo.py",
    "sim/loop/opening.py",
    "sim/loop/reading.py",
    "sim/loop/serving.py",
    "sim/sockets/moving.py",
    "sim/sockets/options.py",
    "sim/sockets/secured.py",
    "sim/sockets/settable.py",
    "sim/sockets/sim_socket.py",
}


def modules() -> list[str]:
    """Return every module of ours by its path below the package."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def room_of(path: str) -> str:
    """Return the part of the map a module belongs to."""
    return path.partition("/")[0].removesuffix(".py")


def imports_in(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of everything the file imports, wherever in it."""
    package = list(path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package[: len(package) - level + 1] if level else []
                start = ".".join([*base, *([module] if module else [])])
                yield from ((node.lineno, f"{start}.{name.name}") for name in names)
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
                # importlib with a name written out counts as an import; a computed one is checked where it is made.
                match node.args:
                    case [ast.Constant(value=str(name)), *_]:
                        yield node.lineno, name
            case _:
                pass


def strings_in(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and value of the file's string constants: tables of modules to import late are made of them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Constant(value=str(text)):
                yield node.lineno, text
            case _:
                pass


def room_imported(name: str) -> str | None:
    """Return which part of the map an imported name belongs to: "__init__" for the package itself, None if foreign."""
    top, *rest = name.split(".")
    if top != "portside":
        return None
    return rest[0] if rest and rest[0] in LEAVES | ROOMS | {"__main__"} else "__init__"


@pytest.mark.parametrize("module", modules())
def test_module_imports_only_what_the_map_allows(module: str) -> None:
    allowed = MAY_IMPORT[room_of(module)] | {room_of(module)}
    forbidden = [
        f"{module}:{line} imports {name}"
        for line, name in imports_in(ROOT / module)
        if (room := room_imported(name)) is not None and room not in allowed
    ]
    assert forbidden == []


@pytest.mark.parametrize("module", modules())
def test_module_names_late_imports_only_of_what_the_map_allows(module: str) -> None:
    allowed = MAY_IMPORT[room_of(module)] | {room_of(module)}
    named = [
        f"{module}:{line} names {text}"
        for line, text in strings_in(ROOT / module)
        if text.startswith("portside.") and text.replace(".", "").replace("_", "").isalnum()
        if (room := room_imported(text.partition(":")[0])) not in allowed and room != "__init__"
    ]
    assert named == []


def test_only_one_module_imports_socket() -> None:
    importers = {
        module
        for module in modules()
        for _, name in imports_in(ROOT / module)
        if name.split(".")[0] in {"socket", "_socket", "socketserver"}
    }
    assert importers <= MAY_IMPORT_SOCKET


def test_nobody_inside_imports_the_package_itself() -> None:
    importers = [
        f"{module}:{line}"
        for module in modules()
        if module != "__init__.py"
        for line, name in imports_in(ROOT / module)
        if room_imported(name) == "__init__"
    ]
    assert importers == []


def test_every_part_of_the_package_is_on_the_map() -> None:
    parts = {room_of(module) for module in modules()}
    assert parts <= set(MAY_IMPORT)


def test_arrows_do_not_go_in_circles() -> None:
    seen: set[str] = set()
    waiting = dict(MAY_IMPORT)
    while ready := {part for part, allowed in waiting.items() if allowed - {part} <= seen}:
        seen |= ready
        waiting = {part: allowed for part, allowed in waiting.items() if part not in ready}
    assert waiting == {}
