"""What is said again is not worked out again, and it cannot be told from the answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.http.limits import HttpLimits
from portside.protocols.http.refusals import RequestRefused
from portside.protocols.http.requests import _PLAIN_LINE, RequestHead, RequestReader
from portside.protocols.http.responses import MalformedResponse, ResponseWriter

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"

LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"GET /a?b=c HTTP/1.1",
        b"HEAD /a HTTP/1.1",
        b"POST /a HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET http://other.example/a HTTP/1.1",
        b"GET / HTTP/1.0",
        b"OPTIONS * HTTP/1.1",
        b"GET /" + b"x" * 50 + b" HTTP/1.1",
    ]
)
FIELDS = st.sampled_from(
    [
        b"Host: example.net",
        b"Host: example.net\r\nAccept: */*",
        b"Host: example.net\r\nConnection: close",
        b"Host: example.net\r\nConnection: keep-alive, upgrade\r\nUpgrade: other",
        b"Host: example.net\r\nExpect: 100-continue",
        b"Host: example.net\r\nContent-Length: 0",
        b"Accept: */*",
    ]
)


def first_head(reader: RequestReader, stream: bytes) -> RequestHead | int:
    """Return the request's head, or the status it is refused with."""
    try:
        reader.receive(stream)
        head = reader.next_head()
    except RequestRefused as refusal:
        return refusal.status
    assert head is not None
    assert reader.next_body() == b""
    assert reader.body_is_over
    return head


@given(st.lists(st.tuples(LINES, FIELDS), min_size=2, max_size=6))
def test_a_request_is_read_as_if_it_were_the_first(requests: list[tuple[bytes, bytes]]) -> None:
    limits = HttpLimits(target_bytes=40)
    reader = RequestReader(limits)
    for line, fields in requests:
        stream = b"%b\r\n%b\r\n\r\n" % (line, fields)
        head = first_head(reader, stream)
        assert head == first_head(RequestReader(limits), stream)
        if not isinstance(head, RequestHead) or not head.framing.keeps_alive:
            return  # nothing is read behind it
        head.headers.append((b"of", b"the application"))


@given(st.from_regex(_PLAIN_LINE, fullmatch=True))
def test_the_parser_takes_every_line_that_it_may_not_be_asked_of(line: bytes) -> None:
    head = first_head(RequestReader(HttpLimits()), line + b"Host: example.net\r\n\r\n")
    assert isinstance(head, RequestHead)
    repeated = RequestReader(HttpLimits())
    first_head(repeated, b"GET / HTTP/1.1\r\nHost: example.net\r\n\r\n")
    assert first_head(repeated, line + b"Host: example.net\r\n\r\n") == head


def answer(*starts: tuple[int, list[tuple[bytes, bytes]]], version: str = "1.1", keeps_alive: bool = True) -> bytes:
    """Return a response of three bytes after these attempts to begin it."""
    writer = ResponseWriter(version, is_head=False, keeps_alive=keeps_alive)
    for status, fields in starts:
        try:
            writer.start(status, fields, DATE)
        except MalformedResponse:
            continue
    before, after, _ = writer.frame(3, more=False)
    return before + b"abc" + after


OK = (200, [(b"x-says", b"this"), (b"content-length", b"3")])


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_response_said_again_is_the_same(version: str) -> None:
    first = answer(OK, version=version)
    assert answer(OK, version=version) == first
    assert first.count(b"content-length: 3\r\n") == first.count(b"date: ") == 1
    assert b"connection: close\r\n" in answer(OK, version=version, keeps_alive=False)
    assert answer(OK, version=version) == first


def test_whoever_ends_the_connection_ends_it_every_time() -> None:
    fields = [(b"x-says", b"that"), (b"connection", b"close")]
    assert answer((200, fields)) == answer((200, fields))
    assert b"connection: close\r\n" in answer((200, fields))


def test_a_start_that_failed_leaves_nothing_behind() -> None:
    failed = (200, [(b"date", DATE), (b"content-length", b"9"), (b"x", b"a\r\nb")])
    later = (500, [(b"x-says", b"sorry")])
    for _ in range(2):
        assert answer(failed, later) == answer(later)
        assert answer(later).count(b"date: ") == 1


def test_fields_that_are_lists_are_taken_too() -> None:
    fields: list[tuple[bytes, bytes]] = [[b"x-says", b"this"], [b"content-length", b"3"]]  # type: ignore[list-item]
    assert answer((200, fields)) == answer(OK)


def test_what_is_remembered_has_an_end() -> None:
    from portside.protocols.http import responses

    for number in range(6_000):
        answer((200, [(b"x-number", b"%d" % number)]))
    assert len(responses._heads_known) <= 4_096
    answer((200, [(b"x-long", b"x" * 5_000)]))
    assert all(len(known[0]) <= 2_048 for known in responses._heads_known.values())
