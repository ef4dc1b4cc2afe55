"""Responses: what an application says, as bytes that mean it and nothing else. Source: RFC 9112 sections 6 and 7.

How long a response is, is decided here: by its Content-Length, by the whole body where it comes in one piece, by
chunks, or by the connection's end for a client that knows no chunks. Fields that speak of the connection are the
server's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from portside.errors import HandlerError
from portside.protocols.http.statuses import status_line

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LAST_CHUNK: Final = b"0\r\n\r\n"
_BODILESS: Final = frozenset({204, 304})  # RFC 9112 section 6.3
_NAMES_KNOWN_MAX: Final = 1_024
_HEADS_KNOWN_MAX: Final = 4_096  # as many as the static site remembers of its files
_KNOWN_HEAD_BYTES_MAX: Final = 2_048
_HEEDED: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"content-length", b"date"}
)

_names_known: dict[bytes, bytes] = {}  # as given, and in lower case: checked once, not with every response

_Said: TypeAlias = tuple[int, tuple[tuple[bytes, bytes], ...]]

# What was made of a status and its fields: bytes, whether they had a date, the length, whether it comes in chunks.
# An application says the same again and again; forgotten when there are too many.
_heads_known: dict[_Said, tuple[bytes, bool, int | None, bool]] = {}


class MalformedResponse(HandlerError):
    """The application said what cannot be sent: a field that would break out of its line, a body of another length."""


Frame: TypeAlias = tuple[bytes, bytes, bool]
"""What goes before a piece of a body and behind it, and whether the piece itself is sent: not in answer to HEAD."""


class ResponseWriter:
    """Frames one response: ``start`` once, then ``frame`` each piece of the body. Raises: MalformedResponse.

    The head is not given out before the first piece of the body is known, so that both leave in one write. Until then
    ``keeps_alive`` may be set to False, for a connection that ends with this response.
    """

    __slots__ = (
        "_has_date",
        "_head",
        "_is_head",
        "_left",
        "_version",
        "_wants_trailers",
        "is_chunked",
        "is_over",
        "keeps_alive",
        "status",
    )

    def __init__(self, version: str, *, is_head: bool, keeps_alive: bool) -> None:
        self._version = version
        self._is_head = is_head  # HEAD: the response to GET, without its body
        self._head: bytes | None = None  # status and fields, until they are given out
        self._has_date = False
        self._left: int | None = None  # bytes of the body still owed, where their number is known
        self._wants_trailers = False
        self.keeps_alive = keeps_alive
        self.is_chunked = False
        self.is_over = False
        self.status = 0

    # ── what is known of it ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_sent(self) -> bool:
        """Whether any of it was given out, so that nothing else can be said instead."""
        return self.status != 0 and self._head is None

    @property
    def ends_with_connection(self) -> bool:
        """Whether nothing but the connection's end says that the body is over."""
        return self.is_sent and self._left is None and not self.is_chunked and not self._is_bodiless

    @property
    def awaits_trailers(self) -> bool:
        return self._wants_trailers and self.is_chunked

    @property
    def _is_bodiless(self) -> bool:
        return self._is_head or self.status in _BODILESS

    # ── the head ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, status: int, fields: Iterable[tuple[bytes, bytes]], date: bytes, *, trailers: bool = False) -> None:
        """Take the response's status and header. ``date`` is used where the fields have none."""
        given = tuple(fields)
        said = (status, given)
        try:
            known = _heads_known.get(said)
        except TypeError:  # there are lists among them
            head = self._build_fields(status, given)
        else:
            if known is None:
                head = self._build_fields(status, given)
                self._remember(said, head)
            else:
                head, self._has_date, self._left, self.is_chunked = known
        self._head = head if self._has_date else b"%bdate: %b\r\n" % (head, date)
        self._wants_trailers = trailers
        self.status = status

    def _build_fields(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the status line and the fields that are the application's, and heed the others."""
        if not 200 <= status <= 999:
            raise MalformedResponse(f"{status!r} is no status of a response")
        self._has_date, self._left, self.is_chunked = False, None, False  # of a start before this that came to nothing
        parts = [status_line(status)]
        for given, value in fields:
            name = _names_known.get(given) or _learn_name(given)
            if name in _HEEDED and self._heed(name, value):
                continue
            parts += (name, b": ", value, b"\r\n")
        count = len(parts) // 4 + 1
        head = b"".join(parts)
        if head.count(b"\n") != count or head.count(b"\r") != count or b"\0" in head:
            raise MalformedResponse("the value of a header field holds a line break or a NUL")
        return head

    def _remember(self, said: _Said, head: bytes) -> None:
        """Keep what was made of a status and its fields, unless they end the connection: that is nothing to keep."""
        if self.keeps_alive and len(head) <= _KNOWN_HEAD_BYTES_MAX:
            if len(_heads_known) >= _HEADS_KNOWN_MAX:
                _heads_known.clear()
            _heads_known[said] = (head, self._has_date, self._left, self.is_chunked)

    def _heed(self, name: bytes, value: bytes) -> bool:
        """Make of what the application says of connection and body what is to be done; True if it is said by us."""
        if name == b"date":
            self._has_date = True
            return False
        if name == b"content-length":
            if not value.isdigit() or self._left not in (None, int(value)):
                raise MalformedResponse(f"the Content-Length {value!r} is no length")
            self._left = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise MalformedResponse(f"the Transfer-Encoding is the server's own affair, not {value!r}")
            self.is_chunked = True
        elif name == b"connection" and b"close" in {option.strip() for option in value.lower().split(b",")}:
            self.keeps_alive = False
        return True

    def _build_head(self, whole_length: int | None) -> bytes:
        """Return the head for the first and only time; ``whole_length`` is the body's, where all of it is known."""
        head, self._head = self._head, None
        assert head is not None
        head += self._frame_body(whole_length)
        if not self.keeps_alive:
            return head + b"connection: close\r\n\r\n"
        if self._version == "1.0":
            return head + b"connection: keep-alive\r\n\r\n"
        return head + b"\r\n"

    def _frame_body(self, whole_length: int | None) -> bytes:
        """Decide how the body's length is told, and return the field that tells it.

        RFC 9110 section 8.6: 304 may say how long the body would have been, 204 must not. RFC 9112 section 6.2: who
        sends chunks sends no length.
        """
        if self.status in _BODILESS:
            length, self._left, self.is_chunked = self._left, None, False
            return b"content-length: %d\r\n" % length if length and self.status == 304 else b""
        knows_chunks = self._version == "1.1"
        if (self.is_chunked or self._wants_trailers) and knows_chunks:
            self._left = None
        elif self._left is None and not self._is_head:
            self._left = whole_length
        if self._left is not None:
            self.is_chunked = False
            return b"content-length: %d\r\n" % self._left
        self.is_chunked = knows_chunks and not self._is_head
        if self.is_chunked:
            return b"transfer-encoding: chunked\r\n"
        self.keeps_alive = self.keeps_alive and self._is_head
        return b""

    # ── the body ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def frame(self, size: int, *, more: bool) -> Frame:
        """Return what goes around the next ``size`` bytes of the body; with them the response is over, unless there is
        ``more`` or trailers were announced.
        """
        head = self._head
        if head is not None and self._is_usual and not more and self._left in (None, size):
            self._head = None
            self._left = 0
            self.is_over = True
            return head + b"content-length: %d\r\n\r\n" % size, b"", size > 0
        before = b"" if head is None else self._build_head(None if more else size)
        after = b""
        if self._is_head or self.status in _BODILESS:
            self.is_over = not more
            return before, after, False
        if self._left is not None:
            self._owe_less(size, more=more)
        elif self.is_chunked:
            if size:
                before += b"%x\r\n" % size
                after = b"\r\n"
            if not more and not self._wants_trailers:
                after += _LAST_CHUNK
        self.is_over = not more and not self.awaits_trailers
        return before, after, size > 0

    @property
    def _is_usual(self) -> bool:
        """Whether the whole body, if it comes in one piece, needs no more than its length in front of it."""
        return (
            self.keeps_alive
            and self._version == "1.1"
            and not self._is_head
            and not self.is_chunked
            and not self._wants_trailers
            and self.status not in _BODILESS
        )

    def _owe_less(self, size: int, *, more: bool) -> None:
        assert self._left is not None
        left = self._left - size
        if left < 0:
            raise MalformedResponse(f"the body has {-left} bytes more than its Content-Length says")
        if left and not more:
            raise MalformedResponse(f"the body has {left} bytes fewer than its Content-Length says")
        self._left = left

    def trailers(self, fields: Iterable[tuple[bytes, bytes]], *, more: bool) -> bytes:
        """Return the end of a chunked response: its last chunk, then trailers, with ``more`` to come or not.

        Source: RFC 9112 section 7.1.2. They are dropped where the response is not chunked.
        """
        self.is_over = not more
        if not self.is_chunked:
            return b""
        lines = [b"0\r\n"] if self._wants_trailers else []
        self._wants_trailers = False
        for given, value in fields:
            name = _learn_name(given)
            if b"\r" in value or b"\n" in value or b"\0" in value:
                raise MalformedResponse("the value of a trailer holds a line break or a NUL")
            lines += (name, b": ", value, b"\r\n")
        if not more:
            lines.append(b"\r\n")
        return b"".join(lines)


def build_early_hints(links: Iterable[bytes]) -> bytes:
    """Return the interim response that lets the client fetch what it will need. Source: RFC 8297."""
    lines = [b"HTTP/1.1 103 Early Hints\r\n"]
    for link in links:
        if b"\r" in link or b"\n" in link or b"\0" in link:
            raise MalformedResponse("a link holds a line break or a NUL")
        lines += (b"link: ", link, b"\r\n")
    return b"".join((*lines, b"\r\n"))


def _learn_name(given: bytes) -> bytes:
    """Return the name in lower case. Raises: MalformedResponse for what is none."""
    if _NAME.fullmatch(given) is None:
        raise MalformedResponse(f"{given!r} is no name of a header field")
    name = given.lower()
    if len(_names_known) < _NAMES_KNOWN_MAX:
        _names_known[given] = name
    return name
