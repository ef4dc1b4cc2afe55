"""A TOML file of users, to be changed: one user's table at a time, everything else as somebody wrote it."""

from __future__ import annotations

import os
from collections.abc import Callable

from portside.accounts.book import Login
from portside.accounts.files import NoSuchUser, UserExists
from portside.accounts.replacing import alone_in, replace_file
from portside.accounts.toml_book import PASSWORD, Mistakes, parse_users, read_text
from portside.accounts.toml_text import Value, add_table, change_table, remove_table
from portside.accounts.typed import FIELDS
from portside.errors import UsageError


class TomlFile:
    """See ``files.UserFile``."""

    def __init__(self, path: str) -> None:
        self._named = path
        self._path = os.path.realpath(path)  # a symbolic link stays one

    def logins(self) -> list[Login]:
        return parse_users(read_text(self._path), self._named)

    def has(self, name: str) -> bool:
        return os.path.exists(self._path) and any(login.account.name == name for login in self.logins())

    def add(self, login: Login) -> None:
        with alone_in(os.path.dirname(self._path)):
            text = read_text(self._path) if os.path.exists(self._path) else ""
            logins = parse_users(text, self._named)
            name = login.account.name
            if any(known.account.name == name for known in logins):
                raise UserExists(name, self._named)
            self._write(add_table(text, name, _values(login)), [*logins, login], name)

    def change(self, name: str, change: Callable[[Login], Login]) -> None:
        with alone_in(os.path.dirname(self._path)):
            text = read_text(self._path)
            logins = {login.account.name: login for login in parse_users(text, self._named)}
            if name not in logins:
                raise NoSuchUser(name, self._named)
            before, after = logins[name], change(logins[name])
            was, values = _values(before), _values(after)
            changed = {key: value for key, value in values.items() if value != was[key]}
            self._write(change_table(text, name, changed), [*(logins | {name: after}).values()], name)

    def remove(self, name: str) -> None:
        with alone_in(os.path.dirname(self._path)):
            text = read_text(self._path)
            logins = {login.account.name: login for login in parse_users(text, self._named)}
            if logins.pop(name, None) is None:
                raise NoSuchUser(name, self._named)
            self._write(remove_table(text, name), [*logins.values()], name)

    def _write(self, text: str | None, meant: list[Login], name: str) -> None:
        """Replace the file by the text, if that says what is meant."""
        if text is None or not _says(text, meant):
            raise UsageError(f"{self._named}: the user {name!r} is not written as [user.NAME]: change it by hand")
        replace_file(self._path, text.encode("utf-8"))


def _says(text: str, meant: list[Login]) -> bool:
    try:
        return parse_users(text, "") == meant
    except Mistakes:
        return False


def _values(login: Login) -> dict[str, Value]:
    """Return what the user's table has: None for what is the default, and need not be said."""
    values: dict[str, Value] = {PASSWORD: login.password_hash}
    for field in FIELDS:
        value = getattr(login.account, field.attribute)
        values[field.key] = None if value == field.default else value if field.key == "sessions" else field.show(value)
    return values
