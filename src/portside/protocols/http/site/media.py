"""What kind of thing a file is, by the end of its name: the same on every machine, whatever its own tables say."""

from __future__ import annotations

from functools import lru_cache
from mimetypes import MimeTypes
from typing import Final

UNKNOWN: Final = "application/octet-stream"

# What the standard library's table lacks or has by an old name, in some version or other: RFC 9239 for JavaScript,
# RFC 9512 for YAML, RFC 8081 for fonts, the registry of media types for the rest.
_TYPES: Final = {
    ".apk": "application/vnd.android.package-archive",
    ".avif": "image/avif",
    ".br": "application/x-brotli",
    ".bz2": "application/x-bzip2",
    ".cfg": "text/plain",
    ".conf": "text/plain",
    ".deb": "application/vnd.debian.binary-package",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".ico": "image/x-icon",
    ".ini": "text/plain",
    ".iso": "application/x-iso9660-image",
    ".js": "text/javascript",
    ".jsonl": "application/jsonl",
    ".jxl": "image/jxl",
    ".log": "text/plain",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mkv": "video/matroska",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".parquet": "application/vnd.apache.parquet",
    ".pcapng": "application/octet-stream",
    ".py": "text/x-python",
    ".rar": "application/vnd.rar",
    ".rs": "text/plain",
    ".rst": "text/plain",
    ".sh": "text/plain",  # to be read: a browser asks what to do with application/x-sh
    ".svgz": "image/svg+xml",
    ".toml": "application/toml",
    ".ttf": "font/ttf",
    ".ts": "text/plain",  # TypeScript far more often than MPEG's transport stream
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xht": "application/xhtml+xml",
    ".xhtml": "application/xhtml+xml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
    ".7z": "application/x-7z-compressed",
}

# Names without an end that are texts wherever they are: to be read, and not saved.
_TEXTS: Final = frozenset({"authors", "changelog", "copying", "dockerfile", "license", "makefile", "notice", "readme"})

# Text by another name: compression pays, and what is in it is UTF-8 as a rule.
_TEXT_LIKE: Final = frozenset({
    "application/geo+json",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/manifest+json",
    "application/rtf",
    "application/toml",
    "application/xhtml+xml",
    "application/xml",
    "application/yaml",
    "image/svg+xml",
})  # fmt: skip
_COMPRESSIBLE: Final = frozenset({"application/wasm", "font/otf", "font/ttf", "image/bmp", "image/x-icon", UNKNOWN})

# A browser runs what is in these where it shows them. PDFs have a viewer of their own, apart from the site.
_ACTIVE: Final = frozenset({
    "application/xhtml+xml",
    "application/xml",
    "image/svg+xml",
    "text/html",
    "text/xml",
})  # fmt: skip


def _table() -> MimeTypes:
    table = MimeTypes()  # without the files of the machine, which only the module's own functions read
    # A compressed file is what it is, not a plain one on its way: whoever saves x.tar.gz wants it compressed.
    table.encodings_map = {}
    table.suffix_map = {}
    for suffix, media_type in _TYPES.items():
        table.add_type(media_type, suffix)
    return table


_TABLE: Final = _table()


@lru_cache(4_096)
def media_type_of(name: str) -> str:
    """Return the media type of a file of that name, without parameters."""
    # Only the end counts, whatever else is in the name: to the library it is a URL, which may be "data:" or have "?".
    dot = name.rfind(".")
    if dot <= 0:
        return "text/plain" if name.lower() in _TEXTS else UNKNOWN
    return _TABLE.types_map[True].get(name[dot:].lower(), UNKNOWN)


def is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _TEXT_LIKE


def is_compressible(media_type: str) -> bool:
    """Say whether compressing such a file is worth while: it is not compressed by itself."""
    return is_text(media_type) or media_type in _COMPRESSIBLE


def is_active(media_type: str) -> bool:
    """Say whether a browser runs scripts in such a file, as a part of the site that it came from."""
    return media_type in _ACTIVE


def build_content_type(name: str, charset: str | None) -> bytes:
    """Return the value of Content-Type for a file of that name; ``charset`` is what its texts are written in."""
    media_type = media_type_of(name)
    takes_charset = media_type.startswith("text/")  # JSON, YAML and TOML are UTF-8 by definition, XML says it itself
    return f"{media_type}; charset={charset}".encode("ascii") if takes_charset and charset else media_type.encode()
