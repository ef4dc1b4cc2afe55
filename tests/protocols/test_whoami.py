"""whoami: correct HTTP/1.0, whatever is asked and however it is cut, and a page that tells visitors who they are."""

from __future__ import annotations

import http.client
import io
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portside.address import InternetAddress, UnixAddress
from portside.contracts import Connection, TlsState
from portside.errors import NameNotFound
from portside.net.drive import drive
from portside.protocols import whoami
from portside.protocols.whoami.page import Visitor, build_page, build_text
from portside.protocols.whoami.request import (
    FIELDS_BYTES_MAX,
    FIELDS_MAX,
    FieldReader,
    RequestRefused,
    parse_field,
    parse_request_line,
    read_request,
)
from support.conversations import Conversations

if TYPE_CHECKING:
    from portside.contracts import Battery

NOW = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
BROWSER = b"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"
CURL = b"Host: localhost\r\nUser-Agent: curl/8\r\nAccept: */*\r\n"


@pytest.fixture
def battery() -> Battery:
    return whoami.whoami_battery(clock=NOW.timestamp)


class Socket:
    """What http.client wants of a socket: somebody else's reading of our answers."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.answer)


def parse(answer: bytes, method: str = "GET") -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(Socket(answer), method=method)  # type: ignore[arg-type]
    response.begin()
    return response


# ── conversations ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_request_is_answered_however_it_is_cut(
    conversations: Conversations, battery: Battery, size: int, end: bytes
) -> None:
    asked = b"GET / HTTP/1.0\r\nHost: a\r\nAccept: */*\r\n\r\n".replace(b"\r\n", end)
    pieces = [asked[i : i + size] for i in range(0, len(asked), size)]
    assert conversations.stream(battery.stream, *pieces) == (
        b"HTTP/1.0 200 OK\r\n"
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Server: Portside\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 29\r\n"
        b"Cache-Control: no-store\r\n"
        b"Vary: Accept\r\n"
        b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:\r\n"
        b"X-Content-Type-Options: nosniff\r\n"
        b"Connection: close\r\n"
        b"\r\n"
        b"address 192.0.2.7\nport 40123\n"
    )


def test_a_second_request_behind_the_first_is_not_answered(conversations: Conversations, battery: Battery) -> None:
    request = b"GET / HTTP/1.0\r\n\r\n"
    once = conversations.stream(battery.stream, request)
    assert conversations.stream(battery.stream, request + request) == once


def test_a_visitor_who_says_nothing_is_told_nothing(conversations: Conversations, battery: Battery) -> None:
    assert conversations.stream(battery.stream) == b""
    assert conversations.stream(battery.stream, b"\r\n") == b""


REQUEST = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("end", range(1, len(REQUEST) - 1))
def test_a_request_cut_short_is_no_request(conversations: Conversations, battery: Battery, end: int) -> None:
    heard = conversations.stream(battery.stream, REQUEST[:end])
    if REQUEST[:end].strip() == b"GET /":  # which is a request of HTTP/0.9
        assert heard.startswith(b"<!DOCTYPE html>")
    else:
        assert heard.startswith(b"HTTP/1.0 400 Bad Request\r\n")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (b"", "text/html"),
        (BROWSER, "text/html"),
        (CURL, "text/plain"),
        (b"Accept: text/plain\r\n", "text/plain"),
        (b"ACCEPT:\ttext/plain,\r\n\tTEXT/HTML\r\n", "text/html"),
        (b"Accept: text/html;q=0\r\n", "text/plain"),
        (b"Accept: text/html ; q=0.000, */*\r\n", "text/plain"),
        (b"Accept: text/html;q=0.001\r\n", "text/html"),
        (b"Accept: text/plain\r\nAccept: text/html\r\n", "text/html"),
    ],
)
def test_browsers_get_a_page_and_terminals_get_text(
    conversations: Conversations, battery: Battery, fields: bytes, kind: str
) -> None:
    response = parse(conversations.stream(battery.stream, b"GET /any/path?x HTTP/1.1\r\n" + fields + b"\r\n"))
    assert (response.status, response.version, response.reason) == (200, 10, "OK")
    assert response.getheader("Content-Type") == f"{kind}; charset=utf-8"
    body = response.read()
    assert str(len(body)) == response.getheader("Content-Length")
    assert b"192.0.2.7" in body
    assert b"40123" in body


@pytest.mark.parametrize("fields", [b"", BROWSER, CURL])
def test_head_is_get_without_the_page(conversations: Conversations, battery: Battery, fields: bytes) -> None:
    got = conversations.stream(battery.stream, b"GET / HTTP/1.0\r\n" + fields + b"\r\n")
    head = conversations.stream(battery.stream, b"HEAD / HTTP/1.0\r\n" + fields + b"\r\n")
    assert head == got[: got.index(b"\r\n\r\n") + 4]


@pytest.mark.parametrize("request_line", [b"GET /\r\n", b"GET  /index.html\n"])
def test_a_simple_request_gets_the_page_alone_and_at_once(
    conversations: Conversations, battery: Battery, request_line: bytes
) -> None:
    page = conversations.stream(battery.stream, request_line)
    assert page.startswith(b"<!DOCTYPE html>")
    assert page == parse(conversations.stream(battery.stream, REQUEST)).read()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"HEAD /\r\n\r\n", 400),
        (b"G\0T / HTTP/1.0\r\n\r\n", 400),
        (b"GET /a b HTTP/1.0\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/x\r\n\r\n", 400),
        (b"GET / HTTP/0.9\r\n\r\n", 400),
        (b"GET / http/1.0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n: no name\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost : blank before the colon\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n continues nothing\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\na=b", 405),
        (b"DELETE / HTTP/1.1\r\n\r\n", 405),
        (b"get / HTTP/1.0\r\n\r\n", 501),
        (b"BREW /pot HTTP/1.0\r\n\r\n", 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /" + b"a" * 8_200 + b" HTTP/1.0\r\n\r\n", 414),
        (b"GET /" + b"a" * 200_000, 414),
        (b"GET / HTTP/1.0\r\nCookie: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.0\r\nCookie: " + b"a" * 200_000, 431),
        (b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 20_000, 431),
        (b"GET / HTTP/1.0\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(101)) + b"\r\n", 431),
        (b"GET / HTTP/1.0\r\na: b\r\n" + b" \r\n" * 20_000, 431),
    ],
)
def test_what_cannot_be_answered_is_told_why(
    conversations: Conversations, battery: Battery, asked: bytes, status: int
) -> None:
    response = parse(conversations.stream(battery.stream, asked))
    assert (response.status, response.version) == (status, 10)
    assert response.getheader("Connection") == "close"
    assert (response.getheader("Allow") == "GET, HEAD") == (status == 405)
    body = response.read()
    assert len(body) == int(response.getheader("Content-Length") or 0)
    assert f"<h1>{status} ".encode() in body


def test_a_refused_head_has_no_page_either(conversations: Conversations, battery: Battery) -> None:
    heard = conversations.stream(battery.stream, b"HEAD / HTTP/1.0\r\nnonsense\r\n\r\n")
    assert heard.startswith(b"HTTP/1.0 400 ")
    assert heard.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("said", [b"", b"GET", b"GET / HTTP/1.0\r\n", b"GET / HTTP/1.0\r\nHost: a\r\n"])
def test_a_request_that_takes_too_long_is_told_so(conversations: Conversations, battery: Battery, said: bytes) -> None:
    # Time stands still in this world, and whoever waits in it for a while has waited long enough.
    assert conversations.stream(battery.stream, said, ends=False).startswith(b"HTTP/1.0 408 Request Timeout\r\n")


class SlowVisitor:
    """Says a line every 11 s, and notes how long it would have been waited for."""

    def __init__(self, *lines: bytes) -> None:
        self.network = self
        self.lines = list(lines)
        self.now = 0.0
        self.patience_s: list[float] = []

    def now_s(self) -> float:
        return self.now

    async def read_line(self, limit: int | None = None, timeout_s: float = 0.0) -> bytes | None:
        self.patience_s.append(timeout_s)
        self.now += 11.0
        return self.lines.pop(0)


def test_a_line_now_and_then_wins_no_time() -> None:
    visitor = SlowVisitor(b"GET / HTTP/1.0", b"a: b", b"c: d", b"")
    assert drive(read_request(cast(Connection, visitor)), handler="read_request", model="test") is not None
    assert visitor.patience_s == [30.0, 19.0, 8.0, 0.0]


@pytest.mark.parametrize(
    ("why", "status"),
    [("idle for too long", 408), ("too many connections", 503), ("the server is shutting down", 503)],
)
def test_the_runtime_sends_visitors_away_in_http(battery: Battery, why: str, status: int) -> None:
    assert battery.refusal is not None
    response = parse(battery.refusal(why))
    assert response.status == status
    assert why.encode() in response.read()


# ── who the visitor is ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_visitor_is_told_the_name_that_the_network_knows(conversations: Conversations, battery: Battery) -> None:
    conversations.network.host_names["192.0.2.7"] = "laptop.example"
    heard = conversations.stream(battery.stream, b"GET / HTTP/1.0\r\n" + CURL + b"\r\n")
    assert heard.endswith(b"\r\n\r\nname laptop.example\naddress 192.0.2.7\nport 40123\n")
    assert b"<h1>Hello, laptop.example</h1>" in conversations.stream(battery.stream, REQUEST)
    assert conversations.network.asked[0] == (InternetAddress("192.0.2.7", 40_123), whoami.NAME_S_MAX)


@pytest.mark.parametrize("error", [TimeoutError(), NameNotFound("192.0.2.7", "the server failed")])
def test_a_name_that_cannot_be_found_is_left_out(
    conversations: Conversations, battery: Battery, error: Exception
) -> None:
    conversations.network.failure = error
    assert conversations.stream(battery.stream, b"GET / HTTP/1.0\r\n" + CURL + b"\r\n").endswith(
        b"\r\n\r\naddress 192.0.2.7\nport 40123\n"
    )


def test_names_can_be_left_unasked(conversations: Conversations) -> None:
    conversations.stream(whoami.whoami_battery(names=False).stream, REQUEST)
    conversations.stream(whoami.whoami_battery().stream, REQUEST, peer=UnixAddress(""))
    assert conversations.network.asked == []


@pytest.mark.parametrize(
    ("visitor", "text"),
    [
        (Visitor(InternetAddress("fe80::1%eth0", 5)), b"address fe80::1%eth0\nport 5\n"),
        (Visitor(UnixAddress("")), b"address a socket of this machine\n"),
        (Visitor(UnixAddress("@x\ny")), b"address a socket of this machine @x?y\n"),
        (
            Visitor(InternetAddress("192.0.2.7", 5), "a\r\nport 9", TlsState("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
            b"name a??port 9\naddress 192.0.2.7\nport 5\nencryption TLSv1.3, TLS_AES_256_GCM_SHA384\n",
        ),
    ],
)
def test_the_text_has_a_line_a_fact(visitor: Visitor, text: bytes) -> None:
    assert build_text(visitor) == text


class Reader(HTMLParser):
    """Somebody else's reading of our page: its text, and its tags in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(min_size=1))
