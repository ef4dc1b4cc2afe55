"""What workers import late is imported before the server becomes a user who may not read it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import portside
from portside.cli.preload import LATE, ROOMS
from support.server import environment

ROOT = Path(portside.__file__).parent


def late_imports() -> Iterator[str]:
    """Yield what functions of the rooms import, apart from our own modules."""
    for room in ROOMS:
        for path in (ROOT / room.__name__.rpartition(".")[2]).rglob("*.py"):
            functions = [
                node
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            for node in (inner for function in functions for inner in ast.walk(function)):
                match node:
                    case ast.Import(names=names):
                        yield from (name.name for name in names)
                    case ast.ImportFrom(module=str(module)) if not module.startswith("portside"):
                        yield module


def test_everything_that_is_imported_late_is_listed() -> None:
    assert set(late_imports()) - set(LATE) == set()


def test_nothing_of_ours_is_left_to_import() -> None:
    code = "import sys; from portside.cli.preload import import_everything as go; go(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    loaded = set(done.stdout.split())
    rooms = [room.__name__.rpartition(".")[2] for room in ROOMS]
    ours = {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
    }
    assert ours - loaded == set()
    assert {"asyncio", "ssl", "traceback"} <= loaded
