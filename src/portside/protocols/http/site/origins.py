"""Who is behind a request that changes something: our own page or somebody's program, or another site's page.

A browser sends a visitor's password along with whatever another site's page has it send. What it also sends is whose
page that is: Sec-Fetch-Site where it trusts the way, and Origin in any case with what may change something.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from portside.protocols.http.site.conditions import Fields
from portside.protocols.http.site.problems import Problem

_OURS: Final = frozenset({b"same-origin", b"none"})  # "none" is the visitor, by a bookmark or the address line


def check_origin(fields: Fields) -> None:
    """Raise Problem for a request that another site's page has made."""
    site = fields.get(b"sec-fetch-site")
    origin = fields.get(b"origin")
    if (site is not None and site not in _OURS) or (origin is not None and not _is_ours(origin, fields)):
        raise Problem(403, "Another site's page may change nothing here.")


def _is_ours(origin: bytes, fields: Fields) -> bool:
    """Say whether the origin is the host that was asked. The scheme is left to the proxy that may be in between."""
    try:
        return urlsplit(origin.decode("ascii")).netloc.lower() == fields.get(b"host", b"").decode("ascii").lower() != ""
    except ValueError:
        return False
