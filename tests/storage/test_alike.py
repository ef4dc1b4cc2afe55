"""A disk and a storage in memory say and do the same, whatever is asked of them in whatever order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from portside.storage.beneath import ByHand
from portside.storage.contract import Entry, Storage, StorageError, Upload
from portside.storage.disk import DiskStorage
from portside.storage.memory import MemoryStorage
from portside.testing.storage import tree

PATHS = ["/", "/a", "/b", "/a/a", "/a/b", "/a/a/a", "/b/a"]
paths = st.sampled_from(PATHS)
contents = st.sampled_from([b"", b"1", b"22", b"4444"])
offsets = st.sampled_from([0, 0, 1, 3, None])
acts = st.one_of(
    st.tuples(st.just("make_directory"), paths),
    st.tuples(st.just("make_directory"), paths),
    st.tuples(st.just("remove_directory"), paths),
    st.tuples(st.just("delete"), paths),
    st.tuples(st.just("rename"), paths, paths),
    st.tuples(st.just("set_mode"), paths, st.sampled_from([0o600, 0o755, 0o4755])),
    st.tuples(st.just("set_modified"), paths, st.just(1_000_000_000)),
    st.tuples(st.just("interrupted_bytes"), paths),
    st.tuples(st.just("usage_bytes")),
    st.tuples(st.just("open"), paths),
    st.tuples(st.just("upload"), paths, offsets),
    st.tuples(st.just("upload"), paths, offsets),
    st.tuples(st.just("write"), st.integers(0, 2), contents),
    st.tuples(st.just("write"), st.integers(0, 2), contents),
    st.tuples(st.just("commit"), st.integers(0, 2)),
    st.tuples(st.just("commit"), st.integers(0, 2)),
    st.tuples(st.just("abandon"), st.integers(0, 2)),
    st.tuples(st.just("keep"), st.integers(0, 2)),
)


class Player:
    """Does acts on one storage, with up to three uploads on their way."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.uploads: list[Upload] = []

    def play(self, act: str, *arguments: Any) -> object:
        """Return what an act gave, or the class of what it raised."""
        try:
            return self._said(getattr(self, f"_{act}", getattr(self.storage, act, None))(*arguments))
        except StorageError as error:
            return type(error)

    def _said(self, given: object) -> object:
        if isinstance(given, Entry):
            return given.name, given.kind, given.size_bytes
        return given

    def _open(self, path: str) -> bytes:
        with closing(self.storage.open(path)) as stored:
            return stored.file.read()

    def _upload(self, path: str, offset: int | None) -> int | None:
        if len(self.uploads) == 3:
            return None
        self.uploads.append(self.storage.upload(path, offset=offset))
        return self.uploads[-1].offset

    def _one(self, number: int, end: Callable[[Upload], object]) -> object:
        return end(self.uploads.pop(number)) if number < len(self.uploads) else None

    def _write(self, number: int, content: bytes) -> object:
        return self.uploads[number].file.write(content) if number < len(self.uploads) else None

    def _commit(self, number: int) -> object:
        return self._one(number, lambda upload: upload.commit())

    def _abandon(self, number: int) -> object:
        return self._one(number, lambda upload: upload.abandon())

    def _keep(self, number: int) -> object:
        return self._one(number, lambda upload: upload.abandon(keep=True))


def modes(storage: Storage) -> dict[str, int]:
    return {path: storage.stat(path).mode for path in tree(storage) if storage.stat(path).kind == "file"}


@settings(max_examples=60)
@given(st.lists(acts, min_size=8, max_size=40), st.booleans())
def test_a_disk_and_memory_are_alike(script: list[tuple[Any, ...]], by_hand: bool) -> None:
    with (
        tempfile.TemporaryDirectory() as root,
        closing(DiskStorage(root, durable=False, resolution=ByHand() if by_hand else None)) as disk,
    ):
        players = [Player(disk), Player(MemoryStorage())]
        for act in script:
            assert players[0].play(*act) == players[1].play(*act), act
            assert tree(players[0].storage) == tree(players[1].storage), act
        assert modes(players[0].storage) == modes(players[1].storage)
        assert len({player.storage.usage_bytes() for player in players}) == 1
        for player in players:
            while player.uploads:
                player.play("abandon", 0)
            for path in PATHS[1:]:
                for _ in range(1 + (player.play("upload", path, 0) is not None)):
                    player.play("abandon", 0)
        assert len({player.storage.usage_bytes() for player in players}) == 1
