"""Lines of other servers' listings, as captured or as their makers document them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.protocols.ftp.listed import Listed, parse_listing_line

NOW_S = 1_795_644_000  # 2026-11-25 22:00:00 UTC


def ns(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 10**9


MODIFIED_NS = ns(2026, 11, 25, 12, 0)


@pytest.mark.parametrize(
    ("line", "listed"),
    [
        ("-rw-r--r-- 1 ftp ftp 12 Nov 25 12:00 a", Listed("a", "file", 12, MODIFIED_NS)),
        (
            "-rw-r--r--    1 1000     1000           12 Nov 25 12:00 a b ",
            Listed("a b ", "file", 12, MODIFIED_NS),
        ),  # vsftpd
        ("-rw-r--r--   1 (?)      (?)            12 Nov 25 12:00 a", Listed("a", "file", 12, MODIFIED_NS)),  # proftpd
        ("-rw-r--r-- 1 ftp 12 Nov 25 12:00 a", Listed("a", "file", 12, MODIFIED_NS)),  # no group
        ("-rw-r--r-- 1 12 Nov 25 12:00 a", Listed("a", "file", 12, MODIFIED_NS)),
        ("-rw-r--r--+ 1 Domain Users 7 x 12 Nov 25 12:00 a", Listed("a", "file", 12, MODIFIED_NS)),
        ("-rw-r--r--. 1 ftp ftp 12 Nov 25 12:00:30 a", Listed("a", "file", 12, MODIFIED_NS)),
        ("-rw-r--r-- 1 ftp ftp 12 Nov 25 12:00  a", Listed(" a", "file", 12, MODIFIED_NS)),
        ("-rw-r--r-- 1 ftp ftp 12 25 Nov 12:00 a", Listed("a", "file", 12, MODIFIED_NS)),
        ("-rw-r--r-- 1 ftp ftp 12 25. nov 12:00 a", Listed("a", "file", 12, MODIFIED_NS)),
        ("-rw-r--r-- 1 ftp ftp 12 2026-11-25 12:00 a", Listed("a", "file", 12, MODIFIED_NS)),
        ("-rw-r--r-- 1 ftp ftp 12 11-25 12:00 a", Listed("a", "file", 12, MODIFIED_NS)),
        ("-rw-r--r-- 1 f f 12 2026-11-25 12:00:00.123456789 +0000 a", Listed("a", "file", 12, MODIFIED_NS)),
        ("-rw-r--r-- 1 ftp ftp 12 Nov 25  2024 a", Listed("a", "file", 12, ns(2024, 11, 25), 86_400)),
        ("-rw-r--r-- 1 ftp ftp 12 Nov  5 2024 a", Listed("a", "file", 12, ns(2024, 11, 5), 86_400)),
        ("-rw-r--r-- 1 ftp ftp 12 2024-11-25 a", Listed("a", "file", 12, ns(2024, 11, 25), 86_400)),
        # What looks like another line's end belongs to the name.
        (
            "-rw-r--r-- 1 ftp ftp 12 2026-11-25 12:00 1 Jan 1 10:00 b",
            Listed("1 Jan 1 10:00 b", "file", 12, MODIFIED_NS),
        ),
        ("drwxr-xr-x 2 ftp ftp 4096 Nov 25 12:00 .", Listed(".", "directory", None, MODIFIED_NS)),
        ("drwxrwsr-t 2 ftp ftp 4096 Nov 25 12:00 d -> e", Listed("d -> e", "directory", None, MODIFIED_NS)),
        ("lrwxrwxrwx 1 ftp ftp 4 Nov 25 12:00 a -> b -> c", Listed("a", "link", None, MODIFIED_NS, target="b -> c")),
        ("lrwxrwxrwx 1 ftp ftp 4 Nov 25 12:00 a", Listed("a", "link", None, MODIFIED_NS)),
        ("crw-rw-rw- 1 root root 1, 3 Nov 25 12:00 null", Listed("null", "other", None, MODIFIED_NS)),
        ("prw-r--r-- 1 ftp ftp 0 Nov 25 12:00 p", Listed("p", "other", None, MODIFIED_NS)),
        # NetWare
        ("d [R----F--] supervisor 512 Nov 25 12:00    login", Listed("login", "directory", None, MODIFIED_NS)),
        ("- [R----F--] rhesus 214059 Nov 25 12:00    cx.exe", Listed("cx.exe", "file", 214_059, MODIFIED_NS)),
        # A month nobody knows: the name is what matters.
        ("-rw-r--r-- 1 ftp ftp 12 Dez 25 12:00 a", Listed("a", "file", 12, None)),
        ("-rw-r--r-- 1 ftp ftp 12 Nov 31 12:00 a", Listed("a", "file", 12, None)),
        ("-rw-r--r-- 1 ftp ftp 12 Nov 25 24:00 a", Listed("a", "file", 12, None)),
    ],
)
def test_lines_of_ls_are_read(line: str, listed: Listed) -> None:
    assert parse_listing_line(line, NOW_S) == listed


@pytest.mark.parametrize(
    ("shown", "moment_ns"),
    [
        ("Nov 25 22:00", ns(2026, 11, 25, 22)),
        ("Nov 26 21:59", ns(2026, 11, 26, 21, 59)),  # their clock, or their zone, is ahead of ours
        ("Nov 26 22:01", ns(2025, 11, 26, 22, 1)),
        ("Dec 31 10:00", ns(2025, 12, 31, 10)),
        ("Jan  1 10:00", ns(2026, 1, 1, 10)),
        ("Feb 29 10:00", ns(2024, 2, 29, 10)),
    ],
)
def test_a_time_without_a_year_is_the_last_such(shown: str, moment_ns: int) -> None:
    assert parse_listing_line(f"-rw-r--r-- 1 a b 12 {shown} x", NOW_S) == Listed("x", "file", 12, moment_ns)


def test_at_new_year_our_clock_may_be_behind() -> None:
    now_s = ns(2026, 12, 31, 23, 30) // 10**9
    assert parse_listing_line("-rw-r--r-- 1 a b 12 Jan  1 00:15 x", now_s) == Listed(
        "x", "file", 12, ns(2027, 1, 1, 0, 15)
    )


@pytest.mark.parametrize(
    ("line", "listed"),
    [
        ("11-25-26  12:00PM       <DIR>          a b", Listed("a b", "directory", None, MODIFIED_NS)),
        ("11-25-2026  12:00PM                 1234 a b.txt", Listed("a b.txt", "file", 1_234, MODIFIED_NS)),
        ("11-25-26  12:00AM            1,234,567 x", Listed("x", "file", 1_234_567, ns(2026, 11, 25))),
        ("11/25/2026  01:05 PM    <DIR>          x", Listed("x", "directory", None, ns(2026, 11, 25, 13, 5))),
        ("2026-11-25  12:00    <SYMLINKD>     x", Listed("x", "link", None, MODIFIED_NS)),
        ("01-02-98  11:59PM   1 x", Listed("x", "file", 1, ns(1998, 1, 2, 23, 59))),
        ("25-11-26  12:00PM   1 x", Listed("x", "file", 1, None)),
    ],
)
def test_lines_of_ms_dos_are_read(line: str, listed: Listed) -> None:
    assert parse_listing_line(line, NOW_S) == listed


@pytest.mark.parametrize(
    ("line", "listed"),
    [
        # The examples of EPLF's description.
        ("+i8388621.29609,m824255902,/,\tdev", Listed("dev", "directory", None, 824_255_902 * 10**9, 1)),
        ("+i8388621.44468,m839956783,r,s10376,\tRFCEPLF", Listed("RFCEPLF", "file", 10_376, 839_956_783 * 10**9, 1)),
        ("+,\t name", Listed(" name", "other", None, None, 1)),
        ("+r,sx,m-1,\tx", Listed("x", "file", None, None, 1)),
        ("+r,s" + "9" * 5_000 + ",\tx", Listed("x", "file", None, None, 1)),
    ],
)
def test_lines_of_eplf_are_read(line: str, listed: Listed) -> None:
    assert parse_listing_line(line, NOW_S) == listed


@pytest.mark.parametrize("line", ["", " ", "\r\n", "total 0", "total 123", "total: 12", "total 4K"])
def test_what_is_no_entry_tells_nothing(line: str) -> None:
    assert parse_listing_line(line, NOW_S) is None


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_line_is_bytes_or_text_with_any_end(end: str) -> None:
    line = f"-rw-r--r-- 1 a b 12 Nov 25 12:00 \udcff{end}"
    listed = Listed("\udcff", "file", 12, MODIFIED_NS)
    assert parse_listing_line(line, NOW_S) == listed
    assert parse_listing_line(line.encode("utf-8", "surrogateescape"), NOW_S) == listed


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "226 Transfer complete.",
        "ls: cannot open directory",
        "-rw-r--r-- 1 a b 12 Nov 25 12:00",
        "-rw-r--r-- 1 a b 12 Nov 25 12:00 ",
        "-rw-r--r-- 1 a b c d",
        "-rw-r--r-- 1 a b 12 Nov 25 12:00 a\rb",
        "-rw-r--r-- 1 a b 12 Nov 25 12:00 a\0",
        "lrwxrwxrwx 1 a b 12 Nov 25 12:00  -> x",
        "11-25-26  12:00PM       <DIR>",
        "+r,s12 name",
        "+r,\t",
    ],
)
def test_lines_of_no_known_form_are_refused(line: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_listing_line(line, NOW_S)


@pytest.mark.parametrize("part", ["1 ", " 1", "9", " ", "Nov 25 ", "1 Nov 25 12:00", "a -> ", "1,", "/"])
def test_long_lines_are_read_or_refused_in_no_time(part: str) -> None:
    for beginning in ("-rw-r--r-- ", "11-25-26  12:00PM ", "+", "-rw-r--r-- 1 a b 12 Nov 25 12:00 ", "total "):
        try:
            parse_listing_line(beginning + part * 20_000, NOW_S)
        except MalformedMessage:
            continue


PARTS = [
    "-rw-r--r-- ",
    "lrwxrwxrwx ",
    "1 ",
    "Nov ",
    "25 ",
    "12:00 ",
    "2024",
    "-11-25 ",
    "<DIR> ",
    "+r,",
    "\t",
    "a -> b",
]


@given(
    st.binary(max_size=80) | st.lists(st.sampled_from(PARTS), max_size=12).map(lambda parts: "".join(parts).encode()),
    st.integers(0, 4 * 10**9),
)
def test_any_line_is_read_or_refused(line: bytes, now_s: int) -> None:
    try:
        listed = parse_listing_line(line, now_s)
    except MalformedMessage:
        return
    if listed is not None:
        assert listed.name
        assert not {"\r", "\n", "\0"} & set(listed.name)
