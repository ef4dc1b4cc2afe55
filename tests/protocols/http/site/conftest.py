"""What the site's tests share: a folder on a disk, and the site over it."""

from __future__ import annotations

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
