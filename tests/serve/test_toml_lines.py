"""The line index must know every key that tomllib finds, on the line where it was written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.serve.toml_lines import KeyPath, lines_of_keys


def paths_in(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of everything inside a parsed document."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from paths_in(item, (*path, key))


class Writer:
    """Writes nested values as TOML in a random style, and notes where each key came to stand."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[KeyPath, int] = {}

    def note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def blank_lines(self) -> str:
        return str(self.draw(st.sampled_from(["", " ", "\n", "\r\n", "# x = ']\"\n", " \n\n", "\t"])))

    def key(self, key: str) -> str:
        bare = key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()
        styles = [json.dumps(key)] + ([key] if bare else []) + ([f"'{key}'"] if "'" not in key else [])
        return str(self.draw(st.sampled_from(styles)))

    def table(self, path: KeyPath, table: dict[str, Any]) -> None:
        """Write first the pairs, then the tables under headers of their own."""
        inner = {key: value for key, value in table.items() if is_table(value) and self.draw(st.booleans())}
        for key, value in table.items():
            if key not in inner:
                self.text += self.blank_lines()
                self.note((*path, key))
                self.text += f"{self.key(key)} = "
                self.value((*path, key), value)
                self.text += " # a = 1\n" if self.draw(st.booleans()) else "\n"
        for key, value in inner.items():
            self.text += self.blank_lines()
            self.note((*path, key))
            self.text += "[" + ".".join(self.key(str(part)) for part in (*path, key)) + "]\n"
            self.table((*path, key), value)

    def value(self, path: KeyPath, value: Any) -> None:
        if isinstance(value, dict):
            self.text += "{"
            for place, (key, item) in enumerate(value.items()):
                self.text += ", " if place else " "
                self.note((*path, key))
                self.text += f"{self.key(key)} = "
                self.value((*path, key), item)
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for index, item in enumerate(value):
                self.text += ("," if index else "") + self.blank_lines()
                self.note((*path, index))
                self.value((*path, index), item)
            self.text += self.blank_lines() + "]"
        elif isinstance(value, str):
            self.text += self.draw(st.sampled_from(spellings(value)))
        else:
            self.text += json.dumps(value)


def is_table(value: object) -> bool:
    return isinstance(value, dict)


def spellings(text: str) -> list[str]:
    """Return ways to write the string in TOML; those that cannot hold it are left out."""
    found = [json.dumps(text), '"""' + json.dumps(text)[1:-1] + '"""', '"""\n' + json.dumps(text)[1:-1] + '"""']
    if "'" not in text and text.isprintable():
        found += [f"'{text}'", f"'''{text}'''"]
    if text.isprintable() and "\\" not in text and '"' not in text:
        found += [f'"""{text}""""', f"'''{text}'''''"] if "'" not in text else []
    return found


texts = st.text(alphabet="ab'\"\\#[]{},=. \néø", max_size=8)
keys = st.one_of(st.text(alphabet="abc-_1", min_size=1, max_size=3), st.text(alphabet="a. #'[é", max_size=3))
values = st.recursive(
    st.one_of(texts, st.integers(-99, 99), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=12,
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[KeyPath, int]]:
    writer = Writer(draw)
    writer.table((), draw(st.dictionaries(keys, values, max_size=5)))
    return writer.text, writer.lines


@given(documents())
def test_every_key_of_tomllib_has_the_line_it_was_written_on(document: tuple[str, dict[KeyPath, int]]) -> None:
    text, lines = document
    found = lines_of_keys(text)
    assert set(found) == set(paths_in(tomllib.loads(text)))
    assert found == lines


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        ("", {}),
        ("# only = 'words'", {}),
        ("a.b.c = 1\na.d = 2", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1, ("a", "d"): 2}),
        ("\n[a . 'b']\n", {("a",): 2, ("a", "b"): 2}),
        (
            "[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 3",
            {
                ("a",): 1,
                ("a", 0): 1,
                ("a", 0, "b"): 2,
                ("a", 1): 3,
                ("a", 1, "b"): 4,
                ("a", 1, "c"): 5,
                ("a", 1, "c", "d"): 6,
            },
        ),
        ("when = 1979-05-27 07:32:00 # then\nnext = 1", {("when",): 1, ("next",): 2}),
        ('a = """\n\n"""\nb = 1', {("a",): 1, ("b",): 4}),
    ],
)
def test_lines_of_what_people_write(document: str, lines: dict[KeyPath, int]) -> None:
    assert lines_of_keys(document) == lines
