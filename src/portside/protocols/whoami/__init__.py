"""whoami: the lectures' wicked awesome simple web server. It tells visitors who they are.

The way of a request: ``request`` reads it to its blank line, the network looks the visitor's name up, ``page`` shows
what is known, and the answer leaves in one write. Every path gets the same page; the connection then closes.
Source: RFC 1945.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from portside import events
from portside.address import InternetAddress
from portside.contracts import Battery, Connection
from portside.errors import NetworkError
from portside.protocols.whoami.page import Visitor, build_page, build_refusal_page, build_text
from portside.protocols.whoami.request import ALLOWED_METHODS, Request, RequestRefused, read_request
from portside.units import size_in_words

PORT: Final = 80
NAME_S_MAX: Final = 2.0  # a page without the name is better than a page that comes later than this

_HTML: Final = "text/html; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"

_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    405: "Method Not Allowed",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def whoami_battery(names: bool = True, clock: Callable[[], float] = time.time, service: str = "whoami") -> Battery:
    """Return the whoami battery.

    ``names``: look up the visitor's host name. ``clock`` gives seconds since 1970. ``service`` is whose conversation
    it is, for whoever watches.
    """

    async def whoami(visitor: Connection) -> None:
        try:
            request = await read_request(visitor)
        except RequestRefused as refusal:
            _tell_request(service, visitor, "(refused)")
            answer = build_refusal(refusal.status, refusal.why, clock(), head_only=refusal.head_only)
            await _answer(service, visitor, refusal.status, answer)
            return
        if request is None:
            return
        _tell_request(service, visitor, f"{request.method} {shown_target(request.target)}")
        name = await _name_of(visitor) if names else None
        await _answer(service, visitor, 200, build_answer(request, Visitor(visitor.peer, name, visitor.tls), clock()))

    def refuse(why: str) -> bytes:
        # 408 is what browsers expect on a connection they opened and kept for later: they ask again on another.
        status = 408 if "too long" in why else 503
        return build_refusal(status, f"this connection is not served: {why}", clock())

    return Battery("whoami", stream=whoami, port=PORT, refusal=refuse, speaks=True)


def _tell_request(service: str, visitor: Connection, words: str) -> None:
    if events.listening(events.Spoke):
        events.emit(events.Spoke(service, visitor.id, "in", words, visitor.bytes_in))


async def _answer(service: str, visitor: Connection, status: int, answer: bytes) -> None:
    if events.listening(events.Spoke):
        words = f"{status} {_REASONS[status]} {size_in_words(len(answer))}"
        events.emit(events.Spoke(service, visitor.id, "out", words, len(answer)))
    if events.listening(events.Answered):
        events.emit(events.Answered(service, status))
    await visitor.write(answer)


def shown_target(target: str) -> str:
    """Return the target as it may be shown to whoever watches: a query, and whom a URL names, may hold a secret."""
    path, mark, _ = target.partition("?")
    if "://" in path:  # what is asked of a proxy: RFC 1945 section 5.1.2
        path = "/" + path.partition("://")[2].partition("/")[2]
    return f"{path}?…" if mark else path


async def _name_of(visitor: Connection) -> str | None:
    if not isinstance(visitor.peer, InternetAddress):
        return None
    try:
        return await visitor.network.name_of(visitor.peer, timeout_s=NAME_S_MAX)
    except (NetworkError, TimeoutError):
        return None


def build_answer(request: Request, visitor: Visitor, now_s: float) -> bytes:
    """Return the whole answer: status line, header and page; the page alone for a simple request.

    Source: RFC 1945 section 6; section 8.2 for HEAD, whose header is that of GET.
    """
    if request.is_simple:
        return build_page(visitor)
    wants_html = accepts_html(request.fields.get("accept"))
    body = build_page(visitor) if wants_html else build_text(visitor)
    head = build_head(200, _HTML if wants_html else _TEXT, len(body), now_s)
    return head if request.method == "HEAD" else head + body


def build_refusal(status: int, why: str, now_s: float, *, head_only: bool = False) -> bytes:
    """Return the whole answer to a request that cannot be answered otherwise."""
    body = build_refusal_page(f"{status} {_REASONS[status]}", why)
    head = build_head(status, _HTML, len(body), now_s)
    return head if head_only else head + body


def build_head(status: int, content_type: str, length_bytes: int, now_s: float) -> bytes:
    """Return the status line and the header, blank line included."""
    fields = {
        "Date": build_date(now_s),
        "Server": "Portside",
        "Content-Type": content_type,
        "Content-Length": str(length_bytes),
        "Cache-Control": "no-store",  # the next visitor behind the same cache is somebody else
        "Vary": "Accept",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
    }
    if status == 405:
        fields["Allow"] = ", ".join(ALLOWED_METHODS)
    lines = [f"HTTP/1.0 {status} {_REASONS[status]}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join((*lines, "", "")).encode("ascii")


def build_date(now_s: float) -> str:
    """Return the moment as ``Sun, 06 Nov 1994 08:49:37 GMT``. Source: RFC 1945 section 3.3, the form of RFC 1123."""
    now = datetime.fromtimestamp(now_s, UTC)
    date = f"{_DAYS[now.weekday()]}, {now.day:02} {_MONTHS[now.month - 1]} {now.year:04}"
    return f"{date} {now.hour:02}:{now.minute:02}:{now.second:02} GMT"


_REFUSED_QUALITY: Final = re.compile(r"q=0(\.0{0,3})?", re.IGNORECASE)


def accepts_html(accept: str | None) -> bool:
    """Return whether the visitor gets the page rather than the text.

    Browsers name text/html; who only says ``*/*``, as curl does, reads in a terminal. Who says nothing gets the page.
    """
    if accept is None:
        return True
    for part in accept.split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        if kind.lower() in ("text/html", "application/xhtml+xml"):
            return not any(_REFUSED_QUALITY.fullmatch(parameter) for parameter in parameters)
    return False
