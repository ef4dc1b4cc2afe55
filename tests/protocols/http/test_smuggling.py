"""Requests that can be read in two ways, or in none: refused, each with its status, and what follows is not believed.

Two servers in a row that disagree where a request ends can be made to take the rest of one client's request for the
beginning of another's. The table is ours; what it holds is in RFC 9112, and in what others have found in servers.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.http.test_requests import CHUNKED, GET, post, read

MALFORMED = {
    # request lines: RFC 9112 section 3
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n",
    "bare LF behind the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare CR behind the request line": b"GET / HTTP/1.1\rHost: a\r\n\r\n",
    "space behind the version": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "space before the method": b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tabs in the request line": b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "two versions": b"GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
    "lower-case version": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "another protocol": b"GET / ICE/1.1\r\nHost: a\r\n\r\n",
    "method with a colon": b"GET: / HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "control character in the target": b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "DEL in the target": b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
    "byte above ASCII in the target": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment in the target": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "relative target": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk for another method": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "target of another scheme": b"GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with a user": b"GET http://me@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "target without a host": b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "nothing of the kind": b"\r\nHELO mail\r\n\r\n",
    # fields: RFC 9112 section 5, RFC 9110 section 5.5
    "bare LF in a field": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare CR in a field": b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "CR CR LF": b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "control character in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x08b\r\n\r\n",
    "DEL in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "tab before the colon": b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "parenthesis in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n",
    "byte above ASCII in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX\xff: b\r\n\r\n",
    "control character in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX\x0b: b\r\n\r\n",
    "folded value": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "folded by a tab": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n",
    "space before the first field": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "folded Content-Length": post(b"Content-Length:\r\n 5", body=b"hello"),
    # Host: RFC 9112 section 3.2
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same Host twice": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "two Hosts of an old client": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "path in the Host": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "user in the Host": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "list in the Host": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "byte above ASCII in the Host": b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
    "port of letters": b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    # lengths: RFC 9112 section 6
    "length and chunks": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    "chunks and length": post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "the same length twice": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "list of lengths": post(b"Content-Length: 5, 5", body=b"hello"),
    "length with a sign": post(b"Content-Length: +5", body=b"hello"),
    "negative length": post(b"Content-Length: -5", body=b"hello"),
    "length in hexadecimal": post(b"Content-Length: 0x5", body=b"hello"),
    "length with an underscore": post(b"Content-Length: 1_0", body=b"hello"),
    "length in other digits": post(b"Content-Length: \xd9\xa5", body=b"hello"),
    "length of two words": post(b"Content-Length: 5 5", body=b"hello"),
    "no length": post(b"Content-Length: ", body=b"hello"),
    "length beyond all numbers": post(b"Content-Length: 18446744073709551617", body=b"h"),
    "length in quotes": post(b'Content-Length: "5"', body=b"hello"),
    # codings
    "coding that is not chunked": post(b"Transfer-Encoding: gzip", body=b"0\r\n\r\n"),
    "chunked and not last": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked in two fields": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "nearly chunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked and a letter": post(b"Transfer-Encoding: chunkedx", body=b"0\r\n\r\n"),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;a=b", body=b"0\r\n\r\n"),
    "chunked behind a vertical tab": post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "no coding": post(b"Transfer-Encoding: ", body=b"0\r\n\r\n"),
    "chunks of an old client": post(CHUNKED, version=b"1.0", body=b"0\r\n\r\n"),
    # chunks: RFC 9112 section 7.1
    "chunk size with a sign": post(CHUNKED, body=b"+3\r\nabc\r\n0\r\n\r\n"),
    "negative chunk size": post(CHUNKED, body=b"-3\r\nabc\r\n0\r\n\r\n"),
    "chunk size with a prefix": post(CHUNKED, body=b"0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk size with an underscore": post(CHUNKED, body=b"0_3\r\nabc\r\n0\r\n\r\n"),
    "no chunk size": post(CHUNKED, body=b"\r\nabc\r\n0\r\n\r\n"),
    "chunk size beyond all numbers": post(CHUNKED, body=b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    "space before a chunk size": post(CHUNKED, body=b" 3\r\nabc\r\n0\r\n\r\n"),
    "space behind a chunk size": post(CHUNKED, body=b"3 \r\nabc\r\n0\r\n\r\n"),
    "bare LF behind a chunk size": post(CHUNKED, body=b"3\nabc\r\n0\r\n\r\n"),
    "bare CR behind a chunk size": post(CHUNKED, body=b"3\rabc\r\n0\r\n\r\n"),
    "bare LF in an extension": post(CHUNKED, body=b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    "bare CR in an extension": post(CHUNKED, body=b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    "chunk longer than it says": post(CHUNKED, body=b"3\r\nabcd\r\n0\r\n\r\n"),
    "chunk shorter than it says": post(CHUNKED, body=b"3\r\nab\r\n0\r\n\r\n"),
    "bare LF behind a chunk": post(CHUNKED, body=b"3\r\nabc\n0\r\n\r\n"),
    "bare LF at the end": post(CHUNKED, body=b"0\n\n"),
    "bare LF behind the last chunk": post(CHUNKED, body=b"0\r\n\n"),
    "bare LF in a trailer": post(CHUNKED, body=b"0\r\nX: y\nZ: z\r\n\r\n"),
    "folded trailer": post(CHUNKED, body=b"0\r\nX: y\r\n z\r\n\r\n"),
}

OTHER_STATUS = {
    501: {
        "unknown method": b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        "method in lower case": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        "a proxy's method": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        "compressed chunks": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
        "compressed chunks in two fields": post(b"Transfer-Encoding: gzip", CHUNKED, body=b"0\r\n\r\n"),
    },
    505: {
        "HTTP/2 in the clear": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/2": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    },
    417: {
        "an expectation": post(b"Expect: world peace"),
        "two expectations": post(b"Expect: 100-continue, world peace"),
    },
}
REFUSED = [(name, 400, stream) for name, stream in MALFORMED.items()]
REFUSED += [(name, status, stream) for status, table in OTHER_STATUS.items() for name, stream in table.items()]


@pytest.mark.parametrize(("name", "status", "stream"), REFUSED, ids=[name for name, _, _ in REFUSED])
@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_what_is_malformed_is_refused(name: str, status: int, stream: bytes, size: int) -> None:
    stream += GET
    result = read(*(stream[at : at + size] for at in range(0, len(stream), size)))
    assert result.refused is not None, result
    assert result.refused.status == status, result.refused
    assert all(request.head.path != b"/a" for request in result.requests), "what stands behind it was believed"


@pytest.mark.parametrize(("name", "status", "stream"), REFUSED, ids=[name for name, _, _ in REFUSED])
def test_a_right_request_before_it_is_read_all_the_same(name: str, status: int, stream: bytes) -> None:
    result = read(GET + stream)
    assert result.requests[0].head.path == b"/a"
    assert result.refused is not None
    assert result.refused.status == status


@given(st.lists(st.binary(max_size=200), max_size=4))
@example([b"\r\n", b"\r", b"\n\r\n"])
@example([b"\n\n GET / HTTP/1.1\r\n\r\n"])
def test_any_bytes_are_a_request_or_refused(pieces: list[bytes]) -> None:
    read(*pieces)  # raises nothing else


PARTS = st.sampled_from(
    [
        *(b"GET ", b"/ HTTP/1.1", b"Host: a", b"POST / HTTP/1.1\r\nHost: a\r\n"),
        *(b"Content-Length: ", b"5", b"hello", b"Transfer-Encoding: ", b"chunked", b"0", b"3"),
        *(b"\r\n\r\n", b"\r\n", b"\n", b"\r", b";", b" ", b"\t", b":", b"\0"),
    ]
)


@given(st.lists(PARTS, max_size=25), st.integers(1, 30))
def test_what_a_reader_makes_of_a_stream_does_not_depend_on_its_cuts(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    whole, cut = read(stream), read(*(stream[at : at + size] for at in range(0, len(stream), size)))
    assert cut.requests == whole.requests
    assert (cut.refused is None) == (whole.refused is None)
    if whole.refused is not None and cut.refused is not None:
        assert cut.refused.status == whole.refused.status


@given(
    st.sampled_from([GET, post(b"Content-Length: 5", body=b"hello"), post(CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")]),
    st.data(),
)
def test_a_request_with_one_byte_changed_is_still_one_request_or_refused(stream: bytes, data: st.DataObject) -> None:
    """Whatever a byte does, what stands behind is not taken for part of it, nor part of it for what stands behind."""
    at = data.draw(st.integers(0, len(stream) - 1))
    changed = stream[:at] + data.draw(st.binary(min_size=1, max_size=1)) + stream[at + 1 :]
    result = read(changed + GET)
    if result.refused is None and result.is_whole and len(result.requests) == 2:
        assert result.requests[1].head.size_bytes == len(GET)
