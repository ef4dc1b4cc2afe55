"""Responses: they say how long they are, keep to it, and nothing in them breaks out of its place."""

from __future__ import annotations

import http.client
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.http.dates import Dates, build_date
from portside.protocols.http.refusals import build_refusal
from portside.protocols.http.responses import MalformedResponse, ResponseWriter, build_early_hints
from portside.protocols.http.spoken import size_in_words, words_of_request, words_of_response
from portside.protocols.http.statuses import phrase_of, status_line

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
DATE_LINE = b"date: " + DATE + b"\r\n"
Fields = list[tuple[bytes, bytes]]


def writer(version: str = "1.1", *, is_head: bool = False, keeps_alive: bool = True) -> ResponseWriter:
    return ResponseWriter(version, is_head=is_head, keeps_alive=keeps_alive)


def say(
    response: ResponseWriter, *pieces: bytes, status: int = 200, fields: Fields | None = None, trailers: bool = False
) -> bytes:
    """Return the whole response with that body."""
    response.start(status, fields or [], DATE, trailers=trailers)
    said = b""
    for number, piece in enumerate(pieces or (b"",), 1):
        before, after, carries = response.frame(len(piece), more=number < len(pieces))
        said += before + (piece if carries else b"") + after
    return said


LENGTH: Fields = [(b"Content-Length", b"5")]
CHUNKED: Fields = [(b"transfer-encoding", b"Chunked")]


@pytest.mark.parametrize(
    ("response", "fields", "pieces", "head", "body"),
    [
        # whole bodies
        (writer(), [], (b"hello",), b"content-length: 5", b"hello"),
        (writer(), [], (), b"content-length: 0", b""),
        (writer(), LENGTH, (b"hello",), b"content-length: 5", b"hello"),
        (writer(), CHUNKED, (b"hello",), b"transfer-encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        (writer("1.0"), [], (b"hello",), b"content-length: 5\r\nconnection: keep-alive", b"hello"),
        (writer(keeps_alive=False), [], (b"hello",), b"content-length: 5\r\nconnection: close", b"hello"),
        # bodies in pieces
        (writer(), LENGTH, (b"he", b"", b"llo"), b"content-length: 5", b"hello"),
        (writer(), LENGTH, (b"hello", b""), b"content-length: 5", b"hello"),
        (writer(), [], (b"he", b"", b"llo"), b"transfer-encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (writer(), [], (b"x" * 300, b""), b"transfer-encoding: chunked", b"12c\r\n" + b"x" * 300 + b"\r\n0\r\n\r\n"),
        (writer("1.0"), [], (b"he", b"llo"), b"connection: close", b"hello"),
        (writer("1.0"), CHUNKED, (b"he", b"llo"), b"connection: close", b"hello"),
        (writer("1.0"), LENGTH, (b"he", b"llo"), b"content-length: 5\r\nconnection: keep-alive", b"hello"),
        # who sends chunks sends no length
        (writer(), [*LENGTH, *CHUNKED], (b"hello",), b"transfer-encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        # HEAD
        (writer(is_head=True), LENGTH, (b"hello",), b"content-length: 5", b""),
        (writer(is_head=True), LENGTH, (), b"content-length: 5", b""),
        (writer(is_head=True), [], (b"he", b"llo"), b"", b""),
        (writer("1.0", is_head=True), [], (b"hello",), b"connection: keep-alive", b""),
    ],
)
def test_how_a_body_is_framed(
    response: ResponseWriter, fields: Fields, pieces: tuple[bytes, ...], head: bytes, body: bytes
) -> None:
    said = say(response, *pieces, fields=fields)
    assert said == b"HTTP/1.1 200 OK\r\n" + DATE_LINE + head + (b"\r\n" if head else b"") + b"\r\n" + body
    assert response.is_over
    assert response.keeps_alive is (b"close" not in head)


@pytest.mark.parametrize(
    ("status", "fields", "head"),
    [
        (204, [], b""),
        (204, LENGTH, b""),
        (304, [], b""),
        (304, LENGTH, b"content-length: 5\r\n"),
        (204, CHUNKED, b""),
    ],
)
def test_statuses_without_a_body(status: int, fields: Fields, head: bytes) -> None:
    said = say(response := writer(), b"hello", status=status, fields=fields)
    assert said == status_line(status) + DATE_LINE + head + b"\r\n"
    assert response.is_over
    assert response.keeps_alive


def test_what_is_said_of_the_connection_is_done_and_not_passed_on() -> None:
    fields = [(b"Connection", b"x, Close"), (b"Keep-Alive", b"timeout=5"), (b"X-One", b"1"), (b"upgrade", b"h2c")]
    said = say(response := writer(), b"", fields=fields)
    assert said == (
        b"HTTP/1.1 200 OK\r\nx-one: 1\r\nupgrade: h2c\r\n"
        + DATE_LINE
        + b"content-length: 0\r\nconnection: close\r\n\r\n"
    )
    assert not response.keeps_alive


def test_a_date_of_the_application_s_own_is_kept() -> None:
    assert say(writer(), b"", fields=[(b"Date", b"today")]) == (
        b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 0\r\n\r\n"
    )


def test_only_the_end_of_the_connection_ends_some_bodies() -> None:
    for version, pieces, ends in (("1.0", (b"a", b"b"), True), ("1.1", (b"a", b"b"), False), ("1.0", (b"a",), False)):
        say(response := writer(version), *pieces)
        assert response.ends_with_connection is ends


# ── what cannot be said ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "field",
    [
        (b"x", b"a\r\nset-cookie: b"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"a\0b"),
        (b"x\r\ny", b"a"),
        (b"x y", b"a"),
        (b"x:", b"a"),
        (b"", b"a"),
        (b"\xc3\xa4", b"a"),
        (b"content-length", b"5, 5"),
        (b"content-length", b"-5"),
        (b"content-length", b""),
        (b"content-length", b"\xd9\xa5"),
        (b"transfer-encoding", b"gzip"),
        (b"transfer-encoding", b"gzip, chunked"),
        (b"date", b"a\r\nb"),
    ],
)
def test_a_field_that_is_more_than_a_field_is_refused(field: tuple[bytes, bytes]) -> None:
    response = writer()
    with pytest.raises(MalformedResponse):
        response.start(200, [(b"content-type", b"text/plain"), field], DATE)
    assert not response.status, "something else can be said instead"


@given(st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=6)), max_size=3))
def test_any_fields_stay_in_their_lines_or_are_refused(fields: Fields) -> None:
    try:
        head = say(writer(), b"", fields=fields)
    except MalformedResponse:
        return
    lines = head.split(b"\r\n")
    assert b"".join(lines).translate(None, b"\r\n\0") == b"".join(lines)
    assert lines[-2:] == [b"", b""]
    heeded = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"content-length"}
    passed = [name.lower() for name, _ in fields if name.lower() not in heeded]
    assert [line.partition(b":")[0] for line in lines[1 : 1 + len(passed)]] == passed


