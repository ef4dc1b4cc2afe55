"""Folders as one file: all that may be seen, once, however it is named, and no more of it in memory than needed."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portside.protocols.http.site import archives
from portside.protocols.http.site.archives import READ_BYTES, build_disposition, tar_pieces, zip_pieces
from portside.protocols.http.site.rules import Rules
from portside.storage.contract import Denied, NoSuchFile
from portside.storage.disk import DiskStorage
from support.site import Answer, Asking, at_once
from support.waiting import wait_until

CONTENTS = {
    "a.txt": b"hello\n" * 50_000,
    "empty": b"",
    "picture.png": os.urandom(3 * READ_BYTES),
    "sub/größe \N{BANANA}.txt": b"nested",
    "sub/deeper/still/x": b"deep",
    "sub/" + "n" * 200: b"a name of the length that names may have",
}


@pytest.fixture
def tree(root: Path) -> Path:
    tree = root / "tree"
    for name, content in CONTENTS.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_500_000_000, 1_500_000_000))
    (tree / "void").mkdir()
    return tree


def unzipped(answer: Answer) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(answer.body)) as found:
        assert found.testzip() is None
        assert len(found.namelist()) == len(set(found.namelist()))
        return {info.filename: found.read(info) for info in found.infolist()}


def untarred(answer: Answer) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(answer.body), errorlevel=2) as found:
        return {
            f"{member.name}/" if member.isdir() else member.name: b"" if member.isdir() else _content(found, member)
            for member in found.getmembers()
        }


def _content(found: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = found.extractfile(member)
    assert file is not None
    return file.read()


READERS: dict[str, Callable[[Answer], dict[str, bytes]]] = {"zip": unzipped, "tar": untarred}
FOLDERS = {f"tree/{name}": b"" for name in ("sub/", "sub/deeper/", "sub/deeper/still/", "void/")}


@pytest.mark.parametrize("form", READERS)
def test_a_folder_comes_whole(site: Asking, tree: Path, form: str) -> None:
    answer = site.get(f"/tree/?{form}")
    assert answer.status == 200
    assert READERS[form](answer) == {f"tree/{name}": content for name, content in CONTENTS.items()} | FOLDERS
    assert answer.fields["content-disposition"] == f"attachment; filename=\"tree.{form}\"; filename*=UTF-8''tree.{form}"
    assert answer.fields["content-type"] == {"zip": "application/zip", "tar": "application/x-tar"}[form]
    assert "content-length" not in answer.fields


def test_the_times_of_files_are_kept(site: Asking, tree: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(site.get("/tree/?tar").body)) as found:
        assert found.getmember("tree/a.txt").mtime == 1_500_000_000
    with zipfile.ZipFile(io.BytesIO(site.get("/tree/?zip").body)) as packed:
        assert packed.getinfo("tree/a.txt").date_time == (2017, 7, 14, 2, 40, 0)


@pytest.mark.parametrize("form", READERS)
def test_the_root_has_a_name_too(site: Asking, tree: Path, form: str) -> None:
    answer = site.get(f"/?{form}")
    assert all(name.startswith("files/") for name in READERS[form](answer))


@pytest.mark.parametrize("form", READERS)
def test_head_makes_no_archive(site: Asking, tree: Path, form: str) -> None:
    head = site("HEAD", f"/tree/?{form}")
    assert (head.status, head.body) == (200, b"")
    assert head.fields["content-disposition"] == site.get(f"/tree/?{form}").fields["content-disposition"]


def test_what_is_no_folder(site: Asking, tree: Path) -> None:
    assert site.get("/tree/a.txt/?zip").status == 404
    assert site.get("/nothing/?zip").status == 404
    assert site.get("/tree/a.txt?zip").body == CONTENTS["a.txt"]


@pytest.mark.parametrize("form", READERS)
def test_only_what_may_be_seen_comes(make_site: Any, tree: Path, form: str) -> None:
    (tree / ".hidden").write_text("secret")
    (tree / ".git").mkdir()
    (tree / ".git" / "config").write_text("secret")
    os.mkfifo(tree / "fifo")
    (tree / "out").symlink_to("/etc/passwd")
    (tree / "nowhere").symlink_to("nothing")
    (tree / "link").symlink_to("empty")
    (tree.parent / "beside").mkdir()
    found = READERS[form](make_site().get(f"/tree/?{form}"))
    expected = {f"tree/{name}": content for name, content in CONTENTS.items()} | FOLDERS
    assert found == {**expected, "tree/link": b""}
    assert READERS[form](make_site(follows_links=False).get(f"/tree/?{form}")) == expected
    assert READERS[form](make_site(hidden=True).get(f"/tree/?{form}"))["tree/.git/config"] == b"secret"


@pytest.mark.parametrize("form", READERS)
def test_links_that_lead_back_lead_nowhere(site: Asking, tree: Path, form: str) -> None:
    (tree / "sub" / "up").symlink_to("../../tree")
    (tree / "sub" / "self").symlink_to(".")
    (tree / "again").symlink_to("sub")  # not one that the way leads through
    names = READERS[form](site.get(f"/tree/?{form}"))
    assert "tree/again/deeper/still/x" in names
    assert not [name for name in names if "/up" in name or "/self" in name]


def test_archives_can_be_refused(make_site: Any, tree: Path) -> None:
    answer = make_site(archives=False).get("/tree/?zip")
    assert answer.fields["content-type"].startswith("text/html")


@pytest.mark.parametrize("form", READERS)
def test_names_that_are_no_text(site: Asking, root: Path, form: str) -> None:
    (root / os.fsdecode(b"caf\xe9")).write_text("found")
    names = READERS[form](site.get(f"/?{form}"))
    assert list(names.values()) == [b"found"]
    assert list(names) == [{"tar": os.fsdecode(b"files/caf\xe9"), "zip": "files/caf\N{REPLACEMENT CHARACTER}"}[form]]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a b.zip", "attachment; filename=\"a b.zip\"; filename*=UTF-8''a%20b.zip"),
        ('"\\;\r\n.zip', "attachment; filename=\"__;__.zip\"; filename*=UTF-8''%22%5C%3B%0D%0A.zip"),
        ("größe", "attachment; filename=\"gr__e\"; filename*=UTF-8''gr%C3%B6%C3%9Fe"),
    ],
)
def test_under_which_name_it_is_saved(name: str, said: str) -> None:
    assert build_disposition(name) == said


# ── while it is made ─────────────────────────────────────────────────────────────────────────────────────────────────


class Failing(DiskStorage):
    """A storage in which some names cannot be opened any more once they have been seen."""

    def open(self, path: str) -> Any:
        if path.endswith("a.txt"):
            raise NoSuchFile(path)
        if path.endswith(".png"):
            raise Denied(path)
        return super().open(path)


@pytest.mark.parametrize("form", READERS)
def test_what_vanishes_meanwhile_is_left_out(tree: Path, form: str) -> None:
    storage = Failing(tree.parent)
    names = READERS[form](Asking(storage).get(f"/tree/?{form}"))
    storage.close()
    assert "tree/empty" in names
    assert not {"tree/a.txt", "tree/picture.png"} & set(names)


class Cutting(DiskStorage):
    """A storage whose files are half as long as they were once they are open."""

    def open(self, path: str) -> Any:
        stored = super().open(path)
        stored.entry = stored.entry._replace(size_bytes=2 * stored.entry.size_bytes)
        return stored


@pytest.mark.parametrize("form", READERS)
def test_a_file_that_becomes_shorter_spoils_nothing(tree: Path, form: str) -> None:
    storage = Cutting(tree.parent)
    found = READERS[form](Asking(storage).get(f"/tree/?{form}"))
    storage.close()
    for name, content in CONTENTS.items():
        # A tar archive has said how long it is, and has zeros for the rest.
        assert found[f"tree/{name}"] == content + (bytes(len(content)) if form == "tar" else b"")


class Growing(DiskStorage):
    """A storage whose files were shorter when they were opened than they are now."""

    def open(self, path: str) -> Any:
        stored = super().open(path)
        stored.entry = stored.entry._replace(size_bytes=stored.entry.size_bytes // 2)
        return stored


@pytest.mark.parametrize("form", READERS)
def test_a_file_that_grows_ends_where_it_did(tree: Path, form: str) -> None:
    storage = Growing(tree.parent)
    found = READERS[form](Asking(storage).get(f"/tree/?{form}"))
    storage.close()
    for name, content in CONTENTS.items():
        assert found[f"tree/{name}"] == content[: len(content) // 2]


@pytest.mark.parametrize("make", [zip_pieces, tar_pieces])
def test_nothing_large_is_held_in_memory(root: Path, make: Any) -> None:
    with (root / "large.png").open("wb") as file:
        file.truncate(64 << 20)
    storage = DiskStorage(root)
    tracemalloc.start()
    try:
        largest = max(len(piece) for piece in make(storage, "/", "files", Rules()))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        storage.close()
    assert largest <= 3 * READ_BYTES
    assert peak_bytes < 16 * READ_BYTES


def test_the_list_of_very_many_files_is_not_held_in_memory_either(
    root: Path, monkeypatch: pytest.MonkeyPatch, site: Asking
) -> None:
    monkeypatch.setattr(archives, "DIRECTORY_IN_MEMORY_BYTES", 1_000)
    for number in range(300):
        (root / f"{number}").write_text(f"{number}")
    assert unzipped(site.get("/?zip")) == {f"files/{number}": f"{number}".encode() for number in range(300)}


def test_only_so_many_are_made_at_once(site: Asking, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody_is_here = threading.Barrier(archives.AT_ONCE)

    def together(*arguments: Any) -> Any:
        everybody_is_here.wait()
        yield from tar_pieces(*arguments)

    monkeypatch.setitem(archives.FORMATS, "tar", archives.Format(".tar", "application/x-tar", together))
    answers = at_once(*(site.asked("GET", "/tree/?tar") for _ in range(archives.AT_ONCE + 2)))
    assert sorted(answer.status for answer in answers) == [200] * archives.AT_ONCE + [503] * 2
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.fields["retry-after"] == "10"
    assert site.get("/?zip").status == 200  # the places are free again


@pytest.mark.parametrize("form", READERS)
def test_who_leaves_has_the_rest_not_made(make_site: Any, tree: Path, form: str) -> None:
    with (tree / "huge.png").open("wb") as file:
        file.truncate(1 << 40)  # nobody waits for its end
    site = make_site()

    def opened() -> list[str]:
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return [path for link in links if os.path.lexists(link) and (path := os.readlink(link)).endswith("huge.png")]

    async def leave_soon() -> None:
        came = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await came.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message.get("body"):
                came.set()

        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET", "path": "/tree/",
            "raw_path": b"/tree/", "query_string": form.encode(), "headers": [], "root_path": "", "extensions": {},
        }  # fmt: skip
        await asyncio.wait_for(site.application(scope, receive, send), 30)

    asyncio.run(leave_soon())
    wait_until(lambda: not opened(), "the file is closed")
