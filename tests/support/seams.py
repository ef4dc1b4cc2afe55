"""The seams between a storage and its disk: something can be made to happen before any of its calls of the system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from portside.storage import beneath

SEAMS = (
    "chmod", "close", "copy_file_range", "fchmod", "fchown", "fstat", "fsync", "ftruncate", "lseek", "mkdir", "open",
    "readlink", "rename", "rmdir", "scandir", "stat", "unlink", "utime", "write",
)  # fmt: skip


@contextmanager
def before_each_call(happens: Callable[[int, str], None]) -> Iterator[None]:
    """Call ``happens`` with a number from 0 and the call's name before each; what it calls itself is let through."""
    count, inside = 0, False

    def around(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal count, inside
            if not inside:
                inside = True
                try:
                    happens(count, name)
                finally:
                    inside = False
                count += 1
            return call(*arguments, **options)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        for name in SEAMS:
            call = getattr(os, name) if name != "fsync" else lambda _: None  # no test pulls the plug, and it is slow
            patch.setattr(os, name, around(name, call))
        patch.setattr(beneath, "openat2", around("openat2", beneath.openat2))
        yield
