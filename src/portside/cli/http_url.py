"""URLs of files on web servers: ``https://USER:PASSWORD@HOST:PORT/PATH?QUERY``.

Source: RFC 3986, RFC 9110 section 4.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from portside.address import bracketed
from portside.errors import MalformedEndpoint

PORTS: Final = {"http": 80, "https": 443}
_UNSENDABLE: Final = re.compile(r"[\x00-\x20\x7f]")
# What may stand in a target as it is: RFC 3986 section 3.3 and 3.4, and what is escaped already.
_KEPT: Final = "/:@!$&'()*+,;=-._~%?"


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """What is asked for, of which server, and as whom. ``target`` is the path and its query, as they are sent."""

    scheme: str
    host: str
    port: int
    target: str = "/"
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def authority(self) -> str:
        """Host and port as the Host field has them: without the scheme's own port."""
        host = bracketed(self.host)
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """The last part of the path, empty for one that ends in a slash."""
        return unquote(self.target.partition("?")[0].rpartition("/")[2], errors="surrogateescape")

    @property
    def server(self) -> HttpUrl:
        """The same without a target: who is to be connected to."""
        return replace(self, target="/")

    def at(self, name: str) -> HttpUrl:
        """Return the URL of a name in the folder that this one is."""
        folder = self.target.partition("?")[0].rpartition("/")[0]
        return replace(self, target=f"{folder}/{quote(name.encode('utf-8', 'surrogateescape'))}")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def is_http(text: str) -> bool:
    return text.strip().partition("://")[0].lower() in PORTS


def parse_http_url(text: str) -> HttpUrl:
    """Return the URL; what is not ASCII in its path is escaped. Raises: MalformedEndpoint."""
    text = text.strip()
    if _UNSENDABLE.search(text):
        raise MalformedEndpoint(text, "blanks and control characters are written as %20 and the like")
    try:
        parts = urlsplit(text)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise MalformedEndpoint(text, f"{error}") from error
    if not host:
        raise MalformedEndpoint(text, f"it names no host: write {parts.scheme}://example.org/file")
    if port == 0:
        raise MalformedEndpoint(text, "nobody can connect to port 0")
    target = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return HttpUrl(parts.scheme.lower(), host, port or PORTS[parts.scheme.lower()], target, user, password)
