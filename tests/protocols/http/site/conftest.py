"""What the site's tests share: a folder on a disk, and the site over it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portside.protocols.http.site.rules import Rules
from portside.storage.disk import DiskStorage
from support.site import Asking

MakeSite = Callable[..., Asking]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def make_site(root: Path) -> Iterator[MakeSite]:
    """Makes sites over the folder: ``make_site(uploads=True)`` has these rules, and ``gate`` and ``extensions``."""
    storages = []

    def make(*, gate: Any = None, extensions: tuple[str, ...] = (), follows_links: bool = True, **rules: Any) -> Asking:
        storage = DiskStorage(root, durable=False, keep_s=0.0, follows_links=follows_links)
        storages.append(storage)
        return Asking(storage, Rules(**rules), gate(storage) if gate else None, extensions)

    yield make
    for storage in storages:
        storage.close()


@pytest.fixture
def site(make_site: MakeSite) -> Asking:
    return make_site()


@pytest.fixture
def digits(root: Path) -> Path:
    """A file of ten bytes, an hour old."""
    path = root / "digits.txt"
    path.write_bytes(b"0123456789")
    then_s = time.time() - 3_600
    os.utime(path, (then_s, then_s))
    return path


@pytest.fixture
def tree(root: Path) -> Path:
    """A folder with names to be sorted, and to be escaped."""
    (root / "b folder").mkdir()
    (root / "A folder").mkdir()
    for name, size_bytes, modified_s in (
        ("img10.png", 10, 1_000_000_100),
        ("img2.png", 3_000_000, 1_000_000_300),
        ("Img1.png", 20, 1_000_000_200),
        (".hidden", 1, 0),
        ("<b>&'\".html", 5, 1_000_000_000),
    ):
        with (root / name).open("wb") as file:
            file.truncate(size_bytes)
        os.utime(root / name, (modified_s, modified_s))
    return root
