"""Reading one HTTP/1.0 request to its blank line, and what is refused on the way.

Source: RFC 1945 sections 4 and 5; 405, 414, 431, 501 and 505 as RFC 9110 section 15 and RFC 6585 section 5 have them,
        which a client of HTTP/1.0 understands as 400 and 500 (RFC 1945 section 6.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from portside.contracts import Connection
from portside.errors import LineTooLong, MalformedMessage

REQUEST_LINE_BYTES_MAX: Final = 8_192  # RFC 9112 section 3 asks for 8,000 at least
FIELDS_BYTES_MAX: Final = 32_768
FIELDS_MAX: Final = 100
REQUEST_S_MAX: Final = 30.0  # from the first byte waited for to the blank line; a byte now and then keeps nobody busy

ALLOWED_METHODS: Final = ("GET", "HEAD")
_OTHER_METHODS: Final = frozenset({"POST", "PUT", "DELETE", "LINK", "UNLINK", "OPTIONS", "TRACE", "CONNECT", "PATCH"})

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2, a little stricter than RFC 1945
_TARGET: Final = re.compile(rb"[!-~\x80-\xff]+")  # no controls and no blanks; what else is in it is nobody's harm
_VERSION: Final = re.compile(rb"HTTP/(\d{1,3})\.(\d{1,3})")
_VALUE: Final = re.compile(rb"[\t -~\x80-\xff]*")


class RequestRefused(MalformedMessage):
    """The request cannot be answered as asked: with this status, and for this reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.head_only = False  # it was HEAD: even a refusal has no body


@dataclass(frozen=True, slots=True)
class Request:
    """What a visitor asks. ``is_simple`` is the form of HTTP/0.9: no version, no fields, and only a body for answer.

    The names of ``fields`` are in lower case; what came several times is joined by commas.
    """

    method: str
    target: str
    is_simple: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)


def parse_request_line(line: bytes) -> Request:
    """Return the request that the first line makes, still without its fields.

    Shape:  ``METHOD SP URI SP HTTP/1.x``, or ``GET SP URI``: the simple request. More blanks than one are let pass.
    Raises: RequestRefused.
    """
    if len(line) > REQUEST_LINE_BYTES_MAX:
        raise RequestRefused(414, f"the request line has {len(line)} bytes, at most {REQUEST_LINE_BYTES_MAX} are read")
    words = line.split()
    if len(words) not in (2, 3) or not _TOKEN.fullmatch(words[0]) or not _TARGET.fullmatch(words[1]):
        raise RequestRefused(400, "a request begins with a method, a path and HTTP/1.0")
    method, target = words[0].decode("ascii"), words[1].decode("latin-1")
    if len(words) == 2:
        if method != "GET":
            raise RequestRefused(400, "a request without a version can only be GET")
        return Request(method, target, is_simple=True)
    _check_version(words[2])
    if method in _OTHER_METHODS:
        raise RequestRefused(405, f"{method} is not for this page, it can only be read")
    if method not in ALLOWED_METHODS:
        raise RequestRefused(501, "this method is not known here")
    return Request(method, target)


def _check_version(word: bytes) -> None:
    version = _VERSION.fullmatch(word)
    if version is None or int(version[1]) == 0:
        raise RequestRefused(400, "a request line ends in HTTP/1.0")
    if int(version[1]) != 1:
        raise RequestRefused(505, "only HTTP/1.0 and what understands it is spoken here")


def parse_field(line: bytes) -> tuple[str, str]:
    """Return the name, in lower case, and the value of a header field. Raises: RequestRefused."""
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise RequestRefused(400, "a header field is a name, a colon and a value")
    return name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")


class FieldReader:
    """Gathers header fields from their lines, bounded in number and bytes."""

    __slots__ = ("_bytes", "_last", "fields")

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._bytes = 0
        self._last: str | None = None

    def take(self, line: bytes) -> None:
        """Add a line: a field, or the continuation of the one before (RFC 1945 section 4.2). Raises: RequestRefused."""
        self._bytes += len(line) + 2  # CR LF; so that many empty continuations count too
        if self._bytes > FIELDS_BYTES_MAX:
            raise RequestRefused(431, f"the header has more than {FIELDS_BYTES_MAX} bytes")
        if line.startswith((b" ", b"\t")):
            if self._last is None or not _VALUE.fullmatch(line):
                raise RequestRefused(400, "a header begins with a field")
            self.fields[self._last] = f"{self.fields[self._last]} {line.strip().decode('latin-1')}".strip()
            return
        name, value = parse_field(line)
        if len(self.fields) == FIELDS_MAX and name not in self.fields:
            raise RequestRefused(431, f"the header has more than {FIELDS_MAX} fields")
        self.fields[name] = f"{self.fields[name]}, {value}" if name in self.fields else value
        self._last = name


async def read_request(visitor: Connection) -> Request | None:
    """Return the next request, or None if the visitor left without a word. What follows the blank line is not read.

    Raises: RequestRefused, with 408 when it takes too long.
    """
    until_s = visitor.network.now_s() + REQUEST_S_MAX

    async def next_line(status: int) -> bytes | None:
        try:
            return await visitor.read_line(timeout_s=max(0.0, until_s - visitor.network.now_s()))
        except LineTooLong as error:
            raise RequestRefused(status, f"{error}") from error
        except TimeoutError as error:
            raise RequestRefused(408, f"the request took longer than {REQUEST_S_MAX:g} s") from error

    line = await next_line(414)
    if line == b"":
        line = await next_line(414)  # one empty line before a request is let pass: RFC 9112 section 2.2
    if line is None:
        return None
    request = parse_request_line(line)
    if request.is_simple:
        return request
    reader = FieldReader()
    try:
        while line := await next_line(431):
            reader.take(line)
        if line is None:
            raise RequestRefused(400, "the request ended before its blank line")
    except RequestRefused as refusal:
        refusal.head_only = request.method == "HEAD"
        raise
    return Request(request.method, request.target, fields=reader.fields)
