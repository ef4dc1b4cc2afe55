"""Facts of files, as MLST and MLSD tell them and as other servers do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.accounts.account import PERMISSIONS, READ_ONLY, Permission
from portside.errors import MalformedMessage
from portside.protocols.ftp.facts import (
    FACTS,
    Special,
    build_facts,
    build_facts_lines,
    build_perm,
    parse_fact_wishes,
    parse_facts,
)
from portside.protocols.ftp.times import build_time
from portside.storage.contract import Entry, Kind

MODIFIED_NS = 1_795_644_000_000_000_000  # 2026-11-25 22:00:00
FILE = Entry("a b.txt", "file", 1_234, MODIFIED_NS, 0o644, 1, "anna", "users", "fd00g1")
DIRECTORY = Entry("sub", "directory", 4_096, MODIFIED_NS, 0o1755, 2, "anna", "users", "fd00g2")

names = st.text(st.characters(exclude_characters="\r\n\0/", exclude_categories=["Cs"]), min_size=1, max_size=30)
words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=";"), min_size=1, max_size=10)
entries = st.builds(
    Entry,
    name=names,
    kind=st.sampled_from(["file", "directory", "link", "other"]),
    size_bytes=st.integers(0, 2**63 - 1),
    modified_ns=st.integers(-(2**63), 2**63),
    mode=st.integers(0, 0o7777),
    links=st.integers(1, 100),
    owner=words,
    group=words,
    unique=st.just("") | words,
)


def test_a_file_is_told_as_the_rfc_shows_it() -> None:
    assert build_facts(FILE, FACTS, PERMISSIONS) == (
        "type=file;size=1234;modify=20261125220000;perm=adfrw;unique=fd00g1;"
        "UNIX.mode=0644;UNIX.owner=anna;UNIX.group=users; a b.txt"
    )


def test_a_directory_has_no_size() -> None:
    assert build_facts(DIRECTORY, FACTS, PERMISSIONS) == (
        "type=dir;modify=20261125220000;perm=cdeflmp;unique=fd00g2;"
        "UNIX.mode=01755;UNIX.owner=anna;UNIX.group=users; sub"
    )


@pytest.mark.parametrize("kind", ["cdir", "pdir"])
def test_the_directory_itself_is_told_by_another_type_and_name(kind: Special) -> None:
    assert build_facts(DIRECTORY, ["type"], PERMISSIONS, kind, name="/a/sub") == f"type={kind}; /a/sub"


@pytest.mark.parametrize(
    ("kind", "told"),
    [("file", "file"), ("directory", "dir"), ("link", "OS.unix=slink"), ("other", "OS.unix=special")],
)
def test_each_kind_has_a_type(kind: Kind, told: str) -> None:
    assert build_facts(Entry("x", kind, 0, 0, 0), ["type"], PERMISSIONS) == f"type={told}; x"


def test_only_wanted_facts_are_told_in_their_order() -> None:
    assert build_facts(FILE, ["UNIX.mode", "size"], PERMISSIONS) == "size=1234;UNIX.mode=0644; a b.txt"
    assert build_facts(FILE, [], PERMISSIONS) == " a b.txt"


def test_a_percent_sign_is_only_that() -> None:
    entry = Entry("100%s.txt", "file", 1, 0, 0o600, owner="50%d", group="%%")
    assert build_facts(entry, ["UNIX.owner", "UNIX.group"], []) == "UNIX.owner=50%d;UNIX.group=%%; 100%s.txt"


def test_an_owner_cannot_forge_facts() -> None:
    entry = Entry("x", "file", 1, 0, 0o600, owner="a;type=dir; b\r\n")
    assert build_facts(entry, ["UNIX.owner"], []) == "UNIX.owner=a_type=dir__b__; x"


@pytest.mark.parametrize(
    ("kind", "permissions", "letters"),
    [
        ("file", PERMISSIONS, "adfrw"),
        ("file", READ_ONLY, "r"),
        ("file", {"write"}, "w"),
        ("file", {"append"}, "a"),
        ("file", {"list"}, ""),
        ("directory", PERMISSIONS, "cdeflmp"),
        ("directory", READ_ONLY, "el"),
        ("directory", {"write"}, "ce"),
        ("directory", {"mkdir"}, "dem"),
        ("directory", {"delete"}, "ep"),
        ("directory", set(), "e"),
        ("link", PERMISSIONS, "df"),
        ("other", READ_ONLY, ""),
    ],
)
def test_letters_tell_what_may_be_done(kind: Kind, permissions: set[Permission], letters: str) -> None:
    assert build_perm(kind, permissions) == letters


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("type;size;modify;", ("type", "size", "modify")),
        ("MODIFY;Type", ("type", "modify")),  # in the server's order, without the last semicolon
        ("unix.mode;UNIX.OWNER;", ("UNIX.mode", "UNIX.owner")),
        ("create;lang;media-type;size;", ("size",)),
        ("type;type;", ("type",)),
        ("", ()),
        (";", ()),
    ],
)
def test_wishes_are_what_is_available(text: str, wanted: tuple[str, ...]) -> None:
    assert parse_fact_wishes(text) == wanted


def test_wishes_may_be_of_fewer_facts() -> None:
    assert parse_fact_wishes("type;size;", ("size", "modify")) == ("size",)


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(entries, max_size=8), st.sets(st.sampled_from(FACTS)), st.sets(st.sampled_from(sorted(PERMISSIONS))))
def test_lines_are_what_each_entry_makes(listed: list[Entry], wanted: set[str], permissions: set[Permission]) -> None:
    lines = build_facts_lines(listed, wanted, permissions).decode("utf-8", "surrogateescape")
    assert lines == "".join(f"{build_facts(entry, wanted, permissions)}\r\n" for entry in listed)


def test_names_that_would_forge_a_line_are_left_out() -> None:
    listed = [
        Entry(name, "file", 1, 0, 0o644)
        for name in ("a", "b\r\ntype=dir; c", "b\n", "\rb", "d", "\r\n", "\n\r", "e\udcff")
    ]
    assert build_facts_lines(listed, ["size"], []) == b"size=1; a\r\nsize=1; d\r\nsize=1; e\xff\r\n"
    assert build_facts_lines(listed[:1] + listed[2:3], ["size"], []) == b"size=1; a\r\n"
    assert build_facts(listed[1], ["size"], []) == "size=1; b??type=dir; c"


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(entries, st.sets(st.sampled_from(FACTS), min_size=1))
def test_what_was_built_is_read(entry: Entry, wanted: set[str]) -> None:
    line = build_facts(entry, wanted, PERMISSIONS)
    facts, name = parse_facts(line)
    if facts:  # a directory of whom only the size was wanted has none
        assert name == entry.name
    if "modify" in facts:
        assert facts["modify"] == build_time(entry.modified_ns)
    if "size" in facts:
        assert int(facts["size"]) == entry.size_bytes
    if "unix.owner" in facts:
        assert facts["unix.owner"] == entry.owner
    assert parse_facts(f"{line}\r\n".encode("utf-8", "surrogateescape")) == (facts, name)


@pytest.mark.parametrize(
    ("line", "facts", "name"),
    [
        # RFC 3659 section 7.7
        (
            "Type=file;Size=1024990;Perm=r; /tmp/cap60.pl198.tar.gz",
            {"type": "file", "size": "1024990", "perm": "r"},
            "/tmp/cap60.pl198.tar.gz",
        ),
        (
            " Type=dir;Modify=19981107085215;Perm=el; /tmp",
            {"type": "dir", "modify": "19981107085215", "perm": "el"},
            "/tmp",
        ),
        ("Type=OS.unix=slink:/foobar;Perm=; foobar", {"type": "OS.unix=slink:/foobar", "perm": ""}, "foobar"),
        (" a file", {}, "a file"),  # no facts were wanted
        ("type=file;  leading blank", {"type": "file"}, " leading blank"),
        ("type=file; a; b=c; d", {"type": "file"}, "a; b=c; d"),
        ("type=file a", {"type": "file"}, "a"),  # the last semicolon is missing
        ("type=file;unix.group=Domain Users; a", {"type": "file", "unix.group": "Domain Users"}, "a"),
        ("type=file;;odd;size=1; a", {"type": "file", "size": "1"}, "a"),
        ("size=1;size=2; a", {"size": "2"}, "a"),
        ("type=file; a\r\n", {"type": "file"}, "a"),
        ("type=file; a\n", {"type": "file"}, "a"),
        (b"type=file; \xff", {"type": "file"}, "\udcff"),
    ],
)
def test_what_servers_send_is_read(line: str | bytes, facts: dict[str, str], name: str) -> None:
    assert parse_facts(line) == (facts, name)


@pytest.mark.parametrize(
    "line",
    [
        *("", " ", "total 12", "type=file;", "type=file; ", "type=file", "-rw-r--r-- 1 a b 1 Nov 25 12:00 x", "; a"),
        *("type=file; a\rb", "type=file; a\nb", "type=file; a\0b", "type=file; a\n\n"),
    ],
)
def test_a_line_without_facts_or_name_is_refused(line: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_facts(line)


@given(st.binary(max_size=60) | st.lists(st.sampled_from([b"a", b"=", b";", b" ", b"\r"]), max_size=12).map(b"".join))
def test_any_line_is_facts_or_refused(line: bytes) -> None:
    try:
        facts, name = parse_facts(line)
    except MalformedMessage:
        return
    assert name
    assert not {"\r", "\n", "\0"} & set(name)
    assert all(fact == fact.lower() for fact in facts)
