"""Paths as people type them, from a root that they cannot leave."""

from __future__ import annotations

from typing import Final

from portside.storage.contract import Denied

NAME_BYTES_MAX: Final = 255  # NAME_MAX of Linux's file systems, limits.h(0p)
PATH_BYTES_MAX: Final = 4_096  # PATH_MAX


def resolve(directory: str, typed: str) -> str:
    """Return the path from the root that ``typed`` means to somebody in ``directory``.

    ``.`` and ``..`` and repeated slashes are resolved by the words alone, and ``..`` at the root is the root. So
    ``..`` behind a symbolic link leads back to where one came from, as ``cd ..`` does in a shell.
    Raises: Denied for a NUL, CR or LF in it (each forges something somewhere), or for a name that is too long.
    """
    if "\0" in typed or "\r" in typed or "\n" in typed:
        raise Denied(typed, "a name has no NUL, CR or LF")
    names: list[str] = [] if typed.startswith("/") else [name for name in directory.split("/") if name]
    for name in typed.split("/"):
        if name == "..":
            if names:
                names.pop()
        elif name and name != ".":
            if _is_longer(name, NAME_BYTES_MAX):
                raise Denied(typed, f"a name has at most {NAME_BYTES_MAX} bytes")
            names.append(name)
    path = "/" + "/".join(names)
    if _is_longer(path, PATH_BYTES_MAX):
        raise Denied(typed, f"a path has at most {PATH_BYTES_MAX} bytes")
    return path


def _is_longer(text: str, bytes_max: int) -> bool:
    # A character has one to four bytes: most texts need not be written to be known as short enough.
    return len(text) * 4 > bytes_max and len(text.encode("utf-8", "surrogateescape")) > bytes_max


def split(path: str) -> tuple[str, str]:
    """Return the directory of a path and its last name; the root's name is empty."""
    directory, _, name = path.rpartition("/")
    return directory or "/", name


def join(directory: str, name: str) -> str:
    """Return the path of a name in a directory."""
    return f"{directory}{name}" if directory.endswith("/") else f"{directory}/{name}"
