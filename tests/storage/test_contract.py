"""Every kind of storage under the one contract: a disk guarded by the kernel or by hand, and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from portside.storage.beneath import Resolution
from portside.storage.contract import Storage
from portside.storage.disk import DiskStorage
from portside.storage.memory import MemoryStorage
from portside.testing.storage import MakeStorage, StorageContract


class TestMemory(StorageContract):
    @pytest.fixture
    def make(self) -> MakeStorage:
        def make(*, keep_s: float, now_s: Callable[[], float]) -> Storage:
            return MemoryStorage(keep_s=keep_s, now_s=now_s)

        return make


class TestDisk(StorageContract):
    @pytest.fixture
    def make(self, tmp_path: Path, resolution: Resolution) -> Iterator[MakeStorage]:
        with ExitStack() as made:

            def make(*, keep_s: float, now_s: Callable[[], float]) -> Storage:
                storage = DiskStorage(tmp_path, durable=False, keep_s=keep_s, now_s=now_s, resolution=resolution)
                return made.enter_context(closing(storage))

            yield make
