"""Files of a disk beneath a root: every way starts at the root's descriptor, and none leads out of it.

Acts on a name go through a descriptor of its directory, opened by the same resolution. So what was looked at and what
is acted on are one, whoever moves directories or makes links meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, Self

from portside.storage.beneath import DIRECTORY, LINKS_MAX, Resolution, best_resolution, is_in_memory, is_remote
from portside.storage.contract import (
    AlreadyThere,
    Denied,
    Entry,
    IsDirectory,
    NoSuchFile,
    NotDirectory,
    NotRegular,
    StorageFailed,
)
from portside.storage.disk_listing import DiskListing
from portside.storage.entries import build_entry, build_entry_nowait
from portside.storage.failures import LEADS_OUT, RESERVED, Translated, rename_error, storage_error
from portside.storage.hidden import has_hidden, is_hidden
from portside.storage.interrupted import Rounds, kept_bytes, sweep, without_uploads
from portside.storage.paths import join, split
from portside.storage.stored import DiskStored, facts_of, regular, seal_of
from portside.storage.uploads import Care, DiskUpload, Place, begin, flush_directory
from portside.storage.usage import usage_bytes

# A FIFO opened so is open at once, and a terminal does not become ours.
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LOOK: Final = os.O_PATH | os.O_CLOEXEC
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_KEEP_S: Final = 86_400.0
_GONE_AT_ONCE_BYTES: Final = 1 << 24  # a file that is replaced gives its pages back, a gigabyte in 0.1 s


@dataclass(frozen=True, slots=True)
class _Ways:
    """What a storage shares with those under it."""

    resolution: Resolution
    care: Care
    rounds: Rounds


class DiskStorage:
    """The tree of a directory on a disk. See ``contract.Storage``.

    durable: whether an upload's bytes and name, a new directory and a rename are on the disk when the call returns;
             without, a crash of the machine may lose them, and still leaves old or new content.
    keep_s:  how long interrupted uploads are kept for those who resume, 0 for not at all.
    now_s:   the clock of the files' times.

    Without ``follows_links`` nothing leads through symbolic links: they are Denied, and listed as links.
    ``resolution`` is chosen by what the kernel allows. Raises: StorageError, if the root is no directory.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        durable: bool = True,
        keep_s: float = _KEEP_S,
        now_s: Callable[[], float] = time.time,
        follows_links: bool = True,
        resolution: Resolution | None = None,
    ) -> None:
        try:
            descriptor = os.open(root, DIRECTORY)
        except NotADirectoryError as error:
            raise NotDirectory(os.fspath(root)) from error
        except OSError as error:
            raise storage_error(error, os.fspath(root)) from error
        ways = _Ways(
            resolution or best_resolution(descriptor, follows_links=follows_links),
            Care(durable, keep_s, now_s),
            Rounds(),
        )
        self._begin(descriptor, "", ways)

    def _begin(self, root: int, where: str, ways: _Ways) -> None:
        self._root, self._where = root, where  # the second only tells directories apart: it may have been renamed
        self._ways, self._resolution, self._care = ways, ways.resolution, ways.care
        self._may_be_at_hand = not is_remote(root)
        self._is_in_memory = is_in_memory(root)
        self._care_in_memory = replace(ways.care, durable=False, is_at_hand=True)  # there is nothing to flush to

    def under(self, path: str) -> Self:
        root = self._open_directory(path, DIRECTORY)
        storage = object.__new__(type(self))
        storage._begin(root, f"{self._where}{path.rstrip('/')}", self._ways)
        return storage

    def close(self) -> None:
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    # ── looking and reading ──────────────────────────────────────────────────────────────────────────────────────────

    def stat(self, path: str) -> Entry:
        relative = _visible(path)
        try:
            facts = self._look(relative)
        except OSError as error:
            facts = self._look_at_link(path, error)
        return build_entry(split(path)[1], facts)

    def _look(self, relative: str) -> os.stat_result:
        descriptor = self._resolution.open(self._root, relative, _LOOK)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _look_at_link(self, path: str, why: OSError) -> os.stat_result:
        """Return what is known of a link that leads nowhere. Raises: what ``why`` means, if it is none."""
        with suppress(OSError), self._name(path) as (parent, name):
            facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISLNK(facts.st_mode):
                return facts
        raise storage_error(why, path) from why

    def stat_nowait(self, path: str) -> Entry | None:
        relative = _visible(path)
        with Translated(path):
            # Not through a last link: where it leads nowhere, it is to be told apart from no name at all.
            descriptor = self._open_nowait(relative, _LOOK | os.O_NOFOLLOW)
            if descriptor is None:
                return None
            try:
                facts = os.fstat(descriptor)
            finally:
                os.close(descriptor)
        return None if stat.S_ISLNK(facts.st_mode) else build_entry_nowait(split(path)[1], facts)

    def list(self, path: str) -> DiskListing:
        relative = _visible(path)
        directory = self._open_directory(path, _LIST)

        def follow(name: str) -> os.stat_result | None:
            try:
                return self._look(f"{relative}/{name}")
            except OSError:
                return None

        def clear(descriptor: int, hidden: Iterable[str]) -> None:
            sweep(descriptor, hidden, self._care.oldest_s)

        with Translated(path):
            return DiskListing(path, directory, follow, clear)

    def open(self, path: str) -> DiskStored:
        relative = _visible(path)
        with Translated(path):
            descriptor = self._resolution.open(self._root, relative, _READ)
        facts = regular(path, descriptor)
        return DiskStored(descriptor, build_entry(split(path)[1], facts), facts)

    def open_nowait(self, path: str) -> DiskStored | None:
        relative = _visible(path)
        try:  # and not with Translated: a small file is sent in twenty times what that takes
            descriptor = self._open_nowait(relative, _READ)
        except OSError as error:
            raise storage_error(error, path) from error
        if descriptor is None:
            return None
        facts = regular(path, descriptor)
        entry = build_entry_nowait(split(path)[1], facts)
        if entry is None:
            os.close(descriptor)
            return None
        return DiskStored(descriptor, entry, facts)

    def seal_nowait(self, path: str) -> tuple[int, ...] | None:
        # Where links are not followed, only opening tells whether there are any.
        if not (self._may_be_at_hand and self._resolution.follows_links):
            return None
        try:
            return seal_of(os.stat(_relative(path), dir_fd=self._root))
        except (OSError, ValueError):
            return None

    def _open_nowait(self, relative: str, flags: int) -> int | None:
        return self._resolution.open_nowait(self._root, relative, flags) if self._may_be_at_hand else None

    # ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def upload(self, path: str, *, offset: int | None = 0) -> DiskUpload:
        place = self._target(path)
        try:
            with Translated(path):
                self._ways.rounds.sweep(self._key(path), place.parent, self._care.now_s(), self._care.oldest_s)
                return begin(place, offset, self._care)
        except BaseException:
            os.close(place.parent)
            raise

    def upload_nowait(self, path: str) -> DiskUpload | None:
        directory, _, name = _nameable(path).rpartition("/")
        is_long = self._ways.rounds.are_due(self._key(path), self._care.now_s())
        if is_long or not self._is_in_memory or name == ".":
            return None
        with Translated(path):
            parent = self._open_nowait(directory or ".", DIRECTORY)
            if parent is None:
                return None
            try:
                facts = facts_of(parent, name)
                if facts is None or (stat.S_ISREG(facts.st_mode) and facts.st_size <= _GONE_AT_ONCE_BYTES):
                    return begin(Place(path, parent, name, facts), 0, self._care_in_memory)
            except BaseException:
                os.close(parent)
                raise
        os.close(parent)
        return None

    def _key(self, path: str) -> str:
        """Return what tells the directory of a name from others."""
        return f"{self._where}{split(path)[0]}"

    def interrupted_bytes(self, path: str) -> int | None:
        place = self._target(path)
        try:
            return kept_bytes(place.parent, place.name, self._care.oldest_s)
        finally:
            os.close(place.parent)

    def _target(self, path: str) -> Place:
        """Return the place of a file to be, at the end of all links. Who asks closes its descriptor."""
        relative = _nameable(path)
        with Translated(path):
            for _ in range(LINKS_MAX):
                directory, _, name = relative.rpartition("/")
                if name in {"", ".", ".."}:
                    raise IsDirectory(path)
                parent = self._resolution.open(self._root, directory or ".", DIRECTORY)
                try:
                    facts = facts_of(parent, name)
                    if facts is None or not stat.S_ISLNK(facts.st_mode):
                        return Place(path, parent, name, facts)
                    text = os.readlink(name, dir_fd=parent)
                except OSError:
                    os.close(parent)
                    raise
                os.close(parent)
                if not self._resolution.follows_links:
                    raise Denied(path, "links are not followed")
                if text.startswith("/"):
                    raise Denied(path, LEADS_OUT)
                if has_hidden(text):
                    raise Denied(path, RESERVED)
                relative = join(directory, text) if directory else text
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def delete(self, path: str) -> None:
        if path == "/":
            raise IsDirectory(path)
        _visible(path)
        with Translated(path), self._name(path) as (parent, name):
            os.unlink(name, dir_fd=parent)

    def make_directory(self, path: str) -> None:
        if path == "/":
            raise AlreadyThere(path)
        _nameable(path)
        with Translated(path), self._name(path) as (parent, name):
            os.mkdir(name, dir_fd=parent)
            self._flush(parent)

    def remove_directory(self, path: str) -> None:
        if path == "/":
            raise Denied(path, "the root stays")
        _visible(path)
        with Translated(path), self._name(path) as (parent, name):
            try:
                without_uploads(os.rmdir, name, parent)
            except NotADirectoryError as error:
                raise NotDirectory(path) from error

    def rename(self, source: str, target: str) -> None:
        if "/" in {source, target}:
            raise Denied(source, "the root stays where it is")
        _visible(source)
        _nameable(target)
        with (
            Translated(source),
            self._name(source) as (source_parent, source_name),
            Translated(target),
            self._name(target) as (target_parent, target_name),
        ):

            def rename(name: str, /, *, dir_fd: int) -> None:
                os.rename(source_name, name, src_dir_fd=source_parent, dst_dir_fd=dir_fd)

            try:
                without_uploads(rename, target_name, target_parent)
            except OSError as error:
                raise rename_error(error, source, target) from error
            self._flush(target_parent)
            if split(source)[0] != split(target)[0]:
                self._flush(source_parent)

    @contextmanager
    def _name(self, path: str) -> Iterator[tuple[int, str]]:
        """Give the descriptor of a path's directory, and the path's last name."""
        directory, name = split(path)
        parent = self._resolution.open(self._root, _relative(directory), DIRECTORY)
        try:
            yield parent, name
        finally:
            os.close(parent)

    def _flush(self, directory: int) -> None:
        if self._care.durable:
            flush_directory(directory)

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def set_modified(self, path: str, modified_ns: int) -> None:
        with Translated(path), self._itself(path) as (name, facts):
            os.utime(name, ns=(facts.st_atime_ns, modified_ns))

    def set_mode(self, path: str, mode: int) -> None:
        if mode & ~0o777:
            raise Denied(path, "only the permissions of owner, group and others can be set")
        with Translated(path), self._itself(path) as (name, _):
            os.chmod(name, mode)

    @contextmanager
    def _itself(self, path: str) -> Iterator[tuple[str, os.stat_result]]:
        """Give a name that means the file or directory at the path and no other, readable or not."""
        descriptor = self._resolution.open(self._root, _visible(path), _LOOK)
        try:
            facts = os.fstat(descriptor)
            if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
                raise NotRegular(path)
            try:
                # What O_PATH has opened can be changed by no call of its own before Linux 6.6.
                yield f"/proc/self/fd/{descriptor}", facts
            except FileNotFoundError as error:
                raise StorageFailed(path, "/proc is not mounted") from error
        finally:
            os.close(descriptor)

    def usage_bytes(self) -> int:
        return usage_bytes(self._resolution, self._root)

    def _open_directory(self, path: str, flags: int) -> int:
        try:
            return self._resolution.open(self._root, _visible(path), flags)
        except NotADirectoryError as error:
            self.stat(path)  # raises, if it is a part of the path before that is none
            raise NotDirectory(path) from error
        except OSError as error:
            raise storage_error(error, path) from error


# ── paths ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _relative(path: str) -> str:
    return path.lstrip("/") or "."


def _visible(path: str) -> str:
    """Return the path as the kernel wants it. Raises: StorageError for one that nobody is to use."""
    if "\0" in path:  # the kernel's calls end there, and would act on another file
        raise Denied(path, "a name has no NUL")
    if has_hidden(path):
        raise NoSuchFile(path)
    return _relative(path)


def _nameable(path: str) -> str:
    """The same for a path whose last name is to be given to something."""
    try:
        return _visible(path)
    except NoSuchFile:
        if is_hidden(split(path)[1]):
            raise Denied(path, RESERVED) from None
        raise
