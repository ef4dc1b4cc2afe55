"""The short way for the many: a small file, that anybody may have, for a client that asks for nothing but the file.

It waits for nothing and decides nothing: whatever is not as plain as that, mistakes included, goes the long way, which
looks at it all again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from portside.protocols.http.site.delivery import AT_ONCE_BYTES
from portside.protocols.http.site.heads import Heads
from portside.protocols.http.site.login import Gate
from portside.protocols.http.site.media import is_compressible, media_type_of
from portside.protocols.http.site.rules import RawFields, Rules
from portside.protocols.http.site.targets import is_concealed, parse_target
from portside.storage.contract import Storage, StorageError
from portside.storage.paths import split

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

TARGETS_MAX: Final = 4_096  # remembered; then all are forgotten

# What was sent is kept, and sent again while its seal is the same: to look at a name takes a quarter of the time of
# opening, looking, reading and closing.
KEPT_BYTES_MAX: Final = 16 << 20  # for one process; then all are forgotten
KEPT_EXTRA_BYTES: Final = 512  # about what a kept file takes beside its content

# What has to be looked at before a file is sent; of a file that may lie there compressed, also what the client takes.
_CONDITIONS: Final = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"}
)
_CONDITIONS_OF_COMPRESSIBLE: Final = _CONDITIONS | {b"accept-encoding"}


class _Plain(NamedTuple):
    """What a target means, found out once."""

    path: str
    name: str
    conditions: frozenset[bytes]


class _Kept(NamedTuple):
    """A file as it was sent. The seal tells whether it is the same still."""

    seal: object
    fields: RawFields
    body: bytes


class PlainFiles:
    """An application before another: it answers what is plain, and leaves everything else to the other."""

    def __init__(self, application: ASGIApp, gate: Gate, rules: Rules, heads: Heads) -> None:
        self._application = application
        self._storage: Storage | None = gate.storage if gate.doorkeeper is None else None
        self._rules = rules
        self._heads = heads
        self._targets: dict[bytes, _Plain | None] = {}
        self._kept: dict[str, _Kept] = {}
        self._kept_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope, self._storage) if self._storage is not None and scope["type"] == "http" else None
        if found is None:
            await self._application(scope, receive, send)
            return
        fields, body = found
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    def _find(self, scope: Scope, storage: Storage) -> tuple[RawFields, bytes] | None:
        """Return the head and the content of the file, None for what goes the long way."""
        raw_path: bytes | None = scope.get("raw_path")
        if scope["method"] != "GET" or raw_path is None or scope["root_path"]:
            return None
        try:
            target = self._targets[raw_path]
        except KeyError:
            target = self._understand(raw_path, scope)
        if target is None:
            return None
        path, _, conditions = target
        for field, _ in scope["headers"]:
            if field in conditions:
                return None
        kept = self._kept.get(path)
        if kept is not None and kept.seal == storage.seal_nowait(path):
            return kept.fields, kept.body
        return self._read(storage, target)

    def _read(self, storage: Storage, target: _Plain) -> tuple[RawFields, bytes] | None:
        path, name, _ = target
        try:
            stored = storage.open_nowait(path)
        except StorageError:
            return None
        if stored is None:
            return None
        entry = stored.entry
        try:
            body = stored.read_nowait(entry.size_bytes) if entry.size_bytes <= AT_ONCE_BYTES else None
        except OSError:
            return None
        finally:
            stored.close()
        if body is None:
            return None
        fields = self._heads.of(name, entry).whole
        if stored.seal is not None:
            self._keep(path, _Kept(stored.seal, fields, body))
        return fields, body

    def _keep(self, path: str, kept: _Kept) -> None:
        before = self._kept.pop(path, None)
        self._kept_bytes += len(kept.body) + KEPT_EXTRA_BYTES
        if before is not None:
            self._kept_bytes -= len(before.body) + KEPT_EXTRA_BYTES
        if self._kept_bytes > KEPT_BYTES_MAX:
            self._kept.clear()
            self._kept_bytes = len(kept.body) + KEPT_EXTRA_BYTES
        self._kept[path] = kept

    def _understand(self, raw_path: bytes, scope: Scope) -> _Plain | None:
        path, is_folder = parse_target(scope)
        plain = None
        if not is_folder and (self._rules.hidden or not is_concealed(path)):
            name = split(path)[1]
            has_forms = self._rules.precompressed and is_compressible(media_type_of(name))
            plain = _Plain(path, name, _CONDITIONS_OF_COMPRESSIBLE if has_forms else _CONDITIONS)
        if len(self._targets) >= TARGETS_MAX:
            self._targets.clear()
        self._targets[raw_path] = plain
        return plain
