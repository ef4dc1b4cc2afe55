"""Users in a TOML file: how it is read, all its mistakes at once, and read anew when it changes.

Shape:  ``[user.NAME]`` for each, with ``password`` and what ``typed.FIELDS`` names.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from portside.accounts.account import Account
from portside.accounts.book import Login, MemoryBook
from portside.accounts.following import Following
from portside.accounts.passwords import check_hash
from portside.accounts.toml_text import line_of
from portside.accounts.typed import FIELD_BY_KEY, Field, nearest, permissions_of, why_no_name
from portside.errors import PortsideError, UsageError

PASSWORD: Final = "password"


class Mistakes(UsageError):
    """Everything that is wrong with a file of users, each with its place; one line for each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_users(text: str, path: str, *, to_verify: bool = False) -> list[Login]:
    """Return the logins of a document, in its order. ``path`` is for the sentences about mistakes.

    Raises: Mistakes, all of them; with ``to_verify``, hashes whose package is not installed are some.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Mistakes([f"{path}: not TOML: {error}"]) from error
    reader = _Reader(text, path, to_verify)
    logins = reader.read(document)
    if reader.mistakes:
        raise Mistakes([sentence for _, sentence in sorted(reader.mistakes)])
    return logins


class _Reader:
    """Reads a document's tables and gathers what is wrong with them."""

    def __init__(self, text: str, path: str, to_verify: bool) -> None:
        self._text = text
        self._path = path
        self._to_verify = to_verify
        self.mistakes: list[tuple[int, str]] = []  # with their lines, 0 where that is not known

    def read(self, document: Mapping[str, Any]) -> list[Login]:
        for key in document:
            if key != "user":
                self._complain(f"{key}: there is nothing of that name in a file of users; write [user.NAME]")
        users = document.get("user", {})
        if not isinstance(users, dict):
            self._complain("user is a table: write [user.NAME]")
            return []
        found = (self._login(name, table) for name, table in users.items())
        return [login for login in found if login is not None]

    def _complain(self, sentence: str, *, name: str | None = None, key: str | None = None) -> None:
        line = line_of(self._text, name, key) if name is not None else None
        place = self._path if line is None else f"{self._path}:{line}"
        said = "" if name is None else ".".join(part for part in ("user", name, key) if part) + ": "
        self.mistakes.append((line or 0, f"{place}: {said}{sentence}"))

    def _login(self, name: str, table: object) -> Login | None:
        why = why_no_name(name)
        if why:
            self._complain(f"no user can be called so: {why}", name=name)
        if not isinstance(table, dict):
            self._complain(f"a user is a table: write [user.{name}]", name=name)
            return None
        said = {key: self._value(name, key, value) for key, value in table.items() if key != PASSWORD}
        password_hash = self._password_hash(name, table)
        if password_hash is None or any(value is _WRONG for value in said.values()):
            return None
        return Login(Account(name, **{FIELD_BY_KEY[key].attribute: said[key] for key in said}), password_hash)

    def _password_hash(self, name: str, table: Mapping[str, object]) -> str | None:
        stored = table.get(PASSWORD)
        try:
            if not isinstance(stored, str):
                raise UsageError("there is none: `portside users passwd` writes it")
            check_hash(stored, to_verify=self._to_verify)
        except PortsideError as error:
            self._complain(str(error), name=name, key=PASSWORD)
            return None
        return stored

    def _value(self, name: str, key: str, value: object) -> Any:
        """Return what the key says as ``Account`` has it, or _WRONG after complaining."""
        try:
            if key not in FIELD_BY_KEY:
                raise UsageError(f"a user has no such key{nearest(key, [PASSWORD, *FIELD_BY_KEY])}")
            return _parse_value(FIELD_BY_KEY[key], value)
        except UsageError as error:
            self._complain(str(error), name=name, key=key)
            return _WRONG


_WRONG: Final = object()


def _parse_value(field: Field, value: object) -> Any:
    match value:
        case str():
            return field.parse(value)
        case int() if field.is_number and not isinstance(value, bool):
            return field.parse(str(value))
        case list() if field.key == "permissions" and all(isinstance(word, str) for word in value):
            return permissions_of(value)
    wanted = "text or a whole number" if field.is_number else "text"
    raise UsageError(f"it is {wanted}, not {value!r}")


# ── keeping up with the file ─────────────────────────────────────────────────────────────────────────────────────────


class TomlBook:
    """The users of a TOML file. When the file changes it is read anew; if it is wrong then, the old users stay."""

    def __init__(self, path: str) -> None:
        """Read the file. Raises: Mistakes; UsageError where it cannot be read."""

        def read() -> MemoryBook:
            return MemoryBook(parse_users(read_text(path), path, to_verify=True))

        self._users = Following(path, read, _mark)

    @property
    def is_at_hand(self) -> bool:
        return self._users.is_current

    def find(self, name: str) -> Login | None:
        return self._users.current().find(name)

    def decoy(self, name: str) -> str:
        return self._users.current().decoy(name)


def _mark(found: os.stat_result) -> object:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_text(path: str) -> str:
    """Return the text of a file of users. Raises: UsageError."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file of users {path!r}; `portside users add` makes one") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: a file of users is UTF-8, and this one is not") from error
    except OSError as error:
        raise UsageError(f"cannot read the file of users {path!r}: {error.strerror}") from error
