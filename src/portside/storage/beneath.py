"""Open what is beneath a directory, whatever the links on the way say: by the kernel, or by hand where it cannot.

A path here is relative to the root's descriptor, and ``.`` is the root. Links are followed as long as they stay beneath
the root. Raises: OSError; EXDEV where the way leads out of the root, ELOOP behind too many links.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections import deque
from functools import cache
from typing import Final, Protocol

from portside.storage.openat2 import (
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    build_how,
    knows,
    openat2,
    openat2_nowait,
)

LINKS_MAX: Final = 40  # MAXSYMLINKS of Linux, path_resolution(7)
DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

# The kernel gives up where something was renamed while it went through "..", openat2(2) ERRORS. By chance that does
# not happen often in a row; somebody who wants it to happen may as well get an error.
_TRIES_MAX: Final = 64

# File systems whose every open and stat may wait for another machine or program: linux/magic.h and their own sources.
_REMOTE: Final = frozenset({
    0x6969,  # NFS
    0x517B,  # SMB
    0xFE534D42,  # SMB 2
    0xFF534D42,  # CIFS
    0x65735546,  # FUSE
    0x00C36400,  # Ceph
    0x01021997,  # 9P
    0x5346414F,  # AFS
    0x6B414653,  # AFS, another
    0x73757245,  # Coda
    0x01161970,  # GFS2
    0x7461636F,  # OCFS2
    0x0BD00BD0,  # Lustre
    0x47504653,  # GPFS
})  # fmt: skip

# Those that have no disk: linux/magic.h.
_IN_MEMORY: Final = frozenset({
    0x01021994,  # tmpfs
    0x858458F6,  # ramfs
})  # fmt: skip

_RESOLVE: Final = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
_WITHOUT_WAITING: Final = RESOLVE_NO_XDEV | RESOLVE_CACHED

_fstatfs: Final = ctypes.CDLL(None).fstatfs


class Resolution(Protocol):
    """A way to open beneath a directory."""

    @property
    def follows_links(self) -> bool:
        """Whether links on the way, and at its end, are gone through. Where they are not, they are ELOOP."""

    def open(self, root: int, path: str, flags: int) -> int:
        """Return a descriptor of what the path leads to."""

    def open_nowait(self, root: int, path: str, flags: int) -> int | None:
        """The same without waiting for a disk; None where that is not possible."""


class ByKernel:
    """By openat2(2), which looks at every step while it makes it."""

    def __init__(self, *, follows_links: bool = True) -> None:
        self.follows_links: Final = follows_links
        self._resolve = _RESOLVE if follows_links else _RESOLVE | RESOLVE_NO_SYMLINKS

    def open(self, root: int, path: str, flags: int) -> int:
        how, tries = _how(flags, self._resolve), _TRIES_MAX
        while True:
            try:
                return openat2(root, path, how)
            except BlockingIOError:
                tries -= 1
                if not tries:
                    raise

    def open_nowait(self, root: int, path: str, flags: int) -> int | None:
        try:
            return openat2_nowait(root, path, _how(flags, self._resolve | _WITHOUT_WAITING))
        except OSError as error:
            # EXDEV is also the way onto another file system, of which we do not know whether it can wait. EINVAL is an
            # older kernel's answer to RESOLVE_CACHED.
            if error.errno in {errno.EAGAIN, errno.EXDEV, errno.EINVAL}:
                return None
            raise


class ByHand:
    """Step by step, each without following links: a link's text is put in its place, and walked like the rest.

    ``..`` goes back to the directory through which the way came.
    """

    def __init__(self, *, follows_links: bool = True) -> None:
        self.follows_links: Final = follows_links

    def open(self, root: int, path: str, flags: int) -> int:
        walk = _Walk(root, path, LINKS_MAX if self.follows_links else 0)
        try:
            return walk.to_end(flags)
        finally:
            walk.close()

    def open_nowait(self, root: int, path: str, flags: int) -> int | None:
        return None


class _Walk:
    """One way through the tree: the directories come through, the names still to go, and the links followed."""

    def __init__(self, root: int, path: str, links_max: int) -> None:
        self._root = root
        self._opened: list[int] = []
        self._names = deque(path.split("/"))
        self._links_left = links_max

    @property
    def _here(self) -> int:
        return self._opened[-1] if self._opened else self._root

    def to_end(self, flags: int) -> int:
        while True:
            name = self._names.popleft()
            if name == "..":
                self._go_back()
                name = "."
            if not self._names:
                end = self._open_last(name or ".", flags)
                if end is not None:
                    return end
            elif name not in {"", "."}:
                self._enter(name)

    def _go_back(self) -> None:
        if not self._opened:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        os.close(self._opened.pop())

    def _enter(self, name: str) -> None:
        try:
            self._opened.append(os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=self._here))
        except NotADirectoryError as error:  # so for a link, open(2)
            self._follow(name, error)

    def _open_last(self, name: str, flags: int) -> int | None:
        """Return what the last name is; None if it was a link, and there are names to go again."""
        try:
            descriptor = os.open(name, flags | os.O_NOFOLLOW, dir_fd=self._here)
        except OSError as error:
            if flags & os.O_NOFOLLOW or error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            self._follow(name, error)
            return None
        # With O_PATH a link is opened itself.
        if flags & os.O_PATH and not flags & os.O_NOFOLLOW and stat.S_ISLNK(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            self._follow(name, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))
            return None
        return descriptor

    def _follow(self, name: str, error: OSError) -> None:
        """Put the names of the link's text before those to go. Raises: the error, if it is no link."""
        try:
            text = os.readlink(name, dir_fd=self._here)
        except OSError:
            raise error from None
        self._links_left -= 1
        if self._links_left < 0:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if text.startswith("/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        self._names.extendleft(reversed(text.split("/")))

    def close(self) -> None:
        for descriptor in self._opened:
            os.close(descriptor)


@cache
def _how(flags: int, resolve: int) -> bytes:
    return build_how(flags, resolve)


def best_resolution(root: int, *, follows_links: bool = True) -> Resolution:
    """Return the way that this kernel allows."""
    kind = ByKernel if knows(root, _RESOLVE) else ByHand
    return kind(follows_links=follows_links)


def is_remote(directory: int) -> bool:
    """Say whether the directory's file system may wait for another machine: then nothing is ever at hand there."""
    return _file_system(directory) in _REMOTE


def is_in_memory(directory: int) -> bool:
    """Say whether the directory's file system has no disk that anything could wait for."""
    return _file_system(directory) in _IN_MEMORY


def _file_system(directory: int) -> int | None:
    """Return the number of its kind, None where the system does not tell."""
    # struct statfs begins with the type, a long; the whole has 120 bytes on 64-bit machines, statfs(2).
    answer = (ctypes.c_long * 32)()
    return answer[0] & 0xFFFFFFFF if _fstatfs(directory, ctypes.byref(answer)) == 0 else None
