"""Paths as people type them never lead above the root, and mean what they mean in a shell."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.storage.contract import Denied
from portside.storage.paths import NAME_BYTES_MAX, join, resolve, split

names = st.sampled_from(["a", "b", "..a", "a..", "...", "ä", "\udce4", " ", "-", "~"])
pieces = st.sampled_from(["a", "b", "..", ".", "", "...", " ", "\udcff"])
directories = st.lists(names, max_size=4).map(lambda parts: "/" + "/".join(parts))
typed_paths = st.one_of(
    st.lists(pieces, max_size=8).map("/".join),
    st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=[]), max_size=20),
)


@given(directories, typed_paths)
def test_a_path_is_what_a_shell_means_by_it(directory: str, typed: str) -> None:
    meant = posixpath.normpath("/" + (typed if typed.startswith("/") else f"{directory}/{typed}"))
    assert resolve(directory, typed) == "/" + meant.lstrip("/")


@given(directories, st.text(max_size=30))
def test_whatever_is_typed_gives_a_plain_path_or_is_denied(directory: str, typed: str) -> None:
    try:
        path = resolve(directory, typed)
    except Denied:
        assert set(typed) & set("\0\r\n")
        return
    assert path.startswith("/")
    assert path == "/" or not {"", ".", ".."} & set(path.split("/")[1:])
    assert resolve("/elsewhere", path) == path


@given(directories, names)
def test_a_path_is_its_directory_and_its_name(directory: str, name: str) -> None:
    path = join(directory, name)
    assert split(path) == (directory, name)
    assert resolve(directory, name) == path


def test_the_root_has_no_name() -> None:
    assert split("/") == ("/", "")


@pytest.mark.parametrize("typed", ["a\0", "\0", "a\rb", "a\nb", "/a/\r\n/../b"])
def test_what_forges_something_is_denied(typed: str) -> None:
    with pytest.raises(Denied, match="NUL, CR or LF"):
        resolve("/", typed)


def test_what_is_too_long_is_denied() -> None:
    longest = "ä" * (NAME_BYTES_MAX // 2) + "x"
    assert resolve("/", longest) == f"/{longest}"
    with pytest.raises(Denied, match="255 bytes"):
        resolve("/", longest + "x")
    with pytest.raises(Denied, match="4096 bytes"):
        resolve("/", f"{longest}/" * 16 + "x")
    deep = f"/{longest}" * 16
    assert resolve(deep, "") == deep
    with pytest.raises(Denied, match="4096 bytes"):
        resolve(deep, "x")
