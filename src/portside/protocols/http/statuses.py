"""Status codes and their phrases. Source: RFC 9110 section 15, and the registry of IANA as Python has it."""

from __future__ import annotations

import http
from typing import Final

_PHRASES: Final[dict[int, str]] = {status.value: status.phrase for status in http.HTTPStatus} | {
    413: "Content Too Large",  # these have other names in RFC 9110 than they had, and than older Pythons know
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
_LINES: Final = {status: f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii") for status, phrase in _PHRASES.items()}


def status_line(status: int) -> bytes:
    """Return the first line of a response. A status without a phrase has an empty one, RFC 9112 section 4."""
    line = _LINES.get(status)
    return b"HTTP/1.1 %d \r\n" % status if line is None else line


def phrase_of(status: int) -> str:
    """Return what the status means in words: ``Not Found``, or nothing for one that nobody has registered."""
    return status_line(status)[13:-2].decode("ascii")
