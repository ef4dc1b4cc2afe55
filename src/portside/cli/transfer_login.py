"""Who we are on a server: the URL, standard input, ``~/.netrc``, or a person at the terminal, in this order."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from portside.errors import UsageError


class Place(Protocol):
    """A URL, of whatever scheme."""

    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def user(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def server(self) -> Place:
        """The same without a path."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password; without a user, anonymous."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)


class Logins:
    """The logins of one call, each found once. ``from_input``: the password is what standard input says."""

    def __init__(self, *, from_input: bool = False, ask: Callable[[str], str] | None = None) -> None:
        self._from_input = from_input
        self._ask = ask_person if ask is None and _is_person_there() else ask
        self._found: dict[tuple[str, str | None], Login] = {}

    def of(self, url: Place) -> Login:
        """Return the login that was found for the URL's server and user."""
        return self._found[url.host, url.user]

    def find(self, url: Place) -> None:
        """Find the login for a URL. Raises: UsageError when a user has no password."""
        key = (url.host, url.user)
        if url.password is not None:
            self._found[key] = Login(url.user, url.password)
        elif key not in self._found:
            self._found[key] = self._look(url)

    def _look(self, url: Place) -> Login:
        if self._from_input:
            if url.user is None:
                raise UsageError(f"--password-stdin needs a user: {url.scheme}://USER@{url.host}/")
            return Login(url.user, password_from_input())
        if (kept := from_netrc(url.host, url.user)) is not None:
            return kept
        if url.user is None:
            return Login()
        if self._ask is None:
            raise UsageError(
                f"{url.server} needs a password: write it to ~/.netrc, or give it by --password-stdin or in the URL"
            )
        return Login(url.user, self._ask(f"password of {url.user} at {url.host}: "))


def password_from_input() -> str:
    """Return standard input without the end of its last line. Raises: UsageError."""
    data = b"" if sys.stdin is None else sys.stdin.buffer.read()
    password = data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not password or any(character in password for character in "\r\n\0"):
        raise UsageError("--password-stdin takes one line, the password")
    return password


def from_netrc(host: str, user: str | None) -> Login | None:
    """Return what ``~/.netrc`` (or the file that NETRC names) has for the host, and for the user if one is given.

    Raises: UsageError for a file that others can read, or that makes no sense.
    """
    path = Path(os.environ.get("NETRC") or Path("~/.netrc").expanduser())
    try:
        facts = path.stat()
    except OSError:
        return None
    import netrc

    try:
        kept = netrc.netrc(str(path)).authenticators(host)
    except (netrc.NetrcParseError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be understood: {error}") from error
    except OSError:
        return None
    if kept is None or not kept[2] or user not in (None, kept[0]):
        return None
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise UsageError(f"{path} holds passwords and is not yours alone, so it is not used: chmod 600 {path}")
    return Login(kept[0], kept[2])


def _is_person_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()


def ask_person(question: str) -> str:
    """Return what somebody types at the terminal, unseen."""
    import getpass

    return getpass.getpass(question)
