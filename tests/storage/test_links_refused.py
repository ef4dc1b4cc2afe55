"""A storage that follows no links: whatever they lead to, and whoever resolves the path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from portside.storage.beneath import ByHand, ByKernel, Resolution
from portside.storage.contract import Denied
from portside.storage.disk import DiskStorage


@pytest.fixture(params=[ByKernel, ByHand])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DiskStorage]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("inside")
    (tmp_path / "file").symlink_to("folder/file")
    (tmp_path / "way").symlink_to("folder")
    (tmp_path / "nowhere").symlink_to("nothing")
    resolution: Resolution = request.param(follows_links=False)
    made = DiskStorage(tmp_path, resolution=resolution)
    try:
        made.open("/folder/file").close()
    except Denied:  # an old kernel
        pytest.skip("openat2 is not there")
    yield made
    made.close()


@pytest.mark.parametrize("path", ["/file", "/way/file", "/nowhere"])
@pytest.mark.parametrize("act", ["open", "upload"])
def test_nothing_leads_through_a_link(storage: DiskStorage, act: str, path: str, tmp_path: Path) -> None:
    call: Callable[[str], object] = getattr(storage, act)
    with pytest.raises(Denied):
        call(path)
    assert (tmp_path / "folder" / "file").read_text() == "inside"


@pytest.mark.parametrize("path", ["/file", "/way"])
def test_nothing_leads_through_a_link_without_waiting(storage: DiskStorage, path: str) -> None:
    assert storage.stat_nowait(path) is None
    with suppress(Denied):
        assert storage.open_nowait(path) is None


def test_a_link_is_listed_as_one(storage: DiskStorage) -> None:
    kinds = {entry.name: entry.kind for batch in storage.list("/") for entry in batch}
    assert kinds == {"folder": "directory", "file": "link", "way": "link", "nowhere": "link"}
    assert storage.stat("/file").kind == "link"


def test_a_folder_behind_a_link_is_no_folder(storage: DiskStorage) -> None:
    with pytest.raises(Denied):
        storage.list("/way")
    with pytest.raises(Denied):
        storage.under("/way")


def test_those_under_it_follow_none_either(storage: DiskStorage, tmp_path: Path) -> None:
    (tmp_path / "folder" / "again").symlink_to("file")
    with pytest.raises(Denied):
        storage.under("/folder").open("/again")


def test_the_operator_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    DiskStorage(tmp_path).open("/link").close()
    with pytest.raises(Denied):
        DiskStorage(tmp_path, follows_links=False).open("/link")
