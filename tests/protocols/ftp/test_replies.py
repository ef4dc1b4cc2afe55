"""Replies of one line and of many, as servers send them and as clients must take them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.ftp.replies import MalformedReply, Reply, ReplyReader, build_reply

codes = st.integers(100, 699)
texts = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=30)


def read(stream: bytes, **bounds: int) -> list[Reply]:
    """Return the replies in a stream of lines."""
    reader = ReplyReader(**bounds)
    lines = stream.removesuffix(b"\r\n").split(b"\r\n")
    replies = [reply for line in lines if (reply := reader.feed(line))]
    assert not reader.is_inside
    return replies


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply(200, ("Fine.",)), b"200 Fine.\r\n"),
        (Reply(200, ("",)), b"200 \r\n"),
        (Reply(200, ()), b"200 \r\n"),
        (Reply(211, ("Extensions:", " SIZE", "End")), b"211-Extensions:\r\n SIZE\r\n211 End\r\n"),
        (Reply(211, ("a", "b")), b"211-a\r\n211 b\r\n"),
        # RFC 959 section 4.2: a line between that begins with digits is padded.
        (
            Reply(123, ("First line", "Second line", "234 A line beginning with numbers", "The last line")),
            b"123-First line\r\nSecond line\r\n 234 A line beginning with numbers\r\n123 The last line\r\n",
        ),
        (Reply(211, ("a", "211 End", "b")), b"211-a\r\n 211 End\r\n211 b\r\n"),
        (Reply(257, ('"/Grüße"',)), '257 "/Grüße"\r\n'.encode()),
        (Reply(257, ('"/\udcff"',)), b'257 "/\xff\xff"\r\n'),  # RFC 854: a byte 255 travels twice
    ],
)
def test_a_reply_has_the_form_of_section_4_2(reply: Reply, wire: bytes) -> None:
    assert build_reply(reply) == wire


@pytest.mark.parametrize("lines", [("a\r\n226 b",), ("a\n", "b\r", "c\0"), ("", "\r\n", "")])
def test_a_name_cannot_answer_in_the_servers_place(lines: tuple[str, ...]) -> None:
    wire = build_reply(Reply(550, lines))
    assert wire.count(b"\r\n") == wire.count(b"\n") == wire.count(b"\r") == len(lines)
    assert b"\0" not in wire
    assert read(wire) == [
        Reply(550, tuple(line.replace("\r", "?").replace("\n", "?").replace("\0", "?") for line in lines))
    ]


@pytest.mark.parametrize("code", [0, 99, 700, 1_000, -200])
def test_a_code_has_three_digits(code: int) -> None:
    with pytest.raises(ValueError, match="is no code of a reply"):
        build_reply(Reply(code, ("x",)))


@given(codes, st.lists(texts, min_size=1, max_size=6).map(tuple))
def test_what_was_built_is_read(code: int, lines: tuple[str, ...]) -> None:
    (reply,) = read(build_reply(Reply(code, lines)))
    assert reply.code == code
    assert len(reply.lines) == len(lines)
    for got, line in zip(reply.lines, lines, strict=True):
        assert got in (line, f" {line}")  # padded, where it looked like a code


@pytest.mark.parametrize(
    ("stream", "reply"),
    [
        (b"220 Welcome", Reply(220, ("Welcome",))),
        (b"226", Reply(226, ("",))),
        (b"226 ", Reply(226, ("",))),
        (b"\r\n\r\n226 ok", Reply(226, ("ok",))),  # empty lines between replies
        (b"220\tWelcome", Reply(220, ("\tWelcome",))),
        (b"\xff\xfb\x01220 hi", Reply(220, ("hi",))),
        (b'257 "\xff\xff"', Reply(257, ('"\udcff"',))),
        (b"220-\r\n220 ", Reply(220, ("", ""))),
        (b"230-Hello\r\n230-there\r\n230 go on", Reply(230, ("Hello", "there", "go on"))),
        (b"230-Hello\r\n there\r\n\r\n230 go on", Reply(230, ("Hello", " there", "", "go on"))),
        # Neither another code nor this one without a blank ends it.
        (b"211-a\r\n226 b\r\n211b\r\n2111 c\r\n211 d", Reply(211, ("a", "226 b", "211b", "2111 c", "d"))),
        (b"211-a\r\n211", Reply(211, ("a", ""))),
        # vsftpd and proftpd, as captured
        (
            b"211-Features:\r\n EPRT\r\n EPSV\r\n MDTM\r\n REST STREAM\r\n SIZE\r\n UTF8\r\n211 End",
            Reply(211, ("Features:", " EPRT", " EPSV", " MDTM", " REST STREAM", " SIZE", " UTF8", "End")),
        ),
        (
            b"211-Features:\r\n211-CCC\r\n211-PBSZ\r\n211 End",
            Reply(211, ("Features:", "CCC", "PBSZ", "End")),
        ),
    ],
)
def test_what_servers_send_is_read(stream: bytes, reply: Reply) -> None:
    assert read(stream) == [reply]


def test_replies_follow_each_other() -> None:
    stream = b"150 It comes.\r\n226-There\r\n226 it was.\r\n221 Goodbye.\r\n"
    assert [reply.code for reply in read(stream)] == [150, 226, 221]


def test_a_line_may_come_with_its_end_or_without() -> None:
    assert [ReplyReader().feed(line) for line in (b"200 x\r\n", b"200 x\n", b"200 x")] == [Reply(200, ("x",))] * 3


@pytest.mark.parametrize("line", [b"hello", b"22", b"2200 x", b"22x y", b" 220 x", b"000 x", b"700 x", b"HTTP/1.1 400"])
def test_what_begins_without_a_code_is_no_reply(line: bytes) -> None:
    with pytest.raises(MalformedReply):
        ReplyReader().feed(line)


@pytest.mark.parametrize("line", [b"x", b"", b"220-x", b"x" * 500])
def test_a_reply_without_end_is_not_read_for_ever(line: bytes) -> None:
    stream = b"220-x\r\n" + 101 * (line + b"\r\n") + b"220 end"
    with pytest.raises(MalformedReply, match="is not read on"):
        read(stream, lines_max=100, bytes_max=10_000)


def test_empty_lines_before_a_reply_are_bounded_too() -> None:
    with pytest.raises(MalformedReply, match="is not read on"):
        read(101 * b"\r\n" + b"220 x", bytes_max=100)


def test_the_bounds_are_those_of_one_reply() -> None:
    reader = ReplyReader(lines_max=3, bytes_max=30)
    for _ in range(50):
        assert reader.feed(b"220-1234567") is None
        assert reader.is_inside
        assert reader.feed(b"220 1234567") == Reply(220, ("1234567", "1234567"))
        assert not reader.is_inside


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_any_lines_are_replies_or_refused(lines: list[bytes]) -> None:
    reader = ReplyReader()
    try:
        replies = [reader.feed(line) for line in (b"220-x", *lines)]
    except MalformedReply:
        return
    for reply in filter(None, replies):
        assert 100 <= reply.code <= 699
        assert reply.lines


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (150, ["is_preliminary"]),
        (226, ["is_completion"]),
        (350, ["is_intermediate"]),
        (421, ["is_transient", "is_negative"]),
        (550, ["is_permanent", "is_negative"]),
        (631, []),
    ],
)
def test_the_first_digit_tells_how_it_stands(code: int, told: list[str]) -> None:
    properties = [name for name in vars(Reply) if name.startswith("is_")]
    assert [name for name in properties if getattr(Reply(code, ("",)), name)] == told


def test_a_reply_is_shown_with_its_code() -> None:
    reply = Reply(230, ("a", "b"))
    assert reply.text == "a\nb"
    assert str(reply) == "230 a\nb"
