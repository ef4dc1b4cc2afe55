"""On which line of a TOML document each key stands: tomllib knows while it parses, and does not say.

A scanner, not a second parser: the document must be one that tomllib has accepted, so that nothing here needs to be
checked. Source: TOML 1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import Final, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys from the top of the document, with an index for each array passed: ``("service", "a", "listen", 0)``."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BLANK: Final = re.compile(r"[ \t]*")
_BLANK_LINES: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
_STRINGS: Final = (
    # The long ones first. A closing triple quote may have one or two quotes of the content right before it.
    re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:\\.|[^"\\\n])*"'),
    re.compile(r"'[^'\n]*'"),
)


def lines_of_keys(document: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, where each key, table and array element of the document first stands."""
    return _Scanner(document).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        self._tables: dict[KeyPath, int] = {}  # arrays of tables: how many elements each has so far

    def scan(self) -> dict[KeyPath, int]:
        base: KeyPath = ()
        while self._skip(_BLANK_LINES) < len(self._text):
            if self._text[self._at] == "[":
                base = self._header()
            else:
                self._pair(base)
        return self._lines

    def _header(self) -> KeyPath:
        start, is_array = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        keys = self._keys()
        self._at += 2 if is_array else 1
        path = self._note((), keys[:-1], start)
        path = (*path, keys[-1])
        if is_array:
            self._lines.setdefault(path, self._line_at(start))
            index = self._tables[path] = self._tables.get(path, -1) + 1
            path = (*path, index)
        self._lines.setdefault(path, self._line_at(start))
        return path

    def _note(self, base: KeyPath, keys: list[str], start: int) -> KeyPath:
        """Note every table on the way down the keys, into the last element where one is an array. Returns the path."""
        path = base
        for key in keys:
            path = (*path, key)
            self._lines.setdefault(path, self._line_at(start))
            if path in self._tables:
                path = (*path, self._tables[path])
        return path

    def _pair(self, base: KeyPath) -> None:
        start = self._at
        path = self._note(base, self._keys(), start)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        first = self._text[self._at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._text[self._skip(_BLANK_LINES)] != "]":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._lines[(*path, index)] = self._line_at(self._at)
            self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._text[self._skip(_BLANK_LINES)] != "}":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)
        self._at += 1

    def _keys(self) -> list[str]:
        """Return the parts of a dotted key; stands behind it and its blanks afterwards."""
        keys = [self._key()]
        while self._text[self._skip(_BLANK)] == ".":
            self._at += 1
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        start = self._skip(_BLANK)
        if self._text[start] in "\"'":
            quoted = self._string()
            return str(tomllib.loads(f"key = {quoted}")["key"])
        self._skip(_BARE_KEY)
        return self._text[start : self._at]

    def _string(self) -> str:
        start = self._at
        for pattern in _STRINGS:
            match = pattern.match(self._text, start)
            if match:
                self._at = match.end()
                return match[0]
        raise ValueError(f"no string ends that starts on line {self._line_at(start)}")  # tomllib would have refused

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at

    def _line_at(self, offset: int) -> int:
        return bisect_right(self._newlines, offset - 1) + 1
