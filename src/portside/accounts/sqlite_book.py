"""Users in a database of SQLite: each is looked up when they come, so there may be any number of them."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterable
from typing import Any, Final

from portside.accounts.book import SAMPLE_MAX, Login, choose_decoy
from portside.accounts.following import Following
from portside.accounts.sqlite_table import SELECT, login_of, open_database, refuse_strangers
from portside.accounts.typed import why_no_name
from portside.errors import LocalError, PortsideError

log = logging.getLogger("portside")


class SqliteBook:
    """The users of a database. A database that takes the place of the file is opened; if it is none, the old one stays.

    Raises: LocalError, from ``find`` and ``decoy``, when the database cannot be read.
    """

    is_at_hand: Final = False

    def __init__(self, path: str) -> None:
        """Open the database. Raises: UsageError where it is none."""
        self._path = path
        self._lock = threading.Lock()
        self._begin()

    def close(self) -> None:
        """Let go of the database."""
        if self._open is not None:
            self._open.close()

    def find(self, name: str) -> Login | None:
        if why_no_name(name):  # a peer may say anything, also what no text of SQLite can be
            return None
        rows = self._ask(f"{SELECT} WHERE name = ?", name)
        try:
            return login_of(rows[0]) if rows else None
        except PortsideError as error:
            log.error("a user of %s is passed over: %s", self._path, error)
            return None

    def decoy(self, name: str) -> str:
        rows = self._ask("SELECT password FROM users ORDER BY name LIMIT ?", SAMPLE_MAX)
        return choose_decoy([password for (password,) in rows], name)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._open: sqlite3.Connection | None = None
        self._database = Following(self._path, self._open_anew, lambda found: (found.st_dev, found.st_ino))

    def _open_anew(self) -> sqlite3.Connection:
        database = open_database(self._path, "ro")
        try:
            refuse_strangers(database, self._path)
        except BaseException:
            database.close()
            raise
        self.close()
        self._open = database
        return database

    def _ask(self, question: str, *values: Any) -> list[Iterable[Any]]:
        with self._lock:
            if self._pid != os.getpid():
                _INHERITED.append(self._open)
                self._begin()
            try:
                return self._database.current().execute(question, values).fetchall()
            except sqlite3.Error as error:
                raise LocalError(f"the database of users {self._path!r} cannot be read: {error}") from error


# https://www.sqlite.org/howtocorrupt.html section 2.6: a connection is not used in a process that was forked off, and
# not closed there.
_INHERITED: Final[list[object]] = []