@example("<script>alert(1)</script>")
@example("\"'&amp;{title}{}")
@example("\ud800")
def test_no_name_gets_out_of_its_place_on_the_page(name: str) -> None:
    plain = Reader(build_page(Visitor(InternetAddress("192.0.2.7", 5), "plain")))
    page = Reader(build_page(Visitor(InternetAddress("192.0.2.7", 5), name)))
    assert page.tags == plain.tags
    shown = "".join(character if character.isprintable() else "?" for character in name)
    assert f"Host name{shown}" in page.text.replace("\r", "\n")


# ── parsers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.binary(max_size=200))
@example(b"GET /")
@example(b"HEAD / HTTP/1.9")
def test_any_request_line_is_read_or_refused(line: bytes) -> None:
    try:
        request = parse_request_line(line)
    except RequestRefused as refusal:
        status = refusal.status
    else:
        status = 200
        assert request.method in ("GET", "HEAD")
        assert request.target.isprintable() or not request.target.isascii()
    assert status in (200, 400, 405, 501, 505)


@given(st.lists(st.binary(min_size=1, max_size=100), max_size=200))
def test_any_header_is_read_or_refused(lines: list[bytes]) -> None:
    reader = FieldReader()
    try:
        for line in lines:
            reader.take(line)
    except RequestRefused as refusal:
        status = refusal.status
    else:
        status = 200
    assert status in (200, 400, 431)
    assert len(reader.fields) <= FIELDS_MAX
    assert sum(len(name) + len(value) for name, value in reader.fields.items()) <= FIELDS_BYTES_MAX + 2 * len(lines)


@given(
    st.from_regex(r"[A-Za-z0-9-]{1,20}", fullmatch=True),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=50),
)
def test_a_field_reads_back_as_it_was(name: str, value: str) -> None:
    assert parse_field(f"{name}: {value} ".encode()) == (name.lower(), value)


@pytest.mark.parametrize(
    ("moment", "date"),
    [
        (NOW, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (datetime(2026, 11, 21, 0, 0, 0, 999_999, tzinfo=UTC), "Sat, 21 Nov 2026 00:00:00 GMT"),
    ],
)
def test_dates_are_written_as_the_rfc_has_them(moment: datetime, date: str) -> None:
    assert whoami.build_date(moment.timestamp()) == date
