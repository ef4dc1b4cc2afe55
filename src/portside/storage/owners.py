"""The names of users and groups by their numbers, asked of the system once: it may have to ask a directory server."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable
from typing import Final

_NAMES_MAX: Final = 10_000  # a tree unpacked from elsewhere may have as many owners as files


class Names(dict[int, str]):
    """Numbers and their names. ``names[number]`` may wait for whoever knows them, ``in`` and ``get`` never do.

    A number that nobody has a name for is its own.
    """

    def __init__(self, look_up: Callable[[int], str]) -> None:
        self._look_up = look_up

    def __missing__(self, number: int) -> str:
        try:
            name = self._look_up(number)
        except (KeyError, OSError):
            name = str(number)
        if len(self) >= _NAMES_MAX:
            self.clear()
        self[number] = name
        return name


USERS: Final = Names(lambda number: pwd.getpwuid(number).pw_name)
GROUPS: Final = Names(lambda number: grp.getgrgid(number).gr_name)
