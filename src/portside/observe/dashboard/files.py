"""The page's own files, read once, each with a tag by which a browser knows whether it has it already."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portside.observe.dashboard.access import Fields
from portside.observe.dashboard.answers import HTML_TYPE, Send, answer

FOLDER: Final = Path(__file__).parent / "assets"
PAGE: Final = "index.html"
LOGIN: Final = "login.html"
_KINDS: Final = {
    ".css": b"text/css; charset=utf-8",
    ".html": HTML_TYPE,
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is served."""

    body: bytes
    kind: bytes
    tag: bytes  # RFC 9110 section 8.8.3, in its quotes


def read_files() -> dict[str, File]:
    """Return the files by their names."""
    return {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in _KINDS}


def _read(path: Path) -> File:
    body = path.read_bytes()
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    return File(body, _KINDS[path.suffix], f'"{tag}"'.encode("ascii"))


async def answer_file(send: Send, file: File, fields: Fields) -> None:
    """Send the file, or that it has not changed: browsers ask each time, so that an update is never half seen."""
    known = [tag.strip().removeprefix(b"W/") for tag in fields.get(b"if-none-match", b"").split(b",")]
    headers = ((b"etag", file.tag), (b"cache-control", b"no-cache"))
    if file.tag in known:
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
    else:
        await answer(send, file.body, file.kind, fields=headers)
