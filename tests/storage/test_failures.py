"""Errors of the operating system, told as what they mean to somebody who stores files."""

from __future__ import annotations

import errno
import os

import pytest

from portside.storage import contract
from portside.storage.contract import (
    AlreadyThere,
    Denied,
    IsDirectory,
    NoSuchFile,
    NotDirectory,
    NotEmpty,
    NotRegular,
    StorageError,
    StorageFailed,
    StorageFull,
)
from portside.storage.failures import Translated, rename_error, storage_error

MEANINGS = [
    (NoSuchFile, [errno.ENOENT, errno.ENOTDIR]),
    (AlreadyThere, [errno.EEXIST]),
    (IsDirectory, [errno.EISDIR]),
    (NotEmpty, [errno.ENOTEMPTY]),
    (NotRegular, [errno.ENXIO]),
    (Denied, [errno.EACCES, errno.EPERM, errno.EXDEV, errno.ELOOP, errno.ENAMETOOLONG, errno.EBUSY]),
    (StorageFull, [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]),
    (StorageFailed, [errno.EROFS, errno.EIO, errno.EMFILE, errno.EBADF, errno.ESTALE, errno.ENOMEM, 0]),
]


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in MEANINGS for code in codes])
def test_every_error_has_a_meaning(kind: type[StorageError], code: int) -> None:
    error = OSError(code, os.strerror(code))
    with pytest.raises(kind) as raised, Translated("/f"):
        raise error
    assert raised.value.path == "/f"
    assert raised.value.__cause__ is error
    assert str(raised.value) == f"/f: {raised.value.why}"
    assert "Errno" not in str(raised.value)


def test_an_error_without_a_number_is_one_all_the_same() -> None:
    assert isinstance(storage_error(OSError("odd"), "/f"), StorageFailed)


def test_others_errors_are_left_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), Translated("/f"):
        raise ZeroDivisionError
    with pytest.raises(NoSuchFile, match="/g"), Translated("/f"):
        raise NoSuchFile("/g")


@pytest.mark.parametrize(
    ("code", "kind", "path"),
    [
        (errno.EINVAL, Denied, "/from"),
        (errno.EXDEV, Denied, "/from"),
        (errno.ENOENT, NoSuchFile, "/from"),
        (errno.ENOTDIR, NotDirectory, "/to"),
        (errno.EISDIR, IsDirectory, "/to"),
        (errno.ENOTEMPTY, NotEmpty, "/to"),
        (errno.ENOSPC, StorageFull, "/to"),
    ],
)
def test_a_rename_has_words_of_its_own(code: int, kind: type[StorageError], path: str) -> None:
    error = rename_error(OSError(code, os.strerror(code)), "/from", "/to")
    assert (type(error), error.path) == (kind, path)


def test_every_error_says_what_it_is() -> None:
    kinds = [kind for kind in vars(contract).values() if isinstance(kind, type) and issubclass(kind, StorageError)]
    sentences = [kind.sentence for kind in kinds]
    assert len(set(sentences)) == len(kinds) > 8
