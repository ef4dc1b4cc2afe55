"""The table of users in a database of SQLite: its shape, its version, and what a row of it says.

Other programs may write it: its constraints say what a row can be, and ``permissions`` is what people type.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

from portside.accounts.account import Account
from portside.accounts.book import Login
from portside.accounts.passwords import check_hash
from portside.accounts.typed import parse_name, parse_permissions, parse_root, show_permissions
from portside.errors import UsageError

VERSION: Final = 1  # of the shape, in the header's user_version
APPLICATION_ID: Final = 0x506F7274  # "Port", in the header: not any database with a table of that name is ours
BUSY_S: Final = 5.0  # how long another writer is waited for

COLUMNS: Final = (
    "name", "password", "root", "permissions", "quota_bytes", "bytes_in_per_s", "bytes_out_per_s", "sessions_max",
)  # fmt: skip
SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM users"

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    password TEXT NOT NULL,
    root TEXT NOT NULL DEFAULT '/',
    permissions TEXT NOT NULL DEFAULT 'full',
    quota_bytes INTEGER CHECK (quota_bytes >= 1),
    bytes_in_per_s REAL CHECK (bytes_in_per_s >= 1),
    bytes_out_per_s REAL CHECK (bytes_out_per_s >= 1),
    sessions_max INTEGER CHECK (sessions_max >= 1)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""


# ── the database ─────────────────────────────────────────────────────────────────────────────────────────────────────


def open_database(path: str, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Return a connection to the database, for any thread. Raises: UsageError where it cannot be opened."""
    if not os.path.exists(path):
        raise UsageError(f"there is no file of users {path!r}; `portside users add` makes one")
    try:
        connection = sqlite3.connect(
            f"{Path(path).absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA schema_version")  # the file is not opened before something is asked
    except sqlite3.Error as error:
        raise UsageError(f"cannot open the database of users {path!r}: {error}{_hint(path)}") from error
    return connection


def _hint(path: str) -> str:
    """Return what to add about a directory that SQLite cannot write in: its own sentences do not speak of it."""
    directory = os.path.dirname(os.path.abspath(path))
    if os.access(directory, os.W_OK):
        return ""
    return (
        f"; it keeps files of its own beside it, so whoever reads it must be able to write in {directory!r}, "
        "unless it is told PRAGMA journal_mode = DELETE"
    )


def make_table(connection: sqlite3.Connection) -> None:
    """Make the table in an empty database."""
    connection.execute("PRAGMA journal_mode = WAL")  # who reads does not wait for who writes
    connection.executescript(_SCHEMA)


def is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None


def refuse_strangers(connection: sqlite3.Connection, path: str) -> None:
    """Raise UsageError for a database that is not one of users as this version knows them."""
    application_id, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application_id != APPLICATION_ID:
        raise UsageError(f"{path!r} is a database, and not one of users: `portside users add` makes one")
    if version > VERSION:
        raise UsageError(
            f"{path!r} was made by a newer Portside: its version is {version}, and {VERSION} is known here"
        )


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def login_of(row: Iterable[Any]) -> Login:
    """Return what a row of SELECT says. Raises: UsageError with the name of the user."""
    name, password, root, permissions, *limits = row
    try:
        check_hash(password)
        return Login(Account(parse_name(name), parse_root(root), parse_permissions(permissions), *limits), password)
    except UsageError as error:
        raise UsageError(f"user {name!r}: {error}") from error


def row_of(login: Login) -> tuple[Any, ...]:
    """Return the values of COLUMNS for a login."""
    account = login.account
    limits = (account.quota_bytes, account.bytes_in_per_s, account.bytes_out_per_s, account.sessions_max)
    return account.name, login.password_hash, account.root, show_permissions(account.permissions), *limits
