"""Who may see the dashboard, and from where something may be changed.

Without a token the address is the guard: the dashboard then listens on loopback only, and believes only names of
loopback in ``Host``, so that a page whose name was pointed at this machine (DNS rebinding) learns nothing. With a token
a cookie made of it is, which no other name is sent. Either way nothing changes at the word of another origin's page.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final, TypeAlias

from portside.address import is_ip_literal, parse_ip, split_host_port
from portside.errors import MalformedAddress

COOKIE: Final = "portside"
COOKIE_S: Final = 30 * 86_400

Fields: TypeAlias = Mapping[bytes, bytes]
"""The header, names in lower case."""


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one dashboard. ``token`` is None where everybody may see it who can reach it."""

    token: str | None = None
    checks_host: bool = True

    @property
    def cookie(self) -> str:
        """What a browser keeps instead of the token, which cannot be had back from it."""
        key = hashlib.sha256((self.token or "").encode()).digest()
        return hmac.new(key, b"portside dashboard cookie", "sha256").hexdigest()

    def believes_host(self, fields: Fields) -> bool:
        """Return whether the request was meant for us, by the name that its client knows us under."""
        return self.token is not None or not self.checks_host or is_loopback_name(fields.get(b"host", b""))

    def knows(self, token: str) -> bool:
        """Return whether it is the token; in a time that does not tell how much of it is right."""
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def admits(self, fields: Fields) -> bool:
        """Return whether the request may see anything: by its cookie, or by the token as a bearer's (RFC 6750)."""
        if self.token is None:
            return True
        scheme, _, credentials = fields.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and self.knows(credentials.strip()):
            return True
        return hmac.compare_digest(_cookie_of(fields).encode(), self.cookie.encode())


def comes_from_elsewhere(fields: Fields) -> bool:
    """Return whether a browser says that a page of another origin made it send the request.

    Source: Fetch Metadata (Sec-Fetch-Site), and RFC 6454 for browsers that say only ``Origin``.
    """
    site = fields.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = fields.get(b"origin")
    return origin is not None and origin.partition(b"://")[2] != fields.get(b"host")


def is_loopback_name(host: bytes) -> bool:
    """Return whether ``localhost:8099``, ``127.0.0.1`` or the like is this machine to itself, by name alone."""
    try:
        name, _ = split_host_port(host.decode("latin-1"))
        if is_ip_literal(name):
            return parse_ip(name).is_loopback
    except MalformedAddress:
        return False
    return name.lower() == "localhost" or name.lower().endswith(".localhost")  # RFC 6761 section 6.3


def _cookie_of(fields: Fields) -> str:
    try:
        cookies = SimpleCookie(fields.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
