"""Listings of a storage's directories: what LIST, NLST and MLSD send, in pieces of bounded size.

Everything here may wait for a disk: it runs where that holds up nobody. Up to ``SORTED_MAX`` entries are sorted, as
ls does; a larger directory comes in the order the disk has it, for memory must not grow with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from typing import Final, TypeAlias

from portside.accounts.account import Permission
from portside.protocols.ftp.acts import ListingForm
from portside.protocols.ftp.facts import build_facts_lines
from portside.protocols.ftp.listing import (
    STREAM_WIDTHS,
    ListRequest,
    arrange,
    build_heading,
    build_listing,
    build_names,
    has_pattern,
    matcher,
    parse_list_argument,
    split_pattern,
)
from portside.storage import paths
from portside.storage.contract import Entry, NoSuchFile, NotDirectory, Storage, StorageError

SORTED_MAX: Final = 10_000
PIECE_BYTES: Final = 262_144
DEPTH_MAX: Final = 64  # of a recursive listing: links may lead deeper and deeper

Pieces: TypeAlias = Generator[bytes, None, None]


class Listing:
    """A listing on its way: ``first`` is its first piece, and after it ``next_piece`` gives the rest, then nothing."""

    __slots__ = ("_pieces", "first", "is_over")

    def __init__(self, pieces: Pieces) -> None:
        """Make the first piece. Raises: StorageError."""
        self._pieces = pieces
        self.is_over = False
        self.first = self.next_piece()

    def next_piece(self) -> bytes:
        """Return what comes next, ``b""`` at the end."""
        gathered: list[bytes] = []
        size_bytes = 0
        for piece in self._pieces:
            gathered.append(piece)
            size_bytes += len(piece)
            if size_bytes >= PIECE_BYTES:
                break
        else:
            self.is_over = True
        return b"".join(gathered)

    def close(self) -> None:
        self._pieces.close()


def open_listing(
    storage: Storage,
    directory: str,
    form: ListingForm,
    argument: str,
    *,
    facts: Collection[str],
    permissions: Collection[Permission],
    now_s: Callable[[], float] = time.time,
) -> Listing:
    """Return the listing that somebody in ``directory`` asks for, its first piece made. Raises: StorageError."""
    if form == "MLSD":
        return Listing(_facts(storage, paths.resolve(directory, argument), facts, permissions))
    request = parse_list_argument(argument)
    is_long = (form == "LIST" and not request.one_column) or request.long
    # RFC 1123 section 4.1.2.7: each name of NLST must do as the argument of a transfer, from where the client is.
    prefix = f"{request.path.rstrip('/')}/" if form == "NLST" and request.path else ""
    return Listing(_Lister(storage, request, _builder(is_long, now_s()), prefix).pieces(directory))


def _facts(storage: Storage, path: str, facts: Collection[str], permissions: Collection[Permission]) -> Pieces:
    if storage.stat(path).kind != "directory":
        raise NotDirectory(path)
    with closing(storage.list(path)) as batches:
        for batch in batches:
            yield build_facts_lines(batch, facts, permissions)


Build: TypeAlias = Callable[[list[Entry], bool, str], bytes]
"""Makes the lines of entries. The flag says whether all of their directory are there, which then sets the columns; the
text goes before each name of NLST."""


def _builder(is_long: bool, now_s: float) -> Build:
    if is_long:
        return lambda entries, are_all, prefix: build_listing(entries, now_s, None if are_all else STREAM_WIDTHS)
    return lambda entries, are_all, prefix: build_names(entries, prefix)


class _Lister:
    """One listing in the manner of ls."""

    def __init__(self, storage: Storage, request: ListRequest, build: Build, prefix: str) -> None:
        self._storage = storage
        self._prefix = prefix  # of what is in the directory that is asked for
        self._request = request
        self._build = build
        self._seen: set[str] = set()  # directories of a recursive listing, by what is the same for all their names

    def pieces(self, directory: str) -> Pieces:
        typed = self._request.path
        path = paths.resolve(directory, typed)
        try:
            entry = self._storage.stat(path)
        except NoSuchFile:
            if not has_pattern(typed):
                raise
            yield from self._matching(directory, typed)
            return
        if entry.kind != "directory" or self._request.directory_itself:
            yield self._build([entry._replace(name=typed or ".")], True, "")
        elif self._request.recursive:
            yield from self._tree(path, typed or ".", 0)
        else:
            yield from self._directory(path, self._prefix)

    def _matching(self, directory: str, typed: str) -> Pieces:
        above, pattern = split_pattern(typed)
        matches = matcher(pattern)
        with closing(self._storage.list(paths.resolve(directory, above))) as batches:
            found = [
                entry._replace(name=above + entry.name) for batch in batches for entry in batch if matches(entry.name)
            ]
        if not found:
            raise NoSuchFile(typed, "nothing has such a name")
        found.sort(key=lambda entry: entry.name, reverse=self._request.reverse)
        yield self._build(found, True, "")

    def _directory(self, path: str, prefix: str, subdirectories: list[Entry] | None = None) -> Pieces:
        """Make the pieces of one directory, and note the directories in it."""
        with closing(self._storage.list(path)) as batches:
            entries, are_all = _gather(batches, SORTED_MAX)
            if self._request.dots:
                entries += self._dots(path)
            shown = arrange(entries, self._request)
            _note(subdirectories, shown)
            yield self._build(shown, are_all, prefix)
            for batch in () if are_all else batches:
                shown = [entry for entry in batch if self._request.hidden or not entry.name.startswith(".")]
                _note(subdirectories, shown)
                yield self._build(shown, False, prefix)

    def _dots(self, path: str) -> list[Entry]:
        here, above = self._storage.stat(path), self._storage.stat(paths.resolve(path, ".."))
        return [here._replace(name="."), above._replace(name="..")]

    def _tree(self, path: str, shown_as: str, depth: int) -> Pieces:
        subdirectories: list[Entry] = []
        yield build_heading(shown_as, first=depth == 0)
        yield from self._directory(path, "", subdirectories)
        for entry in subdirectories:
            if depth < DEPTH_MAX and entry.unique not in self._seen:
                if entry.unique:
                    self._seen.add(entry.unique)
                try:
                    yield from self._tree(paths.join(path, entry.name), paths.join(shown_as, entry.name), depth + 1)
                except StorageError:
                    continue  # it may not be read, or is gone: ls goes on, too


def _note(subdirectories: list[Entry] | None, entries: list[Entry]) -> None:
    if subdirectories is not None:
        subdirectories += (entry for entry in entries if entry.kind == "directory" and entry.name not in (".", ".."))


def _gather(batches: Iterator[list[Entry]], entries_max: int) -> tuple[list[Entry], bool]:
    """Return the entries of the first batches, and whether those are all."""
    entries: list[Entry] = []
    for batch in batches:
        entries += batch
        if len(entries) >= entries_max:
            return entries, False
    return entries, True
