"""Uploads that wait beside their targets: who holds one, how it is taken up again, and when it goes.

The file of an upload is held by a lock of its open file description, which the kernel lets go of when the process
ends, however it ends: what is not held was interrupted. Whoever has the lock looks whether the file still has its
name, since it may have been committed or removed between its opening and the lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from portside.storage.hidden import hidden_name, is_hidden, unique_hidden_name

# struct flock of fcntl(2): type, whence, start, length (0: to the end of the file), and the process id, which is 0 for
# locks of an open file description.
_LOCK: Final = struct.Struct("@hhqqi4x")
_HOLD: Final = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

_COMMON: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW: Final = _COMMON | os.O_CREAT | os.O_EXCL
_TRIES_MAX: Final = 16

_SWEEP_EVERY_S: Final = 600.0
_SWEPT_MAX: Final = 1_000


class Taken(NamedTuple):
    """The file of an upload, held by us."""

    descriptor: int
    hidden: str  # its name
    facts: os.stat_result
    fresh: bool  # nothing was there before
    resumable: bool  # the next upload to the target will find it


def take(parent: int, name: str) -> Taken:
    """Return the file of an upload to ``name``, the interrupted one if there is one. Raises: OSError.

    Where somebody else holds that, or it is none that one can go on with, the upload has a file of its own.
    """
    hidden = hidden_name(name)
    for _ in range(_TRIES_MAX):
        try:
            descriptor, fresh = os.open(hidden, _NEW, 0o666, dir_fd=parent), True
        except FileExistsError:
            try:
                descriptor, fresh = os.open(hidden, _COMMON, dir_fd=parent), False
            except FileNotFoundError:
                continue  # it has ended just now
            except OSError:
                break  # a directory, a link, or somebody else's
        facts = os.fstat(descriptor)
        if not ((fresh or _is_ours(facts)) and hold(descriptor, made=fresh)):
            os.close(descriptor)
            break
        if _has_name(parent, hidden, facts):
            return Taken(descriptor, hidden, facts, fresh, True)
        os.close(descriptor)
    return _take_unique(parent)


def _take_unique(parent: int) -> Taken:
    hidden = unique_hidden_name()
    descriptor = os.open(hidden, _NEW, 0o666, dir_fd=parent)
    hold(descriptor, made=True)
    return Taken(descriptor, hidden, os.fstat(descriptor), True, False)


def _is_ours(facts: os.stat_result) -> bool:
    """Say whether a file is one that an upload of ours has made.

    Somebody who may write to the directory could have put there a second name of another file, for us to write to.
    """
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_uid == os.geteuid()


def _has_name(parent: int, hidden: str, facts: os.stat_result) -> bool:
    try:
        now = os.stat(hidden, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (now.st_ino, now.st_dev) == (facts.st_ino, facts.st_dev)


def hold(descriptor: int, *, made: bool = False) -> bool:
    """Take the lock. Says whether we hold the file now.

    On a file system without locks, whoever has ``made`` the file holds it none the less: the next one finds it there,
    cannot lock it, and takes another.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _HOLD)
    except OSError as error:
        return made and error.errno not in {errno.EAGAIN, errno.EACCES}
    return True


def is_held(descriptor: int) -> bool:
    """Say whether somebody else has the lock, or may have it."""
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _HOLD)
    except OSError:
        return True
    return bool(_LOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def kept_bytes(parent: int, name: str, oldest_s: float) -> int | None:
    """Return how many bytes an interrupted upload has kept; None where there is none, or one older than that."""
    try:
        descriptor = os.open(hidden_name(name), _COMMON, dir_fd=parent)
    except OSError:
        return None
    try:
        facts = os.fstat(descriptor)
        if not _is_ours(facts) or facts.st_mtime <= oldest_s or is_held(descriptor):
            return None
        return facts.st_size
    finally:
        os.close(descriptor)


def sweep(directory: int, hidden: Iterable[str], oldest_s: float) -> None:
    """Remove those of the hidden files that are older, and that nobody holds. What cannot be removed stays."""
    for name in hidden:
        with contextlib.suppress(OSError):
            _remove_if_left(directory, name, oldest_s)


def _remove_if_left(directory: int, name: str, oldest_s: float) -> None:
    if os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime > oldest_s:
        return
    descriptor = os.open(name, _COMMON, dir_fd=directory)
    try:
        facts = os.fstat(descriptor)
        if facts.st_mtime <= oldest_s and hold(descriptor) and _has_name(directory, name, facts):
            os.unlink(name, dir_fd=directory)
    finally:
        os.close(descriptor)


def _remove_all_in(parent: int, name: str) -> None:
    """Remove interrupted uploads from a directory that holds nothing else. Raises: OSError, ENOTEMPTY where it does."""
    directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        with os.scandir(directory) as found:
            names = []
            for entry in found:
                if not is_hidden(entry.name):
                    raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
                names.append(entry.name)
        sweep(directory, names, float("inf"))
    finally:
        os.close(directory)


class Act(Protocol):
    def __call__(self, name: str, /, *, dir_fd: int) -> None: ...


def without_uploads(act: Act, name: str, parent: int) -> None:
    """Do what needs an empty directory of that name, also if it holds what uploads have left there. Raises: OSError."""
    try:
        act(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        _remove_all_in(parent, name)
        act(name, dir_fd=parent)


class Rounds:
    """When each directory was last looked through for what uploads have left there.

    Who uploads ten thousand files to one directory does not read its names ten thousand times.
    """

    def __init__(self) -> None:
        self._last_s: dict[str, float] = {}

    def are_due(self, key: str, now_s: float) -> bool:
        """Say whether nobody has looked through the directory for a while.

        ``key`` tells it from others: a directory that is known by two is looked through for each.
        """
        return not 0 <= now_s - self._last_s.get(key, float("-inf")) < _SWEEP_EVERY_S

    def sweep(self, key: str, parent: int, now_s: float, oldest_s: float) -> None:
        """Remove what is older than ``oldest_s`` from the directory, if that is due."""
        if not self.are_due(key, now_s):
            return
        if len(self._last_s) >= _SWEPT_MAX:
            self._last_s.clear()
        self._last_s[key] = now_s
        with contextlib.suppress(OSError):  # one may write to the directory and not read it
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
            try:
                with os.scandir(descriptor) as found:
                    names = [entry.name for entry in found if is_hidden(entry.name)]
            finally:
                os.close(descriptor)
            sweep(parent, names, oldest_s)
