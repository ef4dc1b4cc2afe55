"""Work in threads: who is cancelled meanwhile leaves nothing behind that still goes on."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from portside.protocols.http.site.turns import run_to_end
from support.site import Asking
from support.waiting import WITHIN_S


class Gate:
    """Work that begins, and waits to be let go on."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()
        self.has_ended = False

    def work(self, result: str = "done") -> str:
        self.began.set()
        assert self.may_end.wait(WITHIN_S)
        self.has_ended = True
        return result


def test_it_returns_and_raises_as_the_function_does() -> None:
    def fail() -> None:
        raise ValueError("so")

    async def story() -> None:
        assert await run_to_end(pow, 2, 5) == 32
        with pytest.raises(ValueError, match="so"):
            await run_to_end(fail)

    asyncio.run(story())


def test_who_is_cancelled_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        gate, undone = Gate(), list[str]()
        task = asyncio.create_task(run_to_end(gate.work, undo=undone.append))
        await asyncio.to_thread(gate.began.wait, WITHIN_S)
        for _ in range(2):  # however often
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        gate.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gate.has_ended
        assert undone == ["done"]

    asyncio.run(story())


@pytest.mark.parametrize("moment", ["upload", "write", "commit"])
def test_an_upload_that_is_cancelled_leaves_nothing(
    make_site: Any, root: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whatever its thread is doing at that moment."""
    site: Asking = make_site(uploads=True)
    (root / "x").write_text("old")
    gate, begin = Gate(), site.storage.upload

    def upload(path: str, **options: Any) -> Any:
        made = begin(path, **options)
        if moment == "upload":
            gate.work()
        elif moment == "write":
            write = made.file.write
            monkeypatch.setattr(type(made.file), "write", lambda file, data: (gate.work(), write(data))[1])
        else:
            commit = type(made).commit
            monkeypatch.setattr(
                type(made), "commit", lambda one, **more: commit(one, is_withdrawn=lambda: bool(gate.work("")) or True)
            )
        return made

    monkeypatch.setattr(site.storage, "upload", upload, raising=False)
    before = len(os.listdir("/proc/self/fd"))

    async def story() -> None:
        task = asyncio.create_task(site.asked("PUT", "/x", body=b"new" * 1_000_000))
        await asyncio.to_thread(gate.began.wait, WITHIN_S)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        gate.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert os.listdir(root) == ["x"]

    asyncio.run(story())
    assert (root / "x").read_text() == "old"
    assert len(os.listdir("/proc/self/fd")) == before
