"""Who has an account: a book of names, rights and hashed passwords, wherever it is written down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from portside.accounts.account import Account
from portside.accounts.passwords import NOBODY, hash_password, keep_password
from portside.accounts.typed import parse_login
from portside.errors import UsageError

SAMPLE_MAX: Final = 64  # of how many users the hashes are looked at, to be as slow for a name that nobody has


@dataclass(frozen=True, slots=True)
class Login:
    """An account, and the hash of the password that opens it."""

    account: Account
    password_hash: str = field(repr=False)  # tracebacks and logs are read by others


class AccountBook(Protocol):
    """Where accounts are found. Any thread may call."""

    @property
    def is_at_hand(self) -> bool:
        """Whether the other two answer now without waiting for a disk."""

    def find(self, name: str) -> Login | None:
        """Return the login of that name, None where nobody has it."""

    def decoy(self, name: str) -> str:
        """Return a hash to try a password against where nobody has the name: it takes as long as somebody's."""


def choose_decoy(hashes: Sequence[str], name: str) -> str:
    """Return one of the hashes for the name, always the same one.

    Where a book has hashes of several strengths, nobody outside can tell which of them a name that does not exist
    would meet: the choice hangs on what is in the book.
    """
    if not hashes:
        return NOBODY
    key = hashlib.blake2b(hashes[0].encode("utf-8", "surrogatepass")).digest()
    chosen = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=key, digest_size=8).digest()
    return hashes[int.from_bytes(chosen, "big") % len(hashes)]


class MemoryBook:
    """A book that does not change."""

    is_at_hand: Final = True

    def __init__(self, logins: Iterable[Login]) -> None:
        self._logins: Mapping[str, Login] = {login.account.name: login for login in logins}
        self._sample = [login.password_hash for login in self._logins.values()][:SAMPLE_MAX]

    def __len__(self) -> int:
        return len(self._logins)

    def find(self, name: str) -> Login | None:
        return self._logins.get(name)

    def decoy(self, name: str) -> str:
        return choose_decoy(self._sample, name)


class BooksInOrder:
    """Several books as one: the first that has a name counts."""

    def __init__(self, *books: AccountBook) -> None:
        self._books = books

    @property
    def is_at_hand(self) -> bool:
        return all(book.is_at_hand for book in self._books)

    def find(self, name: str) -> Login | None:
        for book in self._books:
            login = book.find(name)
            if login is not None:
                return login
        return None

    def decoy(self, name: str) -> str:
        return self._books[-1].decoy(name) if self._books else NOBODY


def read_logins(texts: Iterable[str], keep: Callable[[str], str] = keep_password) -> MemoryBook:
    """Return the book of ``NAME:PASSWORD`` texts, each with all rights. ``keep`` makes the hash of a password.

    Raises: UsageError, also for a name that is there twice.
    """
    passwords: dict[str, str] = {}
    for text in texts:
        name, password = parse_login(text)
        if name in passwords:
            raise UsageError(f"there are two logins of the name {name!r}")
        passwords[name] = password
    return MemoryBook(Login(Account(name), keep(password)) for name, password in passwords.items())


def open_books(logins: Sequence[str], file: str | None) -> AccountBook | None:
    """Return the book of the logins of a command line and of a file of users, None where there are neither.

    Beside a file the logins are hashed as slowly as it has them, so that the time does not tell where a name is from.
    Raises: UsageError with all mistakes; MissingExtra.
    """
    if file is None:
        return read_logins(logins) if logins else None
    from portside.accounts.files import open_book

    book = open_book(file)
    return BooksInOrder(read_logins(logins, hash_password), book) if logins else book
