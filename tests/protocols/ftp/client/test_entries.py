"""What a server tells of its files, as values; and what it must not make us believe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.protocols.ftp.client.entries import RemoteEntry, parse_fact_line, parse_list_line

NOON_NS = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20 UTC
NOW_S = 1_700_000_000.0


def test_facts_become_an_entry() -> None:
    line = b"Type=file;Size=12;Modify=20231114221320;Unique=1.2;UNIX.mode=0644;UNIX.owner=anna;UNIX.group=g; a b.txt"
    assert parse_fact_line(line) == RemoteEntry(
        "a b.txt", "file", 12, NOON_NS, is_exact=True, mode=0o644, owner="anna", group="g", unique="1.2"
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("file", "file"),
        ("dir", "directory"),
        ("OS.unix=slink:/etc/passwd", "link"),
        ("OS.unix=symlink", "link"),
        ("OS.unix=chr-1/3", "other"),
        ("", "other"),
    ],
)
def test_the_type_fact_says_the_kind(kind: str, expected: str) -> None:
    entry = parse_fact_line(f"type={kind}; name".encode())
    assert entry is not None
    assert entry.kind == expected


@pytest.mark.parametrize("kind", ["cdir", "pdir", "CDir"])
def test_the_directory_itself_and_the_one_above_are_no_entries(kind: str) -> None:
    assert parse_fact_line(f"type={kind}; /home".encode()) is None


def test_facts_that_make_no_sense_are_not_told() -> None:
    line = b"type=file;size=-1;modify=yesterday;UNIX.mode=0999; name"
    assert parse_fact_line(line) == RemoteEntry("name", "file")
    assert parse_fact_line(b"type=file;size=" + b"9" * 30 + b"; name") == RemoteEntry("name", "file")


def test_a_mode_as_python_writes_it_is_understood() -> None:
    entry = parse_fact_line(b"type=file;unix.mode=0o755; name")  # pyftpdlib
    assert entry is not None
    assert entry.mode == 0o755


@pytest.mark.parametrize("name", ["..", ".", "../x", "/etc/passwd", "a/b", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_fact_line(f"type=file; {name}".encode())
    if name not in (".", ".."):  # ls -a lists these
        with pytest.raises(MalformedMessage):
            parse_list_line(f"-rw-r--r-- 1 a a 1 Nov 14 12:00 {name}".encode(), NOW_S)


def test_mlst_may_tell_any_path_of_what_was_asked_for() -> None:
    assert parse_fact_line(" type=cdir; /a/b", name="b") == RemoteEntry("b", "directory")


def test_a_line_of_ls_becomes_an_entry_whose_time_is_not_exact() -> None:
    entry = parse_list_line(b"-rw-r--r--    1 ftp  ftp   12 Nov 14  2022 a b.txt", NOW_S)
    assert entry is not None
    assert (entry.name, entry.kind, entry.size_bytes, entry.is_exact) == ("a b.txt", "file", 12, False)
    assert parse_list_line(b"total 12", NOW_S) is None
    assert parse_list_line(b"drwxr-xr-x 1 a a 1 Nov 14 12:00 ..", NOW_S) is None


@given(st.one_of(st.binary(), st.text().map(lambda text: f"type=file;size=1; {text}".encode("utf-8", "replace"))))
def test_any_line_is_an_entry_with_a_harmless_name_or_refused(line: bytes) -> None:
    for parse in (parse_fact_line, lambda line: parse_list_line(line, NOW_S)):
        try:
            entry = parse(line)
        except MalformedMessage:
            continue
        assert entry is None or (entry.name not in ("", ".", "..") and "/" not in entry.name)
