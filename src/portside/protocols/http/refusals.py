"""Requests that are not served: why, with which status, and in which words."""

from __future__ import annotations

from portside.errors import PeerError
from portside.protocols.http.statuses import status_line


class RequestRefused(PeerError):
    """A request that breaks the protocol or a limit. Nothing behind it on its connection can be trusted."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{status}: {why}")
        self.status = status
        self.why = why


def build_refusal(status: int, why: str, date: bytes) -> bytes:
    """Return the whole answer to a request that is not served; the connection ends behind it.

    ``date`` is the moment in the form of RFC 9110 section 5.6.7.
    """
    body = f"{why[:1].upper()}{why[1:]}.\n".encode()
    return b"".join(
        (
            status_line(status),
            b"date: %b\r\n" % date,
            b"content-type: text/plain; charset=utf-8\r\n",
            b"content-length: %d\r\n" % len(body),
            b"connection: close\r\n\r\n",
            body,
        )
    )
