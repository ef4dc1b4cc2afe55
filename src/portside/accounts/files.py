"""Files of users: of which kind one is, to look into it or to change it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Protocol

from portside.accounts.book import AccountBook, Login
from portside.errors import PortsideError, UsageError

SQLITE_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3")
TOML_SUFFIX: Final = ".toml"
_SQLITE_BEGINNING: Final = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat.html section 1.3


class NoSuchUser(PortsideError):
    """Nobody of the name is in the file."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"there is no user {name!r} in {path}")
        self.name = name


class UserExists(PortsideError):
    """The name is in the file already."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"there is a user {name!r} in {path} already")
        self.name = name


class UserFile(Protocol):
    """A file of users, to be changed. Each change is whole and on the disk when its call returns.

    Raises: UsageError for a file that is none, with all mistakes; OSError as the system says it.
    """

    def logins(self) -> list[Login]:
        """Return everybody, in the order of the file."""

    def has(self, name: str) -> bool:
        """Return whether the name is taken; in a file that is not there none is."""

    def add(self, login: Login) -> None:
        """Add a user; the file is made, for nobody else to read, where there is none. Raises: UserExists."""

    def change(self, name: str, change: Callable[[Login], Login]) -> None:
        """Let a user be what ``change`` makes of them; the name stays. Raises: NoSuchUser."""

    def remove(self, name: str) -> None:
        """Take a user out. Raises: NoSuchUser."""


def open_book(path: str) -> AccountBook:
    """Return the book to look users up in. Raises: UsageError, with all mistakes of the file."""
    if _is_sqlite(path):
        from portside.accounts.sqlite_book import SqliteBook

        return SqliteBook(path)
    from portside.accounts.toml_book import TomlBook

    return TomlBook(path)


def open_user_file(path: str) -> UserFile:
    """Return the file to change it; it need not be there yet. Raises: UsageError for a name that tells no kind."""
    if _is_sqlite(path):
        from portside.accounts.sqlite_file import SqliteFile

        return SqliteFile(path)
    from portside.accounts.toml_file import TomlFile

    return TomlFile(path)


def _is_sqlite(path: str) -> bool:
    """Return whether the file is a database, by its content, or by its name where it has none yet.

    Raises: UsageError where neither tells.
    """
    beginning = _beginning_of(path)
    suffix = os.path.splitext(path)[1].lower()
    if beginning == _SQLITE_BEGINNING:
        return True
    if suffix == TOML_SUFFIX:
        return False
    if suffix in SQLITE_SUFFIXES:
        if beginning:
            raise UsageError(f"{path!r} is named like a database of SQLite, and is none")
        return True
    if beginning:
        return False
    raise UsageError(f"{path!r} does not say what it is: a file of users ends in .toml, .db or .sqlite")


def _beginning_of(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(len(_SQLITE_BEGINNING))
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UsageError(f"cannot read the file of users {path!r}: {error.strerror}") from error
