"""The text of a TOML file of users: where each one stands in it, and how to change one and leave the rest as it is.

Tables are found by their header lines, which a text within a text could imitate; so whoever changes something
compares what the new document says with what it should say (``toml_file``), and nothing is written on a mistake.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

Value: TypeAlias = str | int | None
"""Of a key: text, a number, or None for a key that is not there."""

_HEADER: Final = re.compile(r"[ \t]*\[")
_USER_HEADER: Final = re.compile(
    r"[ \t]*\[[ \t]*user[ \t]*\.[ \t]*(\"(?:\\.|[^\"\\])*\"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*\]"
)
_PAIR: Final = re.compile(r"[ \t]*(\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*=")
# A value that ends on its line, and a comment behind it.
_WHOLE_PAIR: Final = re.compile(
    r"[^=]*=[ \t]*(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\"'#\[{]+?|\[[^#\[\]\n]*\])([ \t]*#.*)?[ \t]*"
)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class _Table:
    """The lines of a user's table, counted from 0: its header, and where what belongs to it ends."""

    header: int
    end: int


def line_of(text: str, name: str, key: str | None = None) -> int | None:
    """Return the line, counted from 1, of the user's key; of the table's header where it has no such key.

    None where the table is written another way than ``[user.NAME]``.
    """
    lines = text.split("\n")
    table = _find(lines, name)
    if table is None:
        return None
    at = None if key is None else _find_key(lines, table, key)
    return (table.header if at is None else at) + 1


def add_table(text: str, name: str, values: Mapping[str, Value]) -> str:
    """Return the text with the user's table behind all others."""
    pairs = [f"{key} = {_show(value)}" for key, value in values.items() if value is not None]
    new = [f"[user.{_show_key(name)}]", *pairs, ""]
    end = _end_of_line(text)
    if text and not text.endswith("\n"):
        text += end
    return text + (end if text.strip() else "") + end.join(new)


def change_table(text: str, name: str, values: Mapping[str, Value]) -> str | None:
    """Return the text with these keys of the user changed; comments stay, those behind a value too.

    None where the table is written another way than ``[user.NAME]``.
    """
    end = _end_of_line(text)
    lines = text.split(end)
    table = _find(lines, name)
    if table is None:
        return None
    for key, value in values.items():
        table = _change_key(lines, table, key, value)
    return end.join(lines)


def remove_table(text: str, name: str) -> str | None:
    """Return the text without the user's table; comments above it stay. None as ``change_table``."""
    end = _end_of_line(text)
    lines = text.split(end)
    table = _find(lines, name)
    if table is None:
        return None
    before, after = lines[: table.header], lines[table.end :]
    # Of the empty lines before and behind it one is enough, and none at the end.
    while len(after) > 1 and _is_blank(after[0]) and (not before or _is_blank(before[-1])):
        del after[0]
    while len(after) == 1 and before and _is_blank(before[-1]):
        del before[-1]
    return end.join(before + after)


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _end_of_line(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _is_blank(line: str) -> bool:
    return not line.strip()


def _find(lines: list[str], name: str) -> _Table | None:
    for at, line in enumerate(lines):
        match = _USER_HEADER.match(line)
        if match and _key_of(match[1]) == name:
            return _Table(at, _end_of_table(lines, at))
    return None


def _end_of_table(lines: list[str], header: int) -> int:
    """Return where the table ends: comments and empty lines before the next header belong to what follows."""
    end = header + 1
    while end < len(lines) and not _HEADER.match(lines[end]):
        end += 1
    while _is_blank(lines[end - 1]) or lines[end - 1].lstrip().startswith("#"):
        end -= 1
    return end


def _find_key(lines: list[str], table: _Table, key: str) -> int | None:
    for at in range(table.header + 1, table.end):
        match = _PAIR.match(lines[at])
        if match and _key_of(match[1]) == key:
            return at
    return None


def _change_key(lines: list[str], table: _Table, key: str, value: Value) -> _Table:
    """Change, add or take away one pair. Returns the table as it is then."""
    at = _find_key(lines, table, key)
    if at is None:
        start = end = table.end
        comment = ""
    else:
        start, end, comment = at, *_end_of_pair(lines, table, at)
    new = [] if value is None else [f"{key} = {_show(value)}{comment}"]
    lines[start:end] = new
    return _Table(table.header, table.end + len(new) - (end - start))


def _end_of_pair(lines: list[str], table: _Table, at: int) -> tuple[int, str]:
    """Return the line behind a pair, and the comment behind its value; a value over several lines loses its own."""
    whole = _WHOLE_PAIR.fullmatch(lines[at])
    if whole:
        return at + 1, whole[1] or ""
    end = at + 1
    while end < table.end and not _PAIR.match(lines[end]):
        end += 1
    return end, ""


def _key_of(written: str) -> str | None:
    """Return the key that is written bare or in quotes; None for quotes that mean nothing."""
    if written[0] not in "\"'":
        return written
    try:
        return next(iter(tomllib.loads(f"{written} = 0")))
    except tomllib.TOMLDecodeError:
        return None


def _show_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _show(key)


def _show(value: str | int) -> str:
    # JSON's escapes are TOML's too, but for DEL, which no name, path or hash has.
    return json.dumps(value, ensure_ascii=False)
