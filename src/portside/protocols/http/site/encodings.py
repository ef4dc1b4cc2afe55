"""Which compressed forms of a file a client takes: Accept-Encoding, RFC 9110 section 12.5.3."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from portside.protocols.http.site.accepting import qualities


class Coding(NamedTuple):
    """A content coding, and how a file that has it is named beside the plain one."""

    token: bytes
    suffix: str


GZIP: Final = Coding(b"gzip", ".gz")
# The best first, where a client likes several equally.
CODINGS: Final = (Coding(b"br", ".br"), Coding(b"zstd", ".zst"), GZIP)
_NAMED_ALIKE: Final = {b"x-gzip": b"gzip"}  # RFC 9110 section 8.4.1.3


@lru_cache(256)
def codings_taken(accept_encoding: bytes) -> tuple[Coding, ...]:
    """Return the codings that the client takes, the best one first; none of them where it wants the plain file most."""
    liked = {_NAMED_ALIKE.get(name, name): quality for name, quality in qualities(accept_encoding).items()}
    anything = liked.get(b"*", 0.0)
    plain = liked.get(b"identity", 0.0)
    found = [(liked.get(coding.token, anything), coding) for coding in CODINGS]
    best_first = sorted((pair for pair in found if pair[0] > 0 and pair[0] >= plain), key=lambda pair: -pair[0])
    return tuple(coding for _, coding in best_first)
