"""All files below a folder, one after the other, for those who want them as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from portside.protocols.http.site.listing import is_shown
from portside.protocols.http.site.rules import Rules
from portside.storage.contract import Entry, Storage, StorageError
from portside.storage.paths import join


class Found(NamedTuple):
    """A file or folder below the one that is walked; ``name`` is its path from there, without a slash before it."""

    name: str
    path: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is still to be looked into, and the one that the way to it leads through."""

    name: str
    path: str
    unique: str
    parent: _Folder | None

    def leads_through(self, unique: str) -> bool:
        here: _Folder | None = self
        while here is not None:
            if here.unique == unique:
                return True
            here = here.parent
        return False


def walk(storage: Storage, folder: str, rules: Rules) -> Iterator[Found]:
    """Yield what may be seen below the folder, each folder before what is in it. May block.

    What vanishes meanwhile, or may not be looked into, is left out. A link leads to a folder as any other name does,
    but not to one that the way came through: there it would begin again without end.
    """
    waiting = [_Folder("", folder, storage.stat(folder).unique, None)]
    while waiting:
        here = waiting.pop()
        with suppress(StorageError):
            for entry in _entries_in(storage, here.path):
                if not is_shown(entry, here.path, rules):
                    continue
                found = Found(f"{here.name}{entry.name}", join(here.path, entry.name), entry)
                if entry.kind == "directory":
                    if here.leads_through(entry.unique):
                        continue
                    waiting.append(_Folder(f"{found.name}/", found.path, entry.unique, here))
                yield found


def _entries_in(storage: Storage, path: str) -> Iterator[Entry]:
    listing = storage.list(path)
    try:
        for batch in listing:
            yield from batch
    finally:
        listing.close()
