"""LIST beside ls itself, what may be asked for, and patterns."""

from __future__ import annotations

import grp
import os
import pwd
import random
import re
import stat
import subprocess
import time
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.ftp.listed import parse_listing_line
from portside.protocols.ftp.listing import (
    SIX_MONTHS_S,
    STREAM_WIDTHS,
    ListRequest,
    Widths,
    arrange,
    build_heading,
    build_listing,
    build_listing_line,
    build_names,
    has_pattern,
    matcher,
    parse_list_argument,
    split_pattern,
    widths_of,
)
from portside.protocols.ftp.times import NS_PER_S
from portside.storage.contract import Entry

NOW_S = 1_795_644_000  # 2026-11-25 22:00:00 UTC
DAY_S = 86_400

names = st.text(st.characters(exclude_characters="\r\n\0/", exclude_categories=["Cs"]), min_size=1, max_size=30)
words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=10)
entries = st.builds(
    Entry,
    name=names,
    kind=st.sampled_from(["file", "directory", "link", "other"]),
    size_bytes=st.integers(0, 2**63 - 1),
    modified_ns=st.integers(-(2**63), 2**63),
    mode=st.integers(0, 0o7777),
    links=st.integers(1, 1_000),
    owner=words,
    group=words,
)


def file(name: str, **facts: object) -> Entry:
    values: dict[str, object] = {"size_bytes": 1, "modified_ns": NOW_S * NS_PER_S, "mode": 0o644, **facts}
    return Entry(name, "file", **values)  # type: ignore[arg-type]


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def entry_of(path: Path) -> Entry:
    """Return what a storage would say of a file of the test's own."""
    facts = path.lstat()
    return Entry(
        path.name,
        "directory" if stat.S_ISDIR(facts.st_mode) else "other" if stat.S_ISFIFO(facts.st_mode) else "file",
        facts.st_size,
        facts.st_mtime_ns,
        stat.S_IMODE(facts.st_mode),
        facts.st_nlink,
        pwd.getpwuid(facts.st_uid).pw_name,
        grp.getgrgid(facts.st_gid).gr_name,
    )


def test_a_listing_is_what_ls_prints(tmp_path: Path) -> None:
    rng = random.Random(1)
    begun_s = time.time()
    for number in range(40):
        path = tmp_path / f"file {number} ü"
        path.write_bytes(bytes(rng.randrange(20_000)))
        modified_s = begun_s - rng.choice(
            [rng.randrange(SIX_MONTHS_S - DAY_S), rng.randrange(40 * 366 * DAY_S), -DAY_S]
        )
        os.utime(path, (modified_s, modified_s))
        path.chmod(rng.randrange(0o10_000))
    (tmp_path / "sub" / "below").mkdir(parents=True)
    os.mkfifo(tmp_path / "fifo")
    os.link(tmp_path / "file 1 ü", tmp_path / "another name")
    now_s = time.time()  # not before the last of them was made: that would be in the future
    printed = subprocess.run(
        ["ls", "-l", "--quoting-style=literal", "--show-control-chars"],
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC0"},
        capture_output=True,
        check=True,
    ).stdout
    total, *lines = printed.splitlines()
    assert total.startswith(b"total ")
    listed = arrange(map(entry_of, tmp_path.iterdir()), ListRequest())
    assert build_listing(listed, now_s).split(b"\r\n") == [*lines, b""]


