"""What a site does and does not, as its operator wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

RawFields: TypeAlias = list[tuple[bytes, bytes]]

INDEX: Final = ("index.html", "index.htm")

# Sniffing makes a script of what was sent as a picture: https://fetch.spec.whatwg.org/#x-content-type-options-header
NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")

# For whoever may read from everywhere: what they may ask with and what they may see, beside the few that are always
# allowed. https://fetch.spec.whatwg.org/#http-cors-protocol
ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
SEEN_BY_SCRIPTS: Final = (
    b"access-control-expose-headers",
    b"accept-ranges, content-disposition, content-encoding, content-range, etag",
)
PREFLIGHT: Final[RawFields] = [
    (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, if-match, if-modified-since, if-none-match, if-range, range"),
    (b"access-control-max-age", b"7200"),
]

# What others have uploaded is shown, and its scripts run, but as if from nowhere: they are not the site, so that they
# cannot act in it as whoever looks at them. https://html.spec.whatwg.org/#attr-iframe-sandbox
APART: Final = (
    b"content-security-policy",
    b"sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts",
)


@dataclass(frozen=True, slots=True)
class Rules:
    """One site's. ``uploads_bytes_max`` bounds each file, ``max_age_s`` is how long a browser need not ask again."""

    index: tuple[str, ...] = INDEX
    listing: bool = True
    hidden: bool = False
    spa: bool = False
    cors: bool = False
    uploads: bool = False
    upload_bytes_max: int | None = None
    archives: bool = True
    precompressed: bool = True
    charset: str | None = "utf-8"
    max_age_s: float = 0.0

    @property
    def always(self) -> RawFields:
        """The fields that every response has."""
        return [NO_SNIFFING, ANY_ORIGIN, SEEN_BY_SCRIPTS] if self.cors else [NO_SNIFFING]

    @property
    def cache_control(self) -> bytes:
        """How long a file may be used again; ``no-cache`` is not "not at all", but "not without asking"."""
        return f"max-age={self.max_age_s:.0f}".encode() if self.max_age_s >= 1 else b"no-cache"

    @property
    def methods(self) -> bytes:
        """The value of Allow."""
        return b"GET, HEAD, OPTIONS, POST, PUT, MKCOL" if self.uploads else b"GET, HEAD, OPTIONS"
