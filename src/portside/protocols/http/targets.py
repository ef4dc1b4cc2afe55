"""Request targets: what is asked for, in the forms that a server may be asked in. Source: RFC 9112 section 3.2."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from portside.protocols.http.refusals import RequestRefused

_SLASH: Final = ord("/")
_PERCENT: Final = ord("%")
_NUMBER_SIGN: Final = ord("#")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]+)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE | re.DOTALL)


def parse_target(method: str, target: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Return path and query as they came, still percent-encoded, and the host, where the target names one.

    A fragment is the client's own affair and never sent (RFC 9110 section 7.1); a proxy's CONNECT is not served.
    Raises: RequestRefused.
    """
    if method == "CONNECT":
        raise RequestRefused(501, "this server is no proxy")
    if _NUMBER_SIGN in target:
        raise RequestRefused(400, "the request target has a fragment")
    if target[0] == _SLASH:
        path, _, query = target.partition(b"?")
        return path, query, None
    if target == b"*" and method == "OPTIONS":
        return target, b"", None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or b"@" in absolute[1]:
        raise RequestRefused(400, "the request target is no path of this server")
    return absolute[2] or b"/", absolute[3] or b"", absolute[1]


def decode_path(path: bytes) -> str:
    """Return the path as text: percent-encodings undone, then read as UTF-8, with U+FFFD for what is none.

    The path as it came is ASCII: llhttp sees to that.
    """
    return unquote_to_bytes(path).decode("utf-8", "replace") if _PERCENT in path else path.decode("ascii")
