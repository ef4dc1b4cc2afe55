"""What the replies to single commands say: a size, a path, the features."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from portside.protocols.ftp.replies import MalformedReply, Reply

SIZE_DIGITS_MAX: Final = 20  # 2**64 has 20

_SIZE: Final = re.compile(rf"\s*(\d{{1,{SIZE_DIGITS_MAX}}})(?:\s.*)?", re.ASCII | re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"', re.DOTALL)
_FEATURE: Final = re.compile(r"\s*(\S+)(?:\s+(.*?))?\s*")


@dataclass(frozen=True, slots=True)
class Features:
    """What the server said it can do: the names, in upper case, each with what stood behind it (RFC 2389 section 3.2).

    A server that does not know FEAT has not been ``told``: what it can do must be tried.
    """

    by_name: Mapping[str, str] = field(default_factory=dict)
    is_told: bool = False

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __getitem__(self, name: str) -> str:
        return self.by_name[name]

    def may_know(self, verb: str) -> bool:
        """Tell whether a command of RFC 3659, which FEAT must name, is worth a try."""
        return not self.is_told or verb in self.by_name


def parse_features(reply: Reply) -> Features:
    """Return the features of a 211; its first and last lines are decoration.

    Names may come more than once, with more words; they are joined.
    """
    by_name: dict[str, str] = {}
    for line in reply.lines[1:-1]:
        match = _FEATURE.fullmatch(line)
        if match is not None:
            name, words = match[1].upper(), match[2] or ""
            by_name[name] = f"{by_name[name]} {words}".strip() if name in by_name else words
    return Features(by_name, is_told=True)


def parse_size(reply: Reply) -> int:
    """Return the bytes in a 213 that answers SIZE (RFC 3659 section 4). Raises: MalformedReply."""
    match = _SIZE.fullmatch(reply.text)
    if match is None:
        raise MalformedReply(f"a reply to SIZE is a number of bytes; this one said {reply.text[:80]!r}")
    return int(match[1])


def parse_path(reply: Reply) -> str:
    """Return the path in a 257, between quotes that are doubled in it (RFC 959 appendix II). Raises: MalformedReply."""
    match = _QUOTED.search(reply.text)
    if match is None:
        raise MalformedReply(f'a path in a reply stands in "quotes"; this one said {reply.text[:80]!r}')
    return match[1].replace('""', '"')


def algorithms_of(features: Features) -> tuple[str, ...]:
    """Return the names in HASH's line of FEAT; the one in use has lost its star.

    Source: draft-bryan-ftpext-hash-02 section 3.2: ``HASH SHA-256*;SHA-1;MD5``.
    """
    names = features.by_name.get("HASH", "").split(";")
    return tuple(name.strip().rstrip("*").upper() for name in names if name.strip())
