"""Asking a static site without a server: the application is called as ASGI servers do, one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from portside.protocols.http.site.login import Gate
from portside.protocols.http.site.rules import Rules
from portside.protocols.http.site.site import site_application
from portside.storage.contract import Storage

HTML = {"accept": "text/html"}
CLIENT = ("192.0.2.7", 50_000)

Fields = dict[str, str] | Iterable[tuple[str, str]]


@dataclass
class Answer:
    """What a site has answered. ``fields`` are by their names in lower case, ``messages`` as the server got them."""

    messages: list[dict[str, Any]]
    failure: BaseException | None = None

    @property
    def status(self) -> int:
        if not self.messages:
            raise AssertionError("nothing was answered") from self.failure
        return int(self.messages[0]["status"])

    @property
    def fields(self) -> dict[str, str]:
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.messages[0]["headers"]]
        assert len(pairs) == len({name.lower() for name, _ in pairs}), f"a field is there twice: {pairs}"
        return {name.lower(): value for name, value in pairs}

    @property
    def body(self) -> bytes:
        return b"".join(bytes(message.get("body", b"")) for message in self.messages[1:])

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


@dataclass
class Asking:
    """A site over a storage, and how to ask it.

    Everything that a response must keep to is checked of each: lengths that are true, no body where none may be, and an
    end. ``extensions`` are those that the server offers.
    """

    storage: Storage
    rules: Rules = field(default_factory=Rules)
    gate: Gate | None = None
    extensions: tuple[str, ...] = ()
    root_path: str = ""

    def __post_init__(self) -> None:
        self.application = site_application(self.gate or Gate(self.storage), self.rules)

    def __call__(self, method: str, target: str, fields: Fields = (), body: bytes | Iterable[bytes] = b"") -> Answer:
        """Return the answer. A body of several pieces comes as several; one that ends in None breaks off there."""
        return asyncio.run(self.asked(method, target, fields, body))

    def get(self, target: str, fields: Fields = ()) -> Answer:
        return self("GET", target, fields)

    async def asked(
        self, method: str, target: str, fields: Fields = (), body: bytes | Iterable[bytes | None] = b""
    ) -> Answer:
        """The same for somebody who has a loop: of several requests at once."""
        pairs = fields.items() if isinstance(fields, dict) else fields
        headers = [(b"host", b"site.example")]
        headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        pieces = [body] if isinstance(body, bytes) else list(body)
        if body and not {b"content-length", b"transfer-encoding"} & {name for name, _ in headers}:
            headers.append((b"content-length", b"%d" % sum(len(piece or b"") for piece in pieces)))
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": self.root_path + unquote(path),
            "raw_path": (self.root_path + path).encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": self.root_path,
            "headers": headers,
            "client": CLIENT,
            "server": ("192.0.2.1", 80),
            "extensions": {name: {} for name in self.extensions},
            "state": {},
        }
        answer = Answer([])
        coming = iter(pieces)
        is_answered = asyncio.Event()

        async def receive() -> dict[str, Any]:
            for piece in coming:
                if piece is None:
                    break
                return {"type": "http.request", "body": piece, "more_body": True}
            else:
                if not is_whole:
                    is_whole.append(True)
                    return {"type": "http.request", "body": b"", "more_body": False}
                await is_answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            answer.messages.append(message)
            if message["type"] != "http.response.start" and not message.get("more_body", False):
                is_answered.set()

        is_whole: list[bool] = []
        try:
            await self.application(scope, receive, send)
        except Exception as error:
            answer.failure = error
        if answer.failure is None and answer.messages:
            _check(method, answer)
        return answer


def _check(method: str, answer: Answer) -> None:
    """Fail for a response that no server could send as it is."""
    start, *rest = answer.messages
    assert start["type"] == "http.response.start"
    assert rest, "there is no end"
    assert [message.get("more_body", False) for message in rest] == [True] * (len(rest) - 1) + [False]
    assert all(name == name.lower() for name, _ in start["headers"])
    sent = sum(message.get("count", len(message.get("body", b""))) for message in rest)
    length = answer.fields.get("content-length")
    if method == "HEAD" or answer.status in {204, 304}:
        assert not sent
        assert length is None or answer.status not in {204, 304}
    elif length is not None:
        assert int(length) == sent
    assert answer.fields["x-content-type-options"] == "nosniff"


def at_once(*requests: Coroutine[Any, Any, Answer]) -> list[Answer]:
    """Return the answers to requests that are made at the same time."""

    async def ask() -> list[Answer]:
        return list(await asyncio.gather(*requests))

    return asyncio.run(ask())
