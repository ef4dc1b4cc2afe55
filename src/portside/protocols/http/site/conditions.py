"""Whether a request's conditions let it go on: RFC 9110 section 13.

Fields are as ASGI has them: names in lower case, values as bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from portside.protocols.http.site.dates import parse_date

Fields: TypeAlias = Mapping[bytes, bytes]
Refusal: TypeAlias = Literal[304, 412]

# RFC 9110 section 8.8.3.
_ENTITY_TAG: Final = re.compile(rb'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_SAFE: Final = frozenset({"GET", "HEAD"})

# A date tells two contents apart only if they are not of the same second, RFC 9110 section 8.8.2.2.
_SURELY_OLD_S: Final = 1


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one content of a file from another. ``etag`` has its quotes, and ``W/`` where it is weak."""

    etag: bytes
    modified_s: int


def judge(method: str, fields: Fields, current: Validators | None) -> Refusal | None:
    """Return the status that ends the request, None where it may go on; ``current`` is None where there is no file.

    The order is that of RFC 9110 section 13.2.2.
    """
    if (wanted := fields.get(b"if-match")) is not None:
        if not _matches(wanted, current, strongly=True):
            return 412
    elif current is not None:
        since = _date_in(fields, b"if-unmodified-since")
        if since is not None and current.modified_s > since:
            return 412
    if (unwanted := fields.get(b"if-none-match")) is not None:
        if _matches(unwanted, current, strongly=False):
            return 304 if method in _SAFE else 412
    elif method in _SAFE and current is not None:
        since = _date_in(fields, b"if-modified-since")
        if since is not None and current.modified_s <= since:
            return 304
    return None


def is_range_current(condition: bytes | None, current: Validators, now_s: float) -> bool:
    """Say whether a range is of the content that the client has the rest of (If-Range, RFC 9110 section 13.1.5)."""
    if condition is None:
        return True
    if condition[:1] == b'"' or condition[:2] == b"W/":
        return condition == current.etag and condition[:1] == b'"'
    return parse_date(condition) == current.modified_s and now_s - current.modified_s > _SURELY_OLD_S


def _date_in(fields: Fields, name: bytes) -> int | None:
    text = fields.get(name)
    return None if text is None else parse_date(text)


def _matches(wanted: bytes, current: Validators | None, *, strongly: bool) -> bool:
    if current is None:
        return False
    if wanted.strip() == b"*":
        return True
    is_weak = current.etag[:2] == b"W/"
    opaque = current.etag[2:] if is_weak else current.etag
    return any(tag == opaque and not (strongly and (weak or is_weak)) for weak, tag in _ENTITY_TAG.findall(wanted))
