"""From a request's target to a path beneath the root, and back to what a page links to."""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

# Browsers and servers have it at the root of a site for machines: RFC 8615. No name beneath it is meant to be hidden.
WELL_KNOWN: Final = ".well-known"


class Target(NamedTuple):
    """What a request is for: a path from the root as ``storage`` has it, and whether it was written as a folder."""

    path: str
    is_folder: bool


def parse_target(scope: Any) -> Target:
    """Return what an ASGI scope asks for.

    Percent signs are decoded once; bytes that are not UTF-8 become surrogates, as in ``os.fsdecode``. ``.`` and ``..``
    and repeated slashes are resolved by the words alone, and ``..`` at the root is the root: in a request they are
    nobody's doing but an attacker's.
    """
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        path = scope["path"]
    elif b"%" in raw:
        path = os.fsdecode(unquote_to_bytes(raw))
    else:
        path = os.fsdecode(raw)
    prefix: str = scope.get("root_path", "")
    if prefix and path.startswith(prefix):
        path = path[len(prefix) :]
    is_folder = path.endswith("/") or not path
    if path[:1] != "/" or "//" in path or "/." in path:
        names = _names_in(path)
        is_folder = is_folder or path.endswith(("/.", "/.."))
        return Target("/" + "/".join(names), is_folder or not names)
    return Target(path.rstrip("/") or "/", is_folder)


def _names_in(path: str) -> list[str]:
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in {"", "."}:
            names.append(name)
    return names


def is_concealed(path: str) -> bool:
    """Say whether a name on the way is one that begins with a dot, beside ``/.well-known/``."""
    if "/." not in path:
        return False
    names = path.split("/")[1:]
    return any(name[:1] == "." for name in (names[1:] if names[0] == WELL_KNOWN else names))


def build_reference(name: str, *, is_folder: bool = False) -> str:
    """Return a relative reference to a name in the folder that a page is of: it needs no knowledge of where that is."""
    return quote(os.fsencode(name), safe="") + ("/" if is_folder else "")


def shown(name: str) -> str:
    """Return the name as text that can be written in UTF-8: bytes that are none in it as question marks in a square."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
