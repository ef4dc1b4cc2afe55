"""The names of users and groups by their numbers, asked of the system once: it may have to ask a directory server."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable
from typing import Final

_NAMES_MAX: Final = 10_000  # a tree unpacked from elsewhere may have as many owners as files


class Names:
    """Numbers and their names, as far as they have been asked for."""

    def __init__(self, look_up: Callable[[int], str]) -> None:
        self._look_up = look_up
        self._known: dict[int, str] = {}

    def name(self, number: int) -> str:
        """Return the name, or the number as text where there is none. May wait for whoever knows the names."""
        known = self._known.get(number)
        return self._ask(number) if known is None else known

    def known(self, number: int) -> str | None:
        """Return the name if it has been asked for before, and else None."""
        return self._known.get(number)

    def _ask(self, number: int) -> str:
        try:
            name = self._look_up(number)
        except (KeyError, OSError):
            name = str(number)
        if len(self._known) >= _NAMES_MAX:
            self._known.clear()
        self._known[number] = name
        return name


USERS: Final = Names(lambda number: pwd.getpwuid(number).pw_name)
GROUPS: Final = Names(lambda number: grp.getgrgid(number).gr_name)
