"""What is printed: for people aligned and harmless, for programs valid JSON."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import InternetAddress, UnixAddress, parse_endpoint
from portside.cli.output import (
    Column,
    harmless,
    print_array,
    print_listing,
    print_object,
    styled,
    table_lines,
    to_json,
    to_text,
    wants_colour,
    width_of,
)


@dataclass(frozen=True)
class Thing:
    name: str
    peer: InternetAddress


WHEN = datetime(2026, 11, 21, 6, 7, 8, 901_000, UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (InternetAddress("::1", 80), {"host": "::1", "port": 80}),
        (UnixAddress("/run/x"), {"path": "/run/x"}),
        (WHEN, "2026-11-21T06:07:08.901000+00:00"),
        (timedelta(minutes=1.5), 90.0),
        (float("inf"), None),
        (float("nan"), None),
        (0.25, 0.25),
        (True, True),
        (b"a\xff", "a\\xff"),
        ((1, None), [1, None]),
        ({1: UnixAddress("@a")}, {"1": {"path": "@a"}}),
        (Thing("x", InternetAddress("192.0.2.1", 7)), {"name": "x", "peer": {"host": "192.0.2.1", "port": 7}}),
        (parse_endpoint(":9000"), "tcp://[::]:9000"),
        (ip_address("192.0.2.1"), "192.0.2.1"),
        (ip_network("2001:db8::/32"), "2001:db8::/32"),
        (Thing, str(Thing)),
    ],
)
def test_values_in_json(value: object, expected: object) -> None:
    assert to_json(value) == expected


def test_values_in_tables() -> None:
    values = [None, "", True, False, 1.5, 2.0, WHEN, b"x", ("a", None), [], InternetAddress("::1", 80), 12]
    assert [to_text(value) for value in values] == [
        "-",
        "-",
        "yes",
        "no",
        "1.5",
        "2",
        "2026-11-21 06:07:08+00:00",
        "x",
        "a, -",
        "-",
        "[::1]:80",
        "12",
    ]


cells = st.one_of(st.none(), st.text(max_size=6), st.integers(-999, 999), st.floats(), st.binary(max_size=4))
rows = st.lists(st.fixed_dictionaries({"a": cells, "b_c": cells}), max_size=5)
COLUMNS = (Column("a", right=True), Column("b_c"))


@given(rows)
def test_a_table_is_one_harmless_line_a_row_and_its_columns_line_up(rows: list[dict[str, object]]) -> None:
    lines = table_lines(rows, COLUMNS)
    assert len(lines) == 1 + len(rows)
    assert all(line.isprintable() for line in lines)
    firsts = [harmless(to_text(row["a"])) for row in rows]
    width = max([1, *(width_of(first) for first in firsts)])
    for line, first in zip(lines[1:], firsts, strict=True):
        assert line.ljust(99).startswith(" " * (width - width_of(first)) + first)


@given(rows)
def test_json_listings_are_what_was_listed(rows: list[dict[str, object]]) -> None:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        print_array(rows)
        for row in rows:
            print_object(row)
    array, _, lines = out.getvalue().partition("]\n")
    assert out.getvalue().isascii()
    assert json.loads(array + "]") == [to_json(row) for row in rows]
    assert [json.loads(line) for line in lines.splitlines()] == [to_json(row) for row in rows]


def test_a_table_as_people_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("name"), Column("bytes_in", right=True), Column("age_s", "AGE", show=lambda age: f"{age}s"))
    print_listing([{"name": "écho 東", "bytes_in": 12, "age_s": 3}, {"name": "x"}], columns, as_json=False)
    assert capsys.readouterr().out == "NAME     BYTES IN  AGE\nécho 東        12  3s\nx               -  -\n"
    print_listing([], columns, as_json=False, empty="nobody is here")
    print_listing([], columns, as_json=True)
    assert capsys.readouterr().out == "nobody is here\n[]\n"


@given(st.text())
def test_harmless_text_is_printable_and_leaves_printable_text_alone(text: str) -> None:
    assert harmless(text).isprintable()
    if text.isprintable():
        assert harmless(text) == text


def test_harmless_shows_what_it_took_the_power_from() -> None:
    assert harmless("\x1b[2J\r\n\u202e\U000e0001") == "\\x1b[2J\\x0d\\x0a\\u202e\\U000e0001"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert styled("x", "red", stream=Terminal()) == "\x1b[31mx\x1b[0m"
    assert styled("x", "red", stream=io.StringIO()) == "x"
    assert styled("", "red", stream=Terminal()) == ""
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    assert wants_colour(Terminal(), {"NO_COLOR": ""})
    assert not wants_colour(None)
    closed = Terminal()
    closed.close()
    closed.isatty = lambda: io.StringIO.isatty(closed)  # type: ignore[method-assign]
    assert not wants_colour(closed)
