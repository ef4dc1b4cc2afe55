"""What people type about accounts."""

from __future__ import annotations

import contextlib
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.accounts.account import PERMISSIONS, READ_ONLY, Account, Permission
from portside.accounts.typed import (
    FIELD_BY_KEY,
    FIELDS,
    PERMISSION_NAMES,
    parse_login,
    parse_name,
    parse_permissions,
    parse_root,
    show_permissions,
)
from portside.errors import UsageError


def test_a_login_ends_its_name_at_the_first_colon() -> None:
    assert parse_login("anna:ge:heim") == ("anna", "ge:heim")
    assert parse_login("Ana Müller: x ") == ("Ana Müller", " x ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("anna", "there is no colon"),
        (":sesame", "it is empty"),
        ("anna:", "the password of 'anna' is empty"),
        ("anna:sesa\nme", "an end of line"),
        (" anna:sesame", "blanks at an end"),
        ("an\x00na:sesame", "cannot be seen"),
        ("a" * 65 + ":sesame", "more than 64 characters"),
    ],
)
def test_what_is_no_login_is_refused_without_telling_the_password(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_login(text)
    assert why in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a:b", "a\udc80", "\u202eanna", "anna\n"])
def test_what_nobody_can_be_called(text: str) -> None:
    with pytest.raises(UsageError, match="is no name of a user"):
        parse_name(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [("anna", "/anna"), ("/anna/", "/anna"), ("a//b/./c", "/a/b/c"), ("/", "/"), (".", "/"), ("..a", "/..a")],
)
def test_roots(text: str, path: str) -> None:
    assert parse_root(text) == path


@pytest.mark.parametrize("text", ["", "..", "a/../b", "a\0b", "a\rb"])
def test_what_is_no_root(text: str) -> None:
    with pytest.raises(UsageError):
        parse_root(text)


@given(st.text(max_size=20))
def test_no_text_is_a_root_that_leads_out(text: str) -> None:
    with contextlib.suppress(UsageError):
        path = parse_root(text)
        assert path.startswith("/")
        assert parse_root(path) == path
        assert not {"..", ".", ""} & set(path[1:].split("/") if path != "/" else ())


def test_permissions_by_word_and_by_name() -> None:
    assert parse_permissions("full") == PERMISSIONS
    assert parse_permissions(" read-only ") == READ_ONLY
    assert parse_permissions("none") == frozenset()
    assert parse_permissions("list, read ,write") == {"list", "read", "write"}
    with pytest.raises(UsageError, match="there is no permission 'reed'; did you mean read\\?"):
        parse_permissions("list,reed")
    with pytest.raises(UsageError, match="there is no permission 'xyzzy'; there are list, read"):
        parse_permissions("xyzzy")


@given(st.frozensets(st.sampled_from(PERMISSION_NAMES)))
def test_permissions_that_are_shown_can_be_typed(permissions: frozenset[Permission]) -> None:
    assert parse_permissions(show_permissions(permissions)) == permissions


def test_the_names_of_permissions_are_all_there_are() -> None:
    assert set(PERMISSION_NAMES) == set(get_args(Permission))


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("quota", "10GB", 10_000_000_000),
        ("rate_in", "64KiB/s", 65_536.0),
        ("rate_out", "1MB", 1_000_000.0),
        ("sessions", "3", 3),
        ("quota", "none", None),
        ("sessions", "None", None),
    ],
)
def test_limits(key: str, text: str, value: Any) -> None:
    field = FIELD_BY_KEY[key]
    assert field.parse(text) == value
    if value is not None:
        assert field.parse(field.show(value)) == value


@pytest.mark.parametrize("key", ["quota", "rate_in", "rate_out", "sessions"])
def test_a_limit_of_nothing_is_a_mistake(key: str) -> None:
    with pytest.raises(UsageError, match="none means no limit"):
        FIELD_BY_KEY[key].parse("0")


def test_no_permissions_are_not_no_limit() -> None:
    assert FIELD_BY_KEY["permissions"].parse("none") == frozenset()
    assert FIELD_BY_KEY["root"].parse("none") == "/none"


def test_every_attribute_of_an_account_can_be_typed() -> None:
    assert ["name", *(field.attribute for field in FIELDS)] == list(Account.__dataclass_fields__)
    assert [field.option for field in FIELDS] == [
        "--root",
        "--permissions",
        "--quota",
        "--rate-in",
        "--rate-out",
        "--sessions",
    ]
