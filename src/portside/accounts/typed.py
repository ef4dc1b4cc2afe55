"""What an account looks like when somebody types it: on the command line and in a file of users alike."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from portside.accounts.account import PERMISSIONS, READ_ONLY, Account, Permission
from portside.errors import UsageError
from portside.units import parse_count, parse_size, parse_size_rate, show_size

NAME_CHARACTERS_MAX: Final = 64
_NOTHING: Final[frozenset[Permission]] = frozenset()
_SETS: Final[Mapping[str, frozenset[Permission]]] = {"full": PERMISSIONS, "read-only": READ_ONLY, "none": _NOTHING}
# The order in which they are shown; a set has none.
PERMISSION_NAMES: Final[tuple[Permission, ...]] = (
    "list", "read", "write", "append", "delete", "rename", "mkdir", "chmod",
)  # fmt: skip


# ── names and passwords ──────────────────────────────────────────────────────────────────────────────────────────────


def parse_name(text: str) -> str:
    """Return the user's name. Raises: UsageError for what no user can be called."""
    why = why_no_name(text)
    if why:
        raise UsageError(f"{text!r} is no name of a user: {why}")
    return text


def why_no_name(text: str) -> str | None:
    """Return what is wrong with the name, None where nothing is."""
    if not text:
        return "it is empty"
    if len(text) > NAME_CHARACTERS_MAX:
        return f"it has more than {NAME_CHARACTERS_MAX} characters"
    if not text.isprintable() or text != text.strip():
        return "it has blanks at an end, or characters that cannot be seen"
    if ":" in text:
        return "a colon ends the name where a password follows it"  # RFC 7617 section 2 has it so too
    return None


def parse_login(text: str) -> tuple[str, str]:
    """Return the name and the password of ``NAME:PASSWORD``; a password may hold colons.

    Raises: UsageError, whose sentence does not tell the password.
    """
    name, colon, password = text.partition(":")
    if not colon:
        raise UsageError("a login is NAME:PASSWORD, and there is no colon")
    parse_name(name)
    refuse_password(password, of=name)
    return name, password


def refuse_password(password: str, *, of: str) -> None:
    """Raise UsageError for a password that nobody could have, or not type again."""
    if not password:
        raise UsageError(f"the password of {of!r} is empty")
    if any(character in password for character in "\0\r\n"):
        raise UsageError(f"the password of {of!r} holds a NUL or an end of line, and no client could send it")


# ── what an account has ──────────────────────────────────────────────────────────────────────────────────────────────


def parse_root(text: str) -> str:
    """Return the path below the service's root, ``/`` or ``/a/b``: ``anna`` and ``/anna/`` are one. Raises: UsageError.

    ``..`` is refused rather than resolved: whoever types it here is mistaken about where the path begins.
    """
    if not text.isprintable():
        raise UsageError(f"{text!r} is no path: it has characters that cannot be seen")
    names = [name for name in text.split("/") if name and name != "."]
    if not text or ".." in names:
        raise UsageError(f"{text!r} is no path below the service's own directory: write anna, or / for all of it")
    return "/" + "/".join(names)


def parse_permissions(text: str) -> frozenset[Permission]:
    """Return what is allowed by ``full``, ``read-only``, ``none``, or words with commas between. Raises: UsageError."""
    if text.strip() in _SETS:
        return _SETS[text.strip()]
    return permissions_of(word.strip() for word in text.split(","))


def permissions_of(words: Iterable[str]) -> frozenset[Permission]:
    """Return the permissions that the words name. Raises: UsageError with the nearest word."""
    known = {name: name for name in PERMISSION_NAMES}
    found = set[Permission]()
    for word in words:
        if word not in known:
            known_words = [*PERMISSION_NAMES, *_SETS]
            raise UsageError(f"there is no permission {word!r}{nearest(word, known_words)}")
        found.add(known[word])
    return frozenset(found)


def show_permissions(permissions: frozenset[Permission]) -> str:
    """Return the shortest way to type them."""
    for word, meant in _SETS.items():
        if permissions == meant:
            return word
    return ",".join(name for name in PERMISSION_NAMES if name in permissions)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return what to add to "there is no …": the nearest right word, or else what there is."""
    known = list(known)
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


def _at_least_one(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse_limit(text: str) -> Any:
        value = parse(text)
        if value < 1:
            raise UsageError(f"{text!r} allows nothing: the least is 1, and none means no limit")
        return value

    return parse_limit


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that can be said of an account: its key in a file, and ``attribute`` of ``Account`` where it ends."""

    key: str
    attribute: str
    parse_text: Callable[[str], Any]
    show: Callable[[Any], str]
    metavar: str
    sentence: str
    is_number: bool = False  # a bare number will do in a file

    @property
    def option(self) -> str:
        return "--" + self.key.replace("_", "-")

    @property
    def default(self) -> Any:
        return getattr(_DEFAULTS, self.attribute)

    def parse(self, text: str) -> Any:
        """Return the value of what was typed; ``none`` is no limit. Raises: UsageError."""
        if self.default is None and text.strip().lower() == "none":
            return None
        return self.parse_text(text)


_DEFAULTS: Final = Account("")

FIELDS: Final[tuple[Field, ...]] = (
    Field("root", "root", parse_root, str, "PATH", "directory below the service's own that is all this user sees"),
    Field(
        "permissions", "permissions", parse_permissions, show_permissions, "WORDS",
        f"what is allowed: full, read-only, none, or some of {', '.join(PERMISSION_NAMES)} with commas between",
    ),
    Field(
        "quota", "quota_bytes", _at_least_one(parse_size), show_size, "SIZE",
        "how much may be stored below the root, in bytes, or 64KiB 10MB", is_number=True,
    ),
    Field(
        "rate_in", "bytes_in_per_s", _at_least_one(parse_size_rate), show_size, "SIZE",
        "how many bytes a second may be sent to the server", is_number=True,
    ),
    Field(
        "rate_out", "bytes_out_per_s", _at_least_one(parse_size_rate), show_size, "SIZE",
        "how many bytes a second may be fetched from it", is_number=True,
    ),
    Field(
        "sessions", "sessions_max", _at_least_one(parse_count), str, "N",
        "how many sessions may be open at once", is_number=True,
    ),
)  # fmt: skip
FIELD_BY_KEY: Final = {field.key: field for field in FIELDS}
