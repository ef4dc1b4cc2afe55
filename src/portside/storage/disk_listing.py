"""A directory of a disk, in batches: as little as possible for each of a hundred thousand names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

from portside.storage.contract import Entry
from portside.storage.entries import build_entry
from portside.storage.failures import storage_error
from portside.storage.hidden import is_hidden

BATCH_ENTRIES: Final = 1_024  # a few milliseconds' worth: who listens meanwhile gets its turn in between

_FORMAT_BITS: Final = 0o170000  # S_IFMT, inode(7)
_LINK: Final = 0o120000  # S_IFLNK


class DiskListing:
    """Entries of the directory behind a descriptor, which is the listing's from now on. See ``contract.Listing``.

    ``follow`` tells what a link of that name leads to, None for one that is to be shown as a link. At the end
    ``sweep`` is called with the directory and the names of uploads that were found there.
    """

    def __init__(
        self,
        path: str,
        directory: int,
        follow: Callable[[str], os.stat_result | None],
        sweep: Callable[[int, list[str]], None],
    ) -> None:
        self._path, self._directory = path, directory
        self._follow, self._sweep = follow, sweep
        self._hidden: list[str] = []
        self._is_open = False
        try:
            self._scan = os.scandir(directory)
        except OSError:
            os.close(directory)
            raise
        self._is_open = True

    def __iter__(self) -> Iterator[list[Entry]]:
        return self

    def __next__(self) -> list[Entry]:
        try:
            batch = self._next_batch() if self._is_open else []
        except OSError as error:
            self.close()
            raise storage_error(error, self._path) from error
        if not batch:
            raise StopIteration
        return batch

    def _next_batch(self) -> list[Entry]:
        """Return the next entries, fewer than ``BATCH_ENTRIES`` at the end."""
        batch: list[Entry] = []
        for found in self._scan:
            name = found.name
            if name[0] == "." and is_hidden(name):
                self._hidden.append(name)
                continue
            try:
                facts = found.stat(follow_symlinks=False)
            except OSError:
                continue  # it has vanished, or may not be looked at
            if facts.st_mode & _FORMAT_BITS == _LINK:
                facts = self._follow(name) or facts
            batch.append(build_entry(name, facts))
            if len(batch) == BATCH_ENTRIES:
                return batch
        self._sweep(self._directory, self._hidden)
        self.close()
        return batch

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._scan.close()
            os.close(self._directory)

    def __del__(self) -> None:
        self.close()
