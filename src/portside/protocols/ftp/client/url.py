"""URLs of files on FTP servers: ``ftp://USER:PASSWORD@HOST:PORT/PATH``.

The path is read by RFC 1738 section 3.2.2: it starts in the directory in which the login puts the user, so
``ftp://host/a/b`` is ``a/b`` there; a second slash, or ``%2F``, starts at the server's root: ``ftp://host//a/b``. What
stands for itself in a URL is written ``%XX``; ``?`` and ``#`` mean nothing in FTP and belong to names.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, unquote

from portside.address import ANY_HOST, Endpoint, bracketed, is_decimal, parse_endpoint
from portside.errors import MalformedEndpoint

Security: TypeAlias = Literal["none", "explicit", "implicit"]
"""How TLS begins: not at all; by AUTH TLS on a plain connection (RFC 4217); at once, on a port of its own."""

PORT: Final = 21
IMPLICIT_PORT: Final = 990
SCHEMES: Final[dict[str, Security]] = {"ftp": "none", "ftpes": "explicit", "ftps": "implicit"}

_TYPE: Final = re.compile(r";type=(.)$", re.IGNORECASE)
_ANY: Final = (ANY_HOST, "0.0.0.0")  # every address to a server; to a client, this machine
_UNSENDABLE: Final = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class FtpUrl:
    """Where on which server, and as whom. ``user`` None is nobody in particular: anonymous."""

    scheme: str
    host: str
    port: int
    path: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def security(self) -> Security:
        return SCHEMES[self.scheme]

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("tcp", host=self.host, port=self.port)

    @property
    def name(self) -> str:
        """The last part of the path, empty for a directory written with its slash."""
        return self.path.rpartition("/")[2]

    @property
    def server(self) -> FtpUrl:
        """The same without a path: who is to be connected to."""
        return replace(self, path="")

    def at(self, path: str) -> FtpUrl:
        return replace(self, path=path)

    def __str__(self) -> str:
        """The URL without its password, fit for messages and logs."""
        user = "" if self.user is None else quote(self.user, safe="", errors="surrogateescape") + "@"
        usual = IMPLICIT_PORT if self.security == "implicit" else PORT
        port = "" if self.port == usual else f":{self.port}"
        path = quote(self.path, safe="/~!$&'()*+,;=:@", errors="surrogateescape")
        return f"{self.scheme}://{user}{bracketed(self.host)}{port}/{path}"


def parse_url(text: str) -> FtpUrl:
    """Return what the URL names.

    Raises: MalformedEndpoint, with the nearest right word where there is one; never with the password in it.
    """
    scheme, separator, rest = text.strip().partition("://")
    scheme = scheme.lower()  # RFC 3986 section 3.1
    if not separator or scheme not in SCHEMES:
        raise MalformedEndpoint(_without_password(text), _why_no_scheme(scheme if separator else ""))
    authority, _, path = rest.partition("/")
    login, at, host_port = authority.rpartition("@")
    user, colon, password = login.partition(":")
    default_port = IMPLICIT_PORT if SCHEMES[scheme] == "implicit" else PORT
    endpoint = _parse_host(text, host_port, default_port)
    url = FtpUrl(
        scheme,
        endpoint.host,
        endpoint.port,
        path=_unquoted(_without_type(text, path)),
        user=_unquoted(user) if at else None,
        password=_unquoted(password) if colon else None,
    )
    for part in (url.path, url.user or "", url.password or ""):
        if _UNSENDABLE.search(part):
            raise MalformedEndpoint(_without_password(text), "CR, LF and NUL cannot be said to an FTP server")
    return url


def is_url(text: str) -> bool:
    """Tell whether the text is meant as a URL, of whatever scheme, and not as a path on this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def join(directory: str, name: str) -> str:
    """Return the path of a name in a directory; ``""`` is the directory of the login."""
    return f"{directory.removesuffix('/')}/{name}" if directory else name


def _unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _without_type(text: str, path: str) -> str:
    # RFC 1738 section 3.2.2: a for text, i for bytes as they are, d for a list of names.
    found = _TYPE.search(path)
    if found is None:
        return path
    if found[1] not in "iI":
        raise MalformedEndpoint(_without_password(text), "files are transferred as they are: type=i is the only type")
    return path[: found.start()]


def _parse_host(text: str, host_port: str, default_port: int) -> Endpoint:
    if not host_port or host_port.startswith(":") or is_decimal(host_port):
        raise MalformedEndpoint(_without_password(text), "the host is missing")
    if "?" in host_port:  # options of an endpoint, which this is not
        raise MalformedEndpoint(_without_password(text), "between the host and '?' a '/' is missing")
    try:
        endpoint = parse_endpoint(f"tcp://{host_port}", default_port=default_port)
    except MalformedEndpoint as error:
        raise MalformedEndpoint(_without_password(text), error.why) from None
    if not endpoint.port:
        raise MalformedEndpoint(_without_password(text), "nobody can connect to port 0")
    return replace(endpoint, host="localhost") if endpoint.host in _ANY else endpoint


def _why_no_scheme(scheme: str) -> str:
    near = difflib.get_close_matches(scheme, SCHEMES, n=1)
    if near:
        return f"unknown scheme {scheme!r}; did you mean {near[0]}?"
    return f"it starts with one of {', '.join(f'{name}://' for name in SCHEMES)}"


def _without_password(text: str) -> str:
    scheme, separator, rest = text.strip().partition("://")
    authority, slash, path = rest.partition("/")
    login, at, host = authority.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}{separator}{user}{':***' if colon else ''}{at}{host}{slash}{path}"
