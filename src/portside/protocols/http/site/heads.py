"""What is said of a file before its bytes, made once for each content that it has."""

from __future__ import annotations

from typing import Final, NamedTuple

from portside.protocols.http.site.conditions import Validators
from portside.protocols.http.site.dates import SECONDS_MAX, build_file_date
from portside.protocols.http.site.encodings import Coding
from portside.protocols.http.site.media import build_content_type, is_active, is_compressible, media_type_of
from portside.protocols.http.site.rules import APART, RawFields, Rules
from portside.storage.contract import Entry

HEADS_MAX: Final = 4_096  # remembered; then all are forgotten, and the files that are asked for make theirs anew

_BYTES_WANTED: Final = (b"accept-ranges", b"bytes")
_ANSWER_HANGS_ON: Final = (b"vary", b"accept-encoding")


class Head(NamedTuple):
    """The fields of a file's responses. ``whole`` goes with all of it; ``lasting`` with 206 and 304 as well."""

    validators: Validators
    content_type: bytes
    lasting: RawFields
    whole: RawFields


class Heads:
    """Makes the heads of a site's files."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[tuple[str, str, int, int, Coding | None], Head] = {}

    def of(self, name: str, entry: Entry, coding: Coding | None = None) -> Head:
        """Return the head of a file of that name; ``entry`` is what is sent, in that coding."""
        key = (name, entry.unique, entry.modified_ns, entry.size_bytes, coding)
        head = self._known.get(key)
        if head is None:
            if len(self._known) >= HEADS_MAX:
                self._known.clear()
            head = self._known[key] = self._make(name, entry, coding)
        return head

    def _make(self, name: str, entry: Entry, coding: Coding | None) -> Head:
        rules, media_type = self._rules, media_type_of(name)
        validators = validators_of(entry)
        lasting: RawFields = [
            (b"etag", validators.etag),
            (b"last-modified", build_file_date(validators.modified_s)),
            (b"cache-control", rules.cache_control),
            _BYTES_WANTED,
            *rules.always,
        ]
        if rules.precompressed and is_compressible(media_type):
            lasting.append(_ANSWER_HANGS_ON)
        if coding is not None:
            lasting.append((b"content-encoding", coding.token))
        if rules.uploads and is_active(media_type):
            lasting.append(APART)
        content_type = build_content_type(name, rules.charset)
        about: RawFields = [(b"content-type", content_type), (b"content-length", b"%d" % entry.size_bytes)]
        return Head(validators, content_type, lasting, [*about, *lasting])


def validators_of(entry: Entry) -> Validators:
    """Return what tells this content of a file from others.

    An upload makes a new file, and a change in place a new time: so the tag is strong (RFC 9110 section 8.8.1), but
    for changes in place within one tick of the file system's clock that keep the size.
    """
    etag = b'"%x-%x-%b"' % (entry.modified_ns, entry.size_bytes, entry.unique.encode("ascii"))
    return Validators(etag, min(max(entry.modified_ns // 1_000_000_000, 0), SECONDS_MAX))
