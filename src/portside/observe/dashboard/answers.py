"""Responses of the dashboard as ASGI messages, and what every one of them tells a browser not to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

import msgspec

Scope: TypeAlias = dict[str, Any]
Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
RawFields: TypeAlias = Iterable[tuple[bytes, bytes]]

# Nothing is loaded from elsewhere, nothing inline runs, nobody frames the page. Source: Content Security Policy 3.
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_ALWAYS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", _POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),  # with none at all, a form of ours would come from "null"
    (b"x-content-type-options", b"nosniff"),
)
_NOT_KEPT: Final = (b"cache-control", b"no-store")

JSON_TYPE: Final = b"application/json"
TEXT_TYPE: Final = b"text/plain; charset=utf-8"
HTML_TYPE: Final = b"text/html; charset=utf-8"
OPENMETRICS_TYPE: Final = b"application/openmetrics-text; version=1.0.0; charset=utf-8"


class Problem(Exception):
    """The request gets this status and sentence, and no more."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


async def answer(send: Send, body: bytes, kind: bytes, *, status: int = 200, fields: RawFields = (_NOT_KEPT,)) -> None:
    """Send a whole response. ``fields`` come beside those that every response has."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *_ALWAYS, *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Send, value: object, *, status: int = 200) -> None:
    """Send a value as JSON."""
    await answer(send, msgspec.json.encode(value) + b"\n", JSON_TYPE, status=status)


async def answer_problem(send: Send, problem: Problem) -> None:
    """Send what is wrong, as JSON: our own page reads it, and people can."""
    await answer_json(send, {"error": problem.sentence}, status=problem.status)


async def redirect(send: Send, to: bytes, *fields: tuple[bytes, bytes]) -> None:
    """Send the browser to another address, with GET. Source: RFC 9110 section 15.4.4."""
    await answer(send, b"", TEXT_TYPE, status=303, fields=((b"location", to), _NOT_KEPT, *fields))


async def begin_events(send: Send) -> None:
    """Begin a stream of server-sent events. A proxy in between is asked not to hold it back."""
    headers = [(b"content-type", b"text/event-stream"), *_ALWAYS, _NOT_KEPT, (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def build_event(name: str, value: object) -> bytes:
    """Return a server-sent event whose data is the value in JSON, which has no line ends.

    Source: HTML Living Standard, section 9.2.6.
    """
    return b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), msgspec.json.encode(value))


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the request's body. Raises: Problem for one that is longer, or that does not come."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Problem(400, "The request broke off.")
        body += message.get("body", b"")
        if len(body) > limit:
            raise Problem(413, "The request is too long.")
        if not message.get("more_body", False):
            return bytes(body)
