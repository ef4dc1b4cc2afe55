"""Uploads whose process is killed before each of its calls of the system in turn; prints how many calls there were.

Run as a program, because it forks: ``killed_uploads.py DIRECTORY ACT``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from portside.storage.contract import Storage
from portside.storage.disk import DiskStorage
from portside.storage.hidden import is_hidden
from portside.testing.storage import get, interrupt, put, tree
from support.seams import before_each_call

OLD = b"old content " * 1_000
NEW = b"new content, and more " * 1_000


def upload(storage: Storage, offset: int | None, content: bytes) -> None:
    begun = storage.upload("/f", offset=offset)
    for start in range(0, len(content), 7_000):
        begun.file.write(content[start : start + 7_000])
    begun.commit()


# What there is before, what is done, and what the file may be after that.
Act = tuple[Callable[[Storage], object], Callable[[Storage], object], set[bytes | None]]
ACTS: dict[str, Act] = {
    "new": (lambda storage: None, lambda storage: upload(storage, 0, NEW), {None, NEW}),
    "replace": (lambda storage: put(storage, "/f", OLD), lambda storage: upload(storage, 0, NEW), {OLD, NEW}),
    "append": (lambda storage: put(storage, "/f", OLD), lambda storage: upload(storage, None, NEW), {OLD, OLD + NEW}),
    "go on": (
        lambda storage: interrupt(storage, "/f", NEW[:7_000]),
        lambda storage: upload(storage, 7_000, NEW[7_000:]),
        {None, NEW},
    ),
    "replace what is read-only": (
        lambda storage: (put(storage, "/f", OLD), storage.set_mode("/f", 0o444)),
        lambda storage: upload(storage, 0, NEW),
        {OLD, NEW},
    ),
}


def killed_at(number: int, storage: DiskStorage, act: Callable[[Storage], object]) -> bool:
    """Do the act in a process that is killed before its call of that number. Says whether it came so far."""
    child = os.fork()
    if not child:

        def happens(count: int, _: str) -> None:
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

        with before_each_call(happens):
            act(storage)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def check(root: Path, storage: DiskStorage, allowed: set[bytes | None]) -> None:
    """See that the file is old or new, and that the next upload is troubled by nothing."""
    left = tree(storage)
    assert left.get("/f") in allowed
    assert set(left) <= {"/f"}
    hidden = [name for name in os.listdir(root) if is_hidden(name)]
    assert len(hidden) <= 1
    kept_bytes = storage.interrupted_bytes("/f")
    assert kept_bytes is None or len(hidden) == 1
    if kept_bytes:
        going_on = storage.upload("/f", offset=kept_bytes)
        going_on.file.seek(0)
        there = going_on.file.read()
        assert NEW.startswith(there) or (OLD + NEW).startswith(there)
        going_on.abandon(keep=True)
    put(storage, "/f", b"the next")
    assert get(storage, "/f") == b"the next"
    assert os.listdir(root) == ["f"]


def main(directory: str, name: str) -> None:
    before, act, allowed = ACTS[name]
    number, killed = 0, True
    while killed:
        root = Path(directory, str(number))
        root.mkdir()
        with closing(DiskStorage(root)) as storage:
            before(storage)
            killed = killed_at(number, storage, act)
            if not killed:
                allowed = allowed - {None, OLD}
            check(root, storage, allowed)
        number += 1
    print(number)


if __name__ == "__main__":
    main(*sys.argv[1:])
