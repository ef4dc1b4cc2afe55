"""Requests: read the same however the network cuts them, one at a time, and none beyond its limits."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.http.limits import HttpLimits
from portside.protocols.http.refusals import RequestRefused
from portside.protocols.http.requests import RequestHead, RequestReader

GET = b"GET /a?b=c HTTP/1.1\r\nHost: example.net\r\n\r\n"


@dataclass
class Parsed:
    """A request as its reader gave it."""

    head: RequestHead
    body: bytes = b""


@dataclass
class Read:
    """What a reader made of a stream."""

    requests: list[Parsed] = field(default_factory=list)
    refused: RequestRefused | None = None
    is_whole: bool = True  # the last request came to its end, and nothing stands behind it


def read(*pieces: bytes, limits: HttpLimits | None = None) -> Read:
    """Feed the pieces, taking from the reader after each all that there is."""
    reader = RequestReader(limits or HttpLimits())
    result = Read()
    try:
        for piece in pieces:
            reader.receive(piece)
            take(reader, result.requests)
    except RequestRefused as refusal:
        result.refused = refusal
    result.is_whole = reader.body_is_over and not reader.pending_bytes
    reader.close()
    return result


def take(reader: RequestReader, requests: list[Parsed]) -> None:
    while True:
        if not reader.body_is_over:
            requests[-1].body += reader.next_body()
            if not reader.body_is_over:
                return
        head = reader.next_head()
        if head is None:
            return
        requests.append(Parsed(head))


def one(stream: bytes, **limits: int) -> Parsed:
    """Return the only request of a stream."""
    result = read(stream, limits=HttpLimits(**limits))  # type: ignore[arg-type]
    assert result.refused is None, result.refused
    assert result.is_whole
    (request,) = result.requests
    return request


def post(*fields: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"\r\n".join((b"POST / HTTP/" + version, b"Host: a", *fields, b"", body))


CHUNKED = b"Transfer-Encoding: chunked"


# ── what heads say ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_head_is_method_target_version_and_fields() -> None:
    head = one(b"GET /a%20b?c=%64 HTTP/1.1\r\nHost: x\r\nX-Two:\t one \t\r\nx-two: \r\n\r\n").head
    assert (head.method, head.path, head.query, head.version) == ("GET", b"/a%20b", b"c=%64", "1.1")
    assert head.headers == [(b"host", b"x"), (b"x-two", b"one"), (b"x-two", b"")]
    assert head.size_bytes == 62
    assert head.framing == (0, True, False, None)


@pytest.mark.parametrize(
    ("fields", "version", "keeps_alive"),
    [
        ((), b"1.1", True),
        ((b"Connection: close",), b"1.1", False),
        ((b"Connection: Keep-Alive, CLOSE",), b"1.1", False),
        ((b"Connection: x", b"Connection: close"), b"1.1", False),
        ((b"Connection: closed",), b"1.1", True),
        ((), b"1.0", False),
        ((b"Connection: Keep-Alive",), b"1.0", True),
        ((b"Connection: close",), b"1.0", False),
    ],
)
def test_how_the_connection_goes_on(fields: tuple[bytes, ...], version: bytes, keeps_alive: bool) -> None:
    assert one(post(*fields, version=version)).head.framing.keeps_alive is keeps_alive


def test_requests_of_one_connection_do_not_inherit_from_each_other() -> None:
    both = read(post(b"Expect: 100-continue", b"Content-Length: 0") + GET + post(b"Connection: close"))
    assert [request.head.framing[1:3] for request in both.requests] == [(True, True), (True, False), (False, False)]
    versions = read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert [request.head.framing.keeps_alive for request in versions.requests] == [True, False]


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        (b"/", b"/", b"", b"a"),
        (b"//x/../y", b"//x/../y", b"", b"a"),
        (b"/?", b"/", b"", b"a"),
        (b"/a?b?c", b"/a", b"b?c", b"a"),
        (b"http://other.example:81/a?b", b"/a", b"b", b"other.example:81"),
        (b"HTTP://other.example", b"/", b"", b"other.example"),
        (b"https://other.example?b", b"/", b"b", b"other.example"),
    ],
)
def test_targets(target: bytes, path: bytes, query: bytes, host: bytes) -> None:
    head = one(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").head
    assert (head.path, head.query, head.headers) == (path, query, [(b"host", host)])


def test_the_whole_server_is_asked_for_its_options() -> None:
    assert one(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").head.path == b"*"


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n", b"\n", b"\r\n" * 50])
def test_empty_lines_before_a_request_are_ignored(lines: bytes) -> None:
    assert len(read(lines + GET, lines, GET).requests) == 2


@pytest.mark.parametrize("host", [b"", b"example.net", b"a:80", b"[::1]", b"[::1]:80", b"127.0.0.1:8000", b"a_b.c~"])
def test_hosts(host: bytes) -> None:
    assert one(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").head.headers == [(b"host", host)]


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_bytes", "body"),
    [
        (post(b"Content-Length: 0"), b""),
        (post(b"Content-Length: 5", body=b"hello"), b"hello"),
        (post(b"Content-Length: 5 ", body=b"hello"), b"hello"),
        (post(b"Content-Length: 4", body=b"\r\n\r\n"), b"\r\n\r\n"),
        (post(CHUNKED, body=b"0\r\n\r\n"), b""),
        (post(CHUNKED, body=b"3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n"), b"abc0123456789"),
        (post(CHUNKED, body=b"4\r\n\r\n\r\n\r\n0\r\n\r\n"), b"\r\n\r\n"),
        (post(CHUNKED, body=b"9\r\n0\r\n\r\n0\r\n\r\r\n0\r\n\r\n"), b"0\r\n\r\n0\r\n\r"),
        (post(CHUNKED, body=b'3;a=b;c="d"\r\nabc\r\n0;e\r\n\r\n'), b"abc"),
        (post(CHUNKED, body=b"3\r\nabc\r\n0\r\nX: y\r\nZ: z\r\n\r\n"), b"abc"),
        (post(b"transfer-encoding:\tCHUNKED ", body=b"1\r\na\r\n0\r\n\r\n"), b"a"),
        (post(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 3", body=b"abc"), b"abc"),
        (post(b"Connection: upgrade", b"Upgrade: h2c", CHUNKED, body=b"3\r\nabc\r\n0\r\nX: y\r\n\r\n"), b"abc"),
    ],
)
def test_a_body_ends_where_it_says_however_it_is_cut(request_bytes: bytes, body: bytes) -> None:
    stream = request_bytes + GET
    for size in (1, 2, 3, 7, len(stream)):
        result = read(*(stream[at : at + size] for at in range(0, len(stream), size)))
        assert result.refused is None
        assert [request.body for request in result.requests] == [body, b""]
        assert result.requests[1].head.path == b"/a"


@given(st.data())
def test_any_requests_are_read_the_same_in_any_pieces(data: st.DataObject) -> None:
    bodies = data.draw(st.lists(st.tuples(st.sampled_from([None, True, False]), st.binary(max_size=40)), max_size=5))
    stream, expected = b"", []
    for is_chunked, body in bodies:
        match is_chunked:
            case None:
                stream += GET
            case True:
                cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(body) - 1)), max_size=4)))
                pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
                trailer = data.draw(st.sampled_from([b"", b"X: y\r\n", b"Connection: close\r\n"]))
                stream += post(CHUNKED, body=chunks + b"0\r\n" + trailer + b"\r\n")
            case False:
                stream += post(b"Content-Length: %d" % len(body), body=body)
        expected.append(b"" if is_chunked is None else body)
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)))))
    result = read(*(stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)))
    assert result.refused is None
    assert result.is_whole
    assert [request.body for request in result.requests] == expected


def test_what_stands_behind_a_request_is_not_looked_at_before_its_turn() -> None:
    reader = RequestReader(HttpLimits())
    reader.receive(post(b"Content-Length: 2", body=b"ab") + b"nonsense\r\n\r\n")
    assert reader.next_head() is not None
    assert reader.next_body() == b"ab"
    assert reader.body_is_over
    assert reader.pending_bytes == 12
    assert reader.is_in_head
    with pytest.raises(RequestRefused):
        reader.next_head()


def test_trailers_change_nothing_for_the_next_request() -> None:
    trailers = b"Connection: close\r\nContent-Type: x\r\n"
    result = read(post(CHUNKED, body=b"0\r\n" + trailers + b"\r\n") + GET)
    assert [request.head.method for request in result.requests] == ["POST", "GET"]
    assert result.requests[0].head.headers == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]


# ── upgrades and expectations ────────────────────────────────────────────────────────────────────────────────────────


def test_an_upgrade_is_asked_for_in_two_fields_and_can_be_declined() -> None:
    asked = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
    result = read(asked % 1 + asked % 2 + GET)
    assert [request.head.framing.upgrade for request in result.requests] == [b"websocket", b"websocket", None]
    assert one(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").head.framing.upgrade is None
    assert one(asked.replace(b"1.1", b"1.0") % 1).head.framing.upgrade is None


def test_bytes_behind_an_upgrade_belong_to_the_other_protocol() -> None:
    reader = RequestReader(HttpLimits())
    reader.receive(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x81\x05hello")
    assert reader.next_head() is not None
    assert reader.take_pending() == b"\x81\x05hello"
    assert reader.pending_bytes == 0


@pytest.mark.parametrize(
    ("fields", "version", "expects"),
    [
        ((b"Expect: 100-continue",), b"1.1", True),
        ((b"Expect: 100-Continue",), b"1.1", True),
        ((b"Expect: 100-continue",), b"1.0", False),
        ((b"Expect: world peace",), b"1.0", False),
        ((), b"1.1", False),
    ],
)
def test_what_a_client_expects(fields: tuple[bytes, ...], version: bytes, expects: bool) -> None:
    assert one(post(*fields, version=version)).head.framing.expects_continue is expects


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_limits_are_kept_to_the_byte() -> None:
    assert one(b"GET /2345 HTTP/1.1\r\nHost: a\r\n\r\n", target_bytes=5).head.path == b"/2345"
    assert one(GET, headers=1).head.path == b"/a"
    assert one(GET, head_bytes=len(GET)).head.path == b"/a"
    assert one(post(b"Content-Length: 5", body=b"hello"), body_bytes=5).body == b"hello"
    assert one(post(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"), body_bytes=5).body == b"hello"


@pytest.mark.parametrize(
    ("stream", "limits", "status"),
    [
        (b"GET /2345 HTTP/1.1\r\nHost: a\r\n\r\n", {"target_bytes": 4}, 414),
        (b"GET /" + b"x" * 100, {"target_bytes": 50}, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n", {"headers": 1}, 431),
        (GET, {"head_bytes": len(GET) - 1}, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 100, {"head_bytes": 100}, 431),
        (post(b"Content-Length: 6"), {"body_bytes": 5}, 413),
        (post(CHUNKED, body=b"6\r\nabcdef"), {"body_bytes": 5}, 413),
        (post(CHUNKED, body=b"3\r\nabc\r\n3\r\nabc"), {"body_bytes": 5}, 413),
    ],
)
def test_what_is_over_a_limit_is_refused_with_its_status(stream: bytes, limits: dict[str, int], status: int) -> None:
    for pieces in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
        refused = read(*pieces, limits=HttpLimits(**limits)).refused  # type: ignore[arg-type]
        assert refused is not None
        assert refused.status == status


@pytest.mark.parametrize(
    "piece",
    [
        b"1;" + b"x" * 100 + b"\r\na\r\n",  # extensions
        b"1" + b";a=b" * 25 + b"\r\na\r\n",
        b"0" * 10 + b"1\r\na\r\n",
    ],
)
def test_a_body_that_is_nearly_all_framing_is_refused(piece: bytes) -> None:
    result = read(post(CHUNKED), *[piece * 10] * 400)
    assert result.refused is not None
    assert result.refused.status == 400
    assert len(result.requests[0].body) < 4_000


def test_endless_trailers_are_refused() -> None:
    result = read(post(CHUNKED, body=b"0\r\n"), *[b"X: y\r\n" * 1_000] * 10)
    assert result.refused is not None


def test_a_byte_in_each_chunk_is_allowed() -> None:
    body = b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"
    assert len(one(post(CHUNKED, body=body)).body) == 20_000


def test_a_body_of_empty_lines_is_read_in_no_time_that_matters() -> None:
    lines = b"\r\n\r\n" * 25_000
    assert one(post(CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(lines), lines))).body == lines