def test_two_lengths_that_differ_are_refused_and_the_same_twice_is_one() -> None:
    with pytest.raises(MalformedResponse):
        say(writer(), b"hello", fields=[(b"content-length", b"5"), (b"content-length", b"6")])
    assert say(writer(), b"hello", fields=[*LENGTH, *LENGTH]).count(b"content-length") == 1


@pytest.mark.parametrize("pieces", [(b"hell",), (b"hello!",), (b"he", b"llo!"), (b"he", b"ll"), (b"hello!", b"")])
def test_a_body_of_another_length_than_was_said_is_refused(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedResponse, match="than its Content-Length says"):
        say(writer(), *pieces, fields=LENGTH)


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 1_000])
def test_a_response_has_a_final_status(status: int) -> None:
    with pytest.raises(MalformedResponse):
        writer().start(status, [], DATE)


# ── trailers and hints ───────────────────────────────────────────────────────────────────────────────────────────────


def test_trailers_stand_behind_the_last_chunk() -> None:
    said = say(response := writer(), b"he", b"llo", trailers=True)
    assert said.endswith(b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n")
    assert not response.is_over
    assert response.trailers([(b"Digest", b"x")], more=True) == b"0\r\ndigest: x\r\n"
    assert response.trailers([(b"y", b"z")], more=False) == b"y: z\r\n\r\n"
    assert response.is_over


def test_a_response_with_trailers_is_chunked_though_its_length_is_known() -> None:
    said = say(response := writer(), b"hello", fields=LENGTH, trailers=True)
    assert said.endswith(b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert response.trailers([], more=False) == b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("version", "is_head", "status"), [("1.0", False, 200), ("1.1", True, 200), ("1.1", False, 204)]
)
def test_trailers_are_dropped_where_there_can_be_none(version: str, is_head: bool, status: int) -> None:
    say(response := writer(version, is_head=is_head), b"hello", status=status, trailers=True)
    assert response.is_over


@pytest.mark.parametrize("field", [(b"x", b"a\r\nb"), (b"x y", b"a")])
def test_a_trailer_that_is_more_than_that_is_refused(field: tuple[bytes, bytes]) -> None:
    say(response := writer(), b"", trailers=True)
    with pytest.raises(MalformedResponse):
        response.trailers([field], more=False)


def test_early_hints() -> None:
    assert build_early_hints([b"</a.css>; rel=preload", b"</b.js>"]) == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>\r\n\r\n"
    )
    with pytest.raises(MalformedResponse):
        build_early_hints([b"</a>\r\nx: y"])


# ── the words ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "line"),
    [(200, b"HTTP/1.1 200 OK\r\n"), (418, b"HTTP/1.1 418 I'm a Teapot\r\n"), (299, b"HTTP/1.1 299 \r\n")],
)
def test_status_lines(status: int, line: bytes) -> None:
    assert status_line(status) == line
    assert phrase_of(status) == line[13:-2].decode()


def test_a_refusal_is_a_whole_response() -> None:
    class Socket:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(build_refusal(414, "the target is too long", DATE))

    response = http.client.HTTPResponse(Socket())  # type: ignore[arg-type]
    response.begin()
    assert (response.status, response.reason) == (414, "URI Too Long")
    assert response.will_close
    assert response.read() == b"The target is too long.\n"


def test_dates() -> None:
    assert build_date(784_111_777) == DATE
    assert build_date(0) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    now_s = [784_111_777.0]
    dates = Dates(lambda: now_s[0])
    first = dates.now()
    now_s[0] += 0.9
    assert dates.now() is first
    now_s[0] += 0.1
    assert dates.now() == b"Sun, 06 Nov 1994 08:49:38 GMT"
    assert Dates().now() in {build_date(time.time()), build_date(time.time() - 1)}


@pytest.mark.parametrize(
    ("size", "words"),
    [
        *((0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_234_567, "1.2 MB"), (9_949, "9.9 kB"), (9_950, "10 kB")),
        *((999_499, "999 kB"), (999_500, "1.0 MB"), (5 * 10**15, "5000 TB")),
    ],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert size_in_words(size) == words


def test_what_is_told_of_a_conversation_holds_no_secret() -> None:
    assert words_of_request("GET", b"/x", b"") == "GET /x"
    assert words_of_request("GET", b"/x", b"token=secret") == "GET /x?…"
    assert words_of_response(200, 1_234_567) == "200 OK 1.2 MB"
    assert words_of_response(204, 0) == "204 No Content"
    assert words_of_response(299, 5) == "299 5 B"
