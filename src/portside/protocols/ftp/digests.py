"""Digests of files: the algorithms that HASH and its older forms have, and the replies that tell a digest.

Source: draft-bryan-ftpext-hash-02, later draft-ietf-ftpext2-hash-03; the X-forms have no document but that draft's
        list of them. Digests of a part of a file (RANG) are not offered.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from portside.errors import MalformedMessage
from portside.protocols.ftp.replies import MalformedReply

Bytes: TypeAlias = bytes | bytearray | memoryview


class Digest(Protocol):
    """Takes a file's bytes in pieces, as the objects of ``hashlib`` do."""

    def update(self, data: Bytes, /) -> None: ...

    def hexdigest(self) -> str:
        """The digest of all bytes so far, in lower case."""


class Crc32:
    """The check sum of zlib, Ethernet and zip files, as eight hexadecimal digits."""

    __slots__ = ("_sum",)

    def __init__(self) -> None:
        self._sum = 0

    def update(self, data: Bytes, /) -> None:
        self._sum = zlib.crc32(data, self._sum)

    def hexdigest(self) -> str:
        return f"{self._sum:08x}"


def _sha1() -> Digest:
    return hashlib.sha1(usedforsecurity=False)


def _md5() -> Digest:
    return hashlib.md5(usedforsecurity=False)


# Names as IANA's registry of hash functions has them, the default first; CRC32 is the draft's.
_MAKERS: Final[Mapping[str, Callable[[], Digest]]] = {
    "SHA-256": hashlib.sha256,
    "SHA-512": hashlib.sha512,
    "SHA-1": _sha1,
    "MD5": _md5,
    "CRC32": Crc32,
}
ALGORITHMS: Final[tuple[str, ...]] = tuple(_MAKERS)
HEX_DIGITS: Final[Mapping[str, int]] = MappingProxyType(
    {"SHA-256": 64, "SHA-512": 128, "SHA-1": 40, "MD5": 32, "CRC32": 8}
)

X_FORMS: Final[Mapping[str, str]] = MappingProxyType(
    {"XSHA256": "SHA-256", "XSHA512": "SHA-512", "XSHA1": "SHA-1", "XMD5": "MD5", "XCRC": "CRC32"}
)
"""The older commands, each with its one algorithm."""


def open_digest(algorithm: str) -> Digest:
    """Return a digest that has no bytes yet. Raises: KeyError for a name that is not in ``ALGORITHMS``."""
    return _MAKERS[algorithm]()


@dataclass(frozen=True, slots=True)
class HashReply:
    """What a server says of a file. ``begin`` and ``end`` are the range that was hashed, where it says one.

    Servers differ on whether ``end`` is the last byte's place or the one behind it (the size, for a whole file).
    """

    algorithm: str
    digest: str  # hexadecimal, in lower case
    begin: int | None = None
    end: int | None = None
    path: str = ""


_HASH: Final = re.compile(r"(\S{1,40}) (?:(\d{1,20})-(\d{1,20}) )?([0-9A-Fa-f]{8,128})(?: (.*))?", re.ASCII | re.DOTALL)
_HEX_WORD: Final = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{1,128}(?![0-9A-Za-z])", re.ASCII)


def parse_algorithm(text: str) -> str:
    """Return the name of an algorithm in the case it is registered in. Raises: MalformedMessage if there is none."""
    name = text.upper()
    if name not in _MAKERS:
        raise MalformedMessage(f"the algorithms are {', '.join(ALGORITHMS)}, not {text[:40]!r}")
    return name


def parse_hash_reply(text: str) -> HashReply:
    """Return what the text of the 213 that answers HASH says.

    Shape:  ``SHA-256 0-49 169cd22282da7f147cb491e559e9dd… filename``; the range and the name are missing from what
            some servers say.
    Raises: MalformedReply, also when there are more or fewer digits than the algorithm has.
    """
    match = _HASH.fullmatch(text)
    if match is None:
        raise MalformedReply(f"a reply to HASH is an algorithm, a range, a digest and a name; it said {text[:200]!r}")
    algorithm, begin, end, digest, path = match.groups()
    algorithm = algorithm.upper()
    if len(digest) != HEX_DIGITS.get(algorithm, len(digest)):
        raise MalformedReply(f"a digest by {algorithm} has {HEX_DIGITS[algorithm]} digits, not {len(digest)}")
    return HashReply(algorithm, digest.lower(), int(begin) if begin else None, int(end) if end else None, path or "")


def build_hash_reply(reply: HashReply) -> str:
    """Return the text of a 213; ``parse_hash_reply`` makes the same of it. The range is told if both its ends are."""
    has_range = reply.begin is not None and reply.end is not None
    words = (
        reply.algorithm,
        *((f"{reply.begin}-{reply.end}",) if has_range else ()),
        reply.digest,
        *((reply.path,) if reply.path else ()),
    )
    return " ".join(words)


def parse_x_reply(text: str, algorithm: str) -> str:
    """Return the digest, in lower case, from the text of what answers an X-form of that algorithm.

    It is the first word of as many hexadecimal digits as the algorithm has, for there may be text around it. A CRC32
    may also be fewer digits, alone: some servers leave out zeros at its beginning.
    Raises: MalformedReply.
    """
    digits = HEX_DIGITS[algorithm]
    for word in _HEX_WORD.findall(text):
        if len(word) == digits:
            return str(word).lower()
    alone = text.strip()
    if algorithm == "CRC32" and len(alone) < digits and _HEX_WORD.fullmatch(alone):
        return alone.lower().rjust(digits, "0")
    raise MalformedReply(f"there is no digest by {algorithm} in {text[:200]!r}")
