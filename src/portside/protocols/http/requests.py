"""Requests: bytes in, heads and pieces of bodies out. Source: RFC 9112; the grammar is llhttp's.

llhttp is fed one head at a time, and of a body no more than belongs to it: what stands behind a request stays
unparsed until somebody asks for the next. A head ends at its first empty line. A chunked body does too, somewhere: so
it is fed piece by piece, each up to an empty line, and llhttp says which of these was the end.

What llhttp allows and this server does not is in ``framing``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import httptools

from portside.protocols.http.framing import Framing, framing_of
from portside.protocols.http.limits import HttpLimits
from portside.protocols.http.refusals import RequestRefused
from portside.protocols.http.targets import parse_target

_EMPTY_LINE: Final = b"\r\n\r\n"
_VERSIONS: Final = {b" HTTP/1.1\r": "1.1", b" HTTP/1.0\r": "1.0"}
_OTHER_VERSION: Final = re.compile(rb"[!-~]+ [!-~]+ HTTP/\d\.\d")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ ")
_BLANKS: Final = frozenset({b" ", b"\t"})
# What llhttp takes for a request line as well; whatever else it takes for one, it is asked.
_PLAIN_LINE: Final = re.compile(
    rb"(GET|HEAD) (/[A-Za-z0-9/._~%!$&'()*+,;=:@-]*)(?:\?([A-Za-z0-9/._~%!$&'()*+,;=:@?-]*))? HTTP/1\.1\r\n"
)
_PLAIN_METHODS: Final = {b"GET": "GET", b"HEAD": "HEAD"}
_NOTED: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"})

# Chunk sizes, extensions and trailers are read for nothing: a byte in a chunk of its own costs five of them, and
# whoever sends many more than that wants us to read. The trailers of an honest client fit into the allowance.
_FRAMING_BYTES_PER_BYTE: Final = 8
_FRAMING_BYTES_FREE: Final = 16_384


@dataclass(slots=True)
class RequestHead:
    """A request up to its body. Header names are in lower case, everything else is as it came.

    Where the target itself names its host, that has replaced the value of Host (RFC 9112 section 3.2.2).
    """

    method: str
    path: bytes
    query: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    framing: Framing
    size_bytes: int


class RequestReader:
    """Cuts a stream into requests. Raises: RequestRefused, once for all.

    ``receive`` what came; ``next_head`` gives the next request's head once it is there; while ``body_is_over`` is
    False, ``next_body`` gives what has come of its body. Only then is there a next head.
    """

    __slots__ = (
        "_body_bytes",
        "_framing",
        "_framing_bytes",
        "_headers",
        "_known",
        "_known_version",
        "_last_fields",
        "_last_headers",
        "_left",
        "_limits",
        "_noted",
        "_parser",
        "_pending",
        "_pieces",
        "_searched",
        "_tail",
        "_target",
        "body_is_over",
    )

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._pending = b""  # what has come and was not yet parsed
        self._searched = 0  # how much of it holds no end of a head
        self._headers: list[tuple[bytes, bytes]] = []
        self._noted: list[tuple[bytes, bytes]] = []
        self._known: list[tuple[bytes, bytes]] | None = None  # what the framing was last made of
        self._known_version = ""
        self._framing = Framing()
        self._last_fields = b""  # of the last request, where the next may be one behind its line
        self._last_headers: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._pieces: list[bytes] = []  # of the body, from the parser's callbacks
        self._left: int | None = 0  # of a body of known length; None for a chunked one
        self._body_bytes = 0
        self._framing_bytes = 0  # of a chunked body, all that is not body
        self._tail = b""  # the last bytes fed of a chunked body
        self.body_is_over = True

    @property
    def pending_bytes(self) -> int:
        """How many bytes have come that belong to later requests, or to a head that is not whole."""
        return len(self._pending)

    @property
    def is_in_head(self) -> bool:
        """Whether a request has begun to come whose head is not whole."""
        return self.body_is_over and bool(self._pending) and self._pending not in (b"\r", b"\r\n")

    def receive(self, data: bytes) -> None:
        """Take what came next on the stream."""
        self._pending = self._pending + data if self._pending else data

    def take_pending(self) -> bytes:
        """Return what has come behind the last head, for a connection that goes on in another protocol."""
        pending, self._pending = self._pending, b""
        return pending

    def close(self) -> None:
        """Part from the parser, which holds on to its reader."""
        self._parser = None

    # ── heads ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_head(self) -> RequestHead | None:
        """Return the next request's head, None as long as it is not whole. Only when the body before it is over."""
        pending = self._pending
        if self._last_fields and not self._searched:
            line = _PLAIN_LINE.match(pending)
            if line is not None and pending.startswith(self._last_fields, line.end()):
                return self._repeat(line)
        end = pending.find(_EMPTY_LINE, self._searched)
        if end < 0:
            self._check_unfinished(pending)
            self._searched = max(0, len(pending) - 3)
            return None
        self._searched = 0
        line_end = pending.find(b"\n")
        version = _VERSIONS.get(pending[line_end - 10 : line_end])
        if version is None:
            if pending[0] not in b"\r\n":
                raise _odd_first_line(pending[: line_end - 1])
            self._pending = pending.lstrip(b"\r\n")  # RFC 9112 section 2.2: empty lines before a request are ignored
            return self.next_head()
        end += 4
        if end == len(pending):
            self._pending = b""
            return self._parse(pending, version)
        self._pending = pending[end:]
        return self._parse(pending[:end], version)

    def _check_unfinished(self, pending: bytes) -> None:
        if len(pending) > self._limits.target_bytes and b"\n" not in pending:
            raise self._target_too_long()
        if len(pending) > self._limits.head_bytes:
            raise self._head_too_long()

    def _head_too_long(self) -> RequestRefused:
        return RequestRefused(431, f"the header may have {self._limits.head_bytes} bytes")

    def _target_too_long(self) -> RequestRefused:
        return RequestRefused(414, f"the request target may have {self._limits.target_bytes} bytes")

    def _parse(self, head: bytes, version: str) -> RequestHead:
        limits = self._limits
        if len(head) > limits.head_bytes:
            raise self._head_too_long()
        headers: list[tuple[bytes, bytes]] = []
        noted: list[tuple[bytes, bytes]] = []
        self._headers, self._noted = headers, noted
        self.body_is_over = False
        is_upgrade = self._feed_head(head)
        target = self._target
        method = head[: head.find(b" ")].decode("ascii")
        if len(target) > limits.target_bytes:
            raise self._target_too_long()
        if len(headers) > limits.headers:
            raise RequestRefused(431, f"a request may have {limits.headers} header fields")
        path, query, authority = parse_target(method, target)
        if noted != self._known or version != self._known_version:  # requests of one connection say much the same
            self._framing = framing_of(version, noted)
            self._known, self._known_version = noted, version
        framing = self._framing
        if authority is not None:
            headers[:] = [(b"host", authority) if name == b"host" else (name, value) for name, value in headers]
        if framing.length != 0:
            self._begin_body(framing, is_upgrade=is_upgrade)
        elif not self.body_is_over:
            raise RequestRefused(400, "where the request ends is unclear")
        self._note_fields(head, headers)
        return RequestHead(method, path, query, version, headers, framing, len(head))

    # ── heads like the one before ────────────────────────────────────────────────────────────────────────────────────

    def _note_fields(self, head: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Keep the fields, if nothing follows them but the next request, and that may be one of the same kind."""
        framing = self._framing
        self._last_fields = b""
        if framing.length == 0 and framing.keeps_alive and framing.upgrade is None:
            line = _PLAIN_LINE.match(head)
            if line is not None:
                self._last_fields = head[line.end() :]
                self._last_headers = headers.copy()

    def _repeat(self, line: re.Match[bytes]) -> RequestHead:
        """Return the head that begins with this line, and whose fields are, byte for byte, those of the one before.

        llhttp is not asked again what it has just answered: a client's requests differ in little but their target.
        """
        method, path, query = line.groups(b"")
        size_bytes = line.end() + len(self._last_fields)
        limits = self._limits
        if line.end() - line.start(2) - len(b" HTTP/1.1\r\n") > limits.target_bytes:
            raise self._target_too_long()
        if size_bytes > limits.head_bytes:
            raise self._head_too_long()
        pending = self._pending
        self._pending = pending[size_bytes:] if size_bytes < len(pending) else b""
        headers = self._last_headers.copy()
        return RequestHead(_PLAIN_METHODS[method], path, query, "1.1", headers, self._framing, size_bytes)

    def _feed_head(self, head: bytes) -> bool:
        """Return whether llhttp takes what follows for another protocol."""
        assert self._parser is not None
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            return True
        except httptools.HttpParserInvalidMethodError as error:
            if _TOKEN.match(head) is not None:
                raise RequestRefused(501, "the request method is not known here") from error
            raise RequestRefused(400, "the request line is malformed") from error
        except httptools.HttpParserError as error:
            raise _malformed(error) from error
        return False

    # ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_body(self, framing: Framing, *, is_upgrade: bool) -> None:
        maximum = self._limits.body_bytes
        if maximum is not None and framing.length is not None and framing.length > maximum:
            raise RequestRefused(413, f"a request body may have {maximum} bytes")
        self._left = framing.length
        self._body_bytes = self._framing_bytes = 0
        self._tail = b""
        self._headers = self._noted = []  # trailers go there, and are dropped
        if is_upgrade:
            # llhttp has left the body to the other protocol. We stay with this one, and tell it again without.
            how = b"transfer-encoding: chunked" if framing.length is None else b"content-length: %d" % framing.length
            self._feed_head(b"POST / HTTP/1.1\r\n" + how + _EMPTY_LINE)
            self._headers.clear()
            self.body_is_over = False
        if self.body_is_over:
            raise RequestRefused(400, "where the request ends is unclear")

    def next_body(self) -> bytes:
        """Return what has come of the body, perhaps nothing; ``body_is_over`` says whether that was the last of it."""
        if self.body_is_over:
            return b""
        if self._left is None:
            self._feed_chunks()
        else:
            piece, self._pending = self._pending[: self._left], self._pending[self._left :]
            self._left -= len(piece)
            self._feed(piece)
        pieces = self._pieces
        if not pieces:
            return b""
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._body_bytes += len(body)
        if self._limits.body_bytes is not None and self._body_bytes > self._limits.body_bytes:
            raise RequestRefused(413, f"a request body may have {self._limits.body_bytes} bytes")
        return body

    def _feed(self, piece: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError as error:
            raise _malformed(error) from error

    def _feed_chunks(self) -> None:
        pending, start = self._pending, 0
        while start < len(pending) and not self.body_is_over:
            end = _end_of_piece(self._tail, pending, start)
            self._feed(pending[start:end])
            self._tail = (self._tail + pending[max(start, end - 3) : end])[-3:]
            start = end
        self._pending = pending[start:]
        self._check_framing(start)
        if self.body_is_over and self._headers:  # llhttp heeds fields such as Connection in trailers too; we do not
            self._parser = httptools.HttpRequestParser(self)

    def _check_framing(self, fed_bytes: int) -> None:
        body_bytes = sum(map(len, self._pieces))
        self._framing_bytes += fed_bytes - body_bytes
        allowed_bytes = _FRAMING_BYTES_FREE + _FRAMING_BYTES_PER_BYTE * (self._body_bytes + body_bytes)
        if self._framing_bytes > allowed_bytes:
            raise RequestRefused(400, "the chunked body holds too much that is not body")

    # ── what the parser calls ────────────────────────────────────────────────────────────────────────────────────────

    def on_url(self, target: bytes) -> None:
        self._target = target

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if value[-1:] in _BLANKS:  # llhttp leaves those behind the value
            value = value.rstrip(b" \t")
        self._headers.append((name, value))
        if name in _NOTED:
            self._noted.append((name, value))

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self.body_is_over = True


def _end_of_piece(tail: bytes, data: bytes, start: int) -> int:
    """Return where the piece from ``start`` ends: behind the next empty line, which may have begun in ``tail``."""
    if tail:
        across = (tail + data[start : start + 3]).find(_EMPTY_LINE)
        if across >= 0:
            return start + across + 4 - len(tail)
    found = data.find(_EMPTY_LINE, start)
    return len(data) if found < 0 else found + 4


def _odd_first_line(line: bytes) -> RequestRefused:
    if _OTHER_VERSION.fullmatch(line):
        return RequestRefused(505, "this server speaks HTTP/1.1 and HTTP/1.0")
    return RequestRefused(400, "the request line is malformed")


def _malformed(error: Exception) -> RequestRefused:
    return RequestRefused(400, f"the request is malformed: {error}")
