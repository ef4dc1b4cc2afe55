"""What a request's header says of its own boundaries: how long its body is, and what follows it.

Two readers that disagree about these can be played off against each other (request smuggling), so whatever can be read
in two ways is refused. llhttp refuses most of it; here is the rest. Source: RFC 9112 sections 3.2, 6 and 9.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from portside.protocols.http.refusals import RequestRefused

_HOST: Final = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=-]*(:\d*)?|\[[0-9A-Fa-f:.]+\](:\d*)?")  # RFC 3986 section 3.2.2


class Framing(NamedTuple):
    """Where a request ends, and how the connection goes on.

    ``length`` counts bytes, None for a chunked body. ``upgrade`` is the other protocol that the client would rather
    speak, in lower case.
    """

    length: int | None = 0
    keeps_alive: bool = True
    expects_continue: bool = False
    upgrade: bytes | None = None


def framing_of(version: str, fields: list[tuple[bytes, bytes]]) -> Framing:
    """Return what Host, Connection, Upgrade, Expect and the fields of the body say. Raises: RequestRefused."""
    hosts = _values(fields, b"host")
    if len(hosts) > 1 or (version == "1.1" and not hosts):
        raise RequestRefused(400, "a request has exactly one Host")
    for host in hosts:
        _check_host(host)
    options = _options(fields, b"connection")
    return Framing(
        length=_length(version, fields),
        keeps_alive=b"close" not in options if version == "1.1" else b"keep-alive" in options,
        expects_continue=_expects_continue(version, fields),
        upgrade=_upgrade(fields) if b"upgrade" in options and version == "1.1" else None,
    )


def _values(fields: Iterable[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name == wanted]


def _options(fields: Iterable[tuple[bytes, bytes]], wanted: bytes) -> set[bytes]:
    return {option.strip(b" \t") for value in _values(fields, wanted) for option in value.lower().split(b",")}


def _check_host(host: bytes) -> None:
    if _HOST.fullmatch(host) is None:
        raise RequestRefused(400, "the Host is malformed")


def _length(version: str, fields: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the body's length; llhttp has seen to it that Content-Length is one number, and alone."""
    codings = _values(fields, b"transfer-encoding")
    if codings:
        if version == "1.0":
            raise RequestRefused(400, "HTTP/1.0 has no Transfer-Encoding")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise RequestRefused(501, "the only Transfer-Encoding known here is chunked")
        return None
    lengths = _values(fields, b"content-length")
    return int(lengths[0]) if lengths else 0


def _expects_continue(version: str, fields: Iterable[tuple[bytes, bytes]]) -> bool:
    expectations = _options(fields, b"expect")
    if version == "1.0":
        return False  # RFC 9110 section 10.1.1: it is ignored there
    if expectations - {b"100-continue"}:
        raise RequestRefused(417, "the only expectation known here is 100-continue")
    return bool(expectations)


def _upgrade(fields: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    return next((value.lower() for value in _values(fields, b"upgrade")), None)
