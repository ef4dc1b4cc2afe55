"""What is told of HTTP to whoever watches a conversation: never a query, a header or a body, which may hold secrets."""

from __future__ import annotations

from portside.protocols.http.statuses import phrase_of
from portside.units import size_in_words


def words_of_request(method: str, path: bytes, query: bytes) -> str:
    """Return ``GET /x``, with ``?…`` behind it where there is a query."""
    return f"{method} {path.decode('ascii', 'backslashreplace')}{'?…' if query else ''}"


def words_of_response(status: int, body_bytes: int) -> str:
    """Return ``200 OK 1.2 MB``, without a size where there is no body."""
    words = f"{status} {phrase_of(status)}".rstrip()
    return f"{words} {size_in_words(body_bytes)}" if body_bytes else words
