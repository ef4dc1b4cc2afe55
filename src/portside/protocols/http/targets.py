"""Request targets: what is asked for, in the forms that a server may be asked in. Source: RFC 9112 section 3.2."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from portside.protocols.http.refusals import RequestRefused

_SLASH: Final = ord("/")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]+)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE | re.DOTALL)


class Target(NamedTuple):
    """What a request is for. ``authority`` is there only where the target itself names it, and then overrides Host."""

    path: bytes
    query: bytes
    authority: bytes | None = None


def parse_target(method: str, target: bytes) -> Target:
    """Return path and query as they came, still percent-encoded. Raises: RequestRefused.

    A fragment is the client's own affair and never sent (RFC 9110 section 7.1); a proxy's CONNECT is not served.
    """
    if method == "CONNECT":
        raise RequestRefused(501, "this server is no proxy")
    if b"#" in target:
        raise RequestRefused(400, "the request target has a fragment")
    if target[0] == _SLASH:
        path, _, query = target.partition(b"?")
        return Target(path, query)
    if target == b"*" and method == "OPTIONS":
        return Target(target, b"")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or b"@" in absolute[1]:
        raise RequestRefused(400, "the request target is no path of this server")
    return Target(absolute[2] or b"/", absolute[3] or b"", absolute[1])


def decode_path(path: bytes) -> str:
    """Return the path as text: percent-encodings undone, then read as UTF-8, with U+FFFD for what is none."""
    return (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace")