@pytest.mark.parametrize(
    ("age_s", "shown"),
    [
        (0, "Nov 25 22:00"),
        (60, "Nov 25 21:59"),
        (20 * DAY_S, "Nov  5 22:00"),
        (SIX_MONTHS_S - 1, "May 27 "),
        (SIX_MONTHS_S, "May 27  2026"),
        (-1, "Nov 25  2026"),  # in the future
        (NOW_S + 1, "Dec 31  1969"),
        (NOW_S + 200_000 * DAY_S, "Jun  3  1422"),
        (10**12, "Jan  1     1"),  # before year 1, and as near as can be
        (-(10**12), "Dec 31  9999"),
    ],
)
def test_old_files_are_shown_with_their_year(age_s: int, shown: str) -> None:
    line = build_listing_line(file("x", modified_ns=(NOW_S - age_s) * NS_PER_S), NOW_S)
    assert shown in line


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (file("x", mode=0o4755), "-rwsr-xr-x 1 owner group 1 Nov 25 22:00 x"),
        (Entry("x", "directory", 4_096, 0, 0o1777, 2), "drwxrwxrwt 2 owner group 4096 Jan  1  1970 x"),
        (Entry("x", "link", 3, 0, 0o777), "lrwxrwxrwx 1 owner group 3 Jan  1  1970 x"),
        (Entry("x", "other", 0, 0, 0), "p--------- 1 owner group 0 Jan  1  1970 x"),
        (file("100%s", owner="50%d"), "-rw-r--r-- 1 50%d group 1 Nov 25 22:00 100%s"),
        (file("x", owner="a b", group="c\r\nd"), "-rw-r--r-- 1 a_b c__d 1 Nov 25 22:00 x"),  # columns stay columns
    ],
)
def test_each_line_has_the_columns_of_ls(entry: Entry, line: str) -> None:
    assert build_listing_line(entry, NOW_S) == line


def test_columns_are_as_wide_as_their_widest_value_or_as_said() -> None:
    listed = [file("a", owner="anna", size_bytes=1_000), file("b", group="wheel", links=12)]
    assert build_listing(listed, NOW_S).decode().splitlines() == [
        "-rw-r--r--  1 anna  group 1000 Nov 25 22:00 a",
        "-rw-r--r-- 12 owner wheel    1 Nov 25 22:00 b",
    ]
    assert build_listing(listed[1:], NOW_S, STREAM_WIDTHS) == (
        b"-rw-r--r--  12 owner    wheel               1 Nov 25 22:00 b\r\n"
    )
    assert widths_of([]) == Widths()
    assert build_listing([], NOW_S) == b""


@given(st.lists(entries, max_size=8))
def test_a_listing_is_the_lines_of_its_entries(listed: list[Entry]) -> None:
    widths = widths_of(listed)
    lines = "".join(f"{build_listing_line(entry, NOW_S, widths)}\r\n" for entry in listed)
    assert build_listing(listed, NOW_S).decode("utf-8", "surrogateescape") == lines


@given(entries)
def test_our_own_lines_are_read_back(entry: Entry) -> None:
    listed = parse_listing_line(build_listing(([entry]), NOW_S), NOW_S)
    assert listed is not None
    assert (listed.kind, listed.size_bytes) == (entry.kind, entry.size_bytes if entry.kind == "file" else None)
    if entry.kind != "link" and not re.search(r"\d ", f"{entry.owner} {entry.group} "):
        assert listed.name == entry.name


def test_a_name_cannot_forge_a_line() -> None:
    listed = [file("a\r\n-rw-r--r-- 1 root root 1 Nov 25 22:00 b"), file("c\nd"), file("e\rf"), file("\n\r"), file("g")]
    lines = build_listing(listed, NOW_S).decode().split("\r\n")
    assert [line[40:] for line in lines] == [
        "a??-rw-r--r-- 1 root root 1 Nov 25 22:00 b",
        "c?d",
        "e?f",
        "??",
        "g",
        "",
    ]
    assert build_listing_line(listed[1], NOW_S).endswith(" c?d")
    assert build_names(listed) == b"g\r\n"
    assert build_names([file("\n\r")]) == b""


def test_names_are_listed_as_they_are() -> None:
    assert build_names([file("a b"), file("\udcff"), file("ü")], "dir/") == b"dir/a b\r\ndir/\xff\r\ndir/\xc3\xbc\r\n"


def test_directories_of_a_recursive_listing_have_headings() -> None:
    assert build_heading(".", first=True) + build_heading("./a\r\nb") == b".:\r\n\r\n./a??b:\r\n"


# ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("argument", "request_"),
    [
        ("", ListRequest()),
        ("dir", ListRequest("dir")),
        ("a b ", ListRequest("a b ")),
        (" a", ListRequest(" a")),
        ("-a", ListRequest(hidden=True, dots=True)),
        ("-A", ListRequest(hidden=True)),
        ("-la", ListRequest(hidden=True, dots=True, long=True)),
        ("-a -l my files", ListRequest("my files", hidden=True, dots=True, long=True)),
        ("-al  dir", ListRequest("dir", hidden=True, dots=True, long=True)),
        ("-R1", ListRequest(recursive=True, one_column=True)),
        ("-dtSr x", ListRequest("x", directory_itself=True, by_time=True, by_size=True, reverse=True)),
        ("-Fgh", ListRequest()),  # ls has them, and they mean nothing here
        ("-- -a", ListRequest("-a")),
        ("-l -- -a -l", ListRequest("-a -l", long=True)),
        ("--", ListRequest("")),
        ("./-a", ListRequest("./-a")),
        ("-a.txt", ListRequest("-a.txt")),  # no letters of ls: it is a name
        ("-report", ListRequest("-report")),
        ("-l -report", ListRequest("-report", long=True)),
        ("-", ListRequest("-")),
        ("--all", ListRequest("--all")),
        ("dir -a", ListRequest("dir -a")),
    ],
)
def test_options_come_before_the_path(argument: str, request_: ListRequest) -> None:
    assert parse_list_argument(argument) == request_


@given(st.text(max_size=30) | st.text("-alR .x", max_size=20))
def test_every_name_can_be_asked_for(name: str) -> None:
    parse_list_argument(name)
    assert parse_list_argument(f"-- {name}").path == name
    assert parse_list_argument(f"-l ./{name}") == ListRequest(f"./{name}", long=True)


@pytest.mark.parametrize(
    ("argument", "order"),
    [
        ("", "B a b c"),
        ("-a", ".d B a b c"),
        ("-A", ".d B a b c"),
        ("-r", "c b a B"),
        ("-t", "c a b B"),
        ("-S", "b B a c"),
        ("-Sr", "c a B b"),
        ("-tr", "B b a c"),
    ],
)
def test_entries_come_in_the_order_asked_for(argument: str, order: str) -> None:
    listed = [
        file("c", size_bytes=1, modified_ns=4),
        file("a", size_bytes=1, modified_ns=3),
        file("b", size_bytes=9, modified_ns=3),
        file("B", size_bytes=5, modified_ns=1),
        file(".d", size_bytes=3, modified_ns=2),
    ]
    assert [entry.name for entry in arrange(listed, parse_list_argument(argument))] == order.split()


# ── patterns ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "has", "parts"),
    [
        ("*.txt", True, ("", "*.txt")),
        ("a/b?", True, ("a/", "b?")),
        ("/[ab]", True, ("/", "[ab]")),
        ("a*/b", False, ("a*/", "b")),
        ("a/", False, ("a/", "")),
        ("", False, ("", "")),
    ],
)
def test_only_the_last_name_is_a_pattern(path: str, has: bool, parts: tuple[str, str]) -> None:
    assert has_pattern(path) is has
    assert split_pattern(path) == parts


@pytest.mark.parametrize(
    ("pattern", "names", "matched"),
    [
        ("*", "a .a ab", "a ab"),
        ("?", "a .a ab", "a"),
        (".*", "a .a ..a", ".a ..a"),
        ("[.]a", ".a", ""),
        ("*.txt", "a.txt A.TXT .txt a.txt~", "a.txt"),
        ("[a-c]x", "ax dx bx", "ax bx"),
        ("[!a-c]x", "ax dx .x", "dx"),
        ("a[", "a[ a", "a["),
        ("(a|b)+", "a (a|b)+", "(a|b)+"),
    ],
)
def test_patterns_are_those_of_a_shell(pattern: str, names: str, matched: str) -> None:
    assert list(filter(matcher(pattern), names.split())) == matched.split()


@given(st.text("ab.*?[]!-\\^", max_size=12), st.text("ab.[]-!\\^", max_size=8))
def test_any_pattern_matches_or_not(pattern: str, name: str) -> None:
    shown = not name.startswith(".") or pattern.startswith(".")
    assert matcher(pattern)(name) == (shown and fnmatchcase(name, pattern))


def test_no_pattern_takes_for_ever() -> None:
    started_s = time.process_time()
    assert not matcher("*a" * 60 + "b")("a" * 255)
    assert time.process_time() - started_s < 1  # it takes a millisecond; with backtracking the age of the universe
