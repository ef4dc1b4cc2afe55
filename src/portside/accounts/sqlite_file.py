"""A database of users, to be changed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator

from portside.accounts.book import Login
from portside.accounts.files import NoSuchUser, UserExists
from portside.accounts.replacing import NEW_MODE
from portside.accounts.sqlite_table import (
    COLUMNS,
    SELECT,
    is_empty,
    login_of,
    make_table,
    open_database,
    refuse_strangers,
    row_of,
)
from portside.errors import UsageError


class SqliteFile:
    """See ``files.UserFile``. The users are in the order of their names."""

    def __init__(self, path: str) -> None:
        self._path = path

    def logins(self) -> list[Login]:
        with self._transaction() as database:
            return [login_of(row) for row in database.execute(f"{SELECT} ORDER BY name")]

    def has(self, name: str) -> bool:
        if not os.path.exists(self._path):
            return False
        with self._transaction() as database:
            return database.execute("SELECT 1 FROM users WHERE name = ?", (name,)).fetchone() is not None

    def add(self, login: Login) -> None:
        self._make()
        places = ", ".join("?" * len(COLUMNS))
        with self._transaction() as database:
            try:
                database.execute(f"INSERT INTO users ({', '.join(COLUMNS)}) VALUES ({places})", row_of(login))
            except sqlite3.IntegrityError as error:  # the constraint is the primary key's: the values were checked
                raise UserExists(login.account.name, self._path) from error

    def change(self, name: str, change: Callable[[Login], Login]) -> None:
        assignments = ", ".join(f"{column} = ?" for column in COLUMNS)
        with self._transaction() as database:
            row = database.execute(f"{SELECT} WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise NoSuchUser(name, self._path)
            database.execute(f"UPDATE users SET {assignments} WHERE name = ?", (*row_of(change(login_of(row))), name))

    def remove(self, name: str) -> None:
        with self._transaction() as database:
            if not database.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount:
                raise NoSuchUser(name, self._path)

    def _make(self) -> None:
        """Make the database where there is none, for its owner only: SQLite's own files beside it follow that."""
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, NEW_MODE))
        with self._opened() as database:
            if is_empty(database):
                make_table(database)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        database = open_database(self._path, "rw")
        try:
            database.execute("PRAGMA synchronous = FULL")  # a change is on the disk when it is said to be made
            yield database
        except sqlite3.Error as error:
            raise UsageError(f"the database of users {self._path!r}: {error}") from error
        finally:
            database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the database for one change, which is made as a whole or not at all."""
        with self._opened() as database:
            refuse_strangers(database, self._path)
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")  # closing without it takes everything back
