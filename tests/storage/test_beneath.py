"""Nobody leaves the root, whatever the links in it say and whoever changes them meanwhile."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portside.storage import beneath, openat2
from portside.storage.beneath import ByHand, ByKernel, Resolution, best_resolution, is_remote
from portside.storage.contract import StorageError, StorageFailed
from portside.storage.disk import DiskStorage, DiskStored
from support.seams import before_each_call

SECRET = b"the secret"
LOOK = os.O_PATH | os.O_CLOEXEC


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A directory with a root, and a secret beside it."""
    return build_world(tmp_path)


def build_world(base: Path) -> Path:
    (base / "root").mkdir()
    (base / "outside" / "a").mkdir(parents=True)
    for path in ("outside/f", "outside/a/f", "f"):
        (base / path).write_bytes(SECRET)
        os.utime(base / path, ns=(0, 0))
    (base / "outside" / "only-outside").touch()
    os.utime(base / "outside" / "a", ns=(0, 0))
    os.utime(base / "outside", ns=(0, 0))
    return base


def state_outside(base: Path) -> list[tuple[str, int, int, int, bytes]]:
    """Return all there is beside the root: names, modes, times, numbers of links and contents."""
    found = []
    for path in sorted([base / "f", base / "outside", *(base / "outside").rglob("*")]):
        facts = path.lstat()
        links = facts.st_nlink if path.is_file() else 0
        found.append((str(path), facts.st_mode, facts.st_mtime_ns, links, path.read_bytes() if path.is_file() else b""))
    return found


# ── both ways ────────────────────────────────────────────────────────────────────────────────────────────────────────

names = st.sampled_from(["a", "b", "f"])
steps = st.sampled_from(["a", "b", "f", "..", ".", "", "outside", "root"])
relative_targets = st.lists(steps, min_size=1, max_size=4).map("/".join).filter(bool)
absolute_targets = st.sampled_from(["/", "//", "/etc", "ROOT/a", "ROOT", "ROOT/../outside/f", "/proc/self/root"])
places = st.lists(names, min_size=1, max_size=3).map("/".join)
things = st.one_of(
    st.just(("file", "")),
    st.just(("directory", "")),
    st.tuples(st.just("link"), st.one_of(relative_targets, relative_targets, absolute_targets)),
)
trees = st.dictionaries(places, things, max_size=8)
asked = st.lists(steps, min_size=1, max_size=5).map("/".join).map(lambda path: path.lstrip("/") or ".")


def plant(root: Path, tree: dict[str, tuple[str, str]]) -> None:
    """Make what can be made of a drawn tree."""
    for name, (kind, target) in sorted(tree.items()):
        path = root / name
        if not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(root)):
            continue
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "file":
                path.write_text("inside")
            elif kind == "directory":
                path.mkdir()
            else:
                path.symlink_to(target.replace("ROOT", str(root)))


def led_to(resolution: Resolution, root: int, path: str, flags: int) -> tuple[str, int]:
    """Return where a path leads: a way that /proc knows, or an error's number."""
    try:
        descriptor = resolution.open(root, path, flags)
    except OSError as error:
        return "", error.errno or -1
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}"), 0
    finally:
        os.close(descriptor)


@given(trees, st.lists(asked, min_size=1, max_size=8))
@example({"a": ("directory", ""), "a/b": ("link", "../f"), "f": ("file", "")}, ["a/b", "a/b/", "a/b/.", "a/../f"])
@example({"a": ("link", "a")}, ["a", "a/b"])
@example({"a": ("link", "/proc/self/root")}, ["a", "a/etc"])
@example({"a": ("link", "b/"), "b": ("file", "")}, ["a"])
def test_the_kernel_and_hands_lead_to_the_same(tree: dict[str, tuple[str, str]], asked: list[str]) -> None:
    with tempfile.TemporaryDirectory() as base, opened(build_world(Path(base)) / "root") as root:
        if not isinstance(best_resolution(root), ByKernel):
            pytest.skip("openat2(2) is not to be had here")
        plant(Path(base, "root"), tree)
        beneath_root = os.path.realpath(f"{base}/root")
        for path in asked:
            for flags in (LOOK, LOOK | os.O_DIRECTORY, LOOK | os.O_NOFOLLOW, os.O_RDONLY | os.O_CLOEXEC):
                by_kernel, by_hand = (led_to(way, root, path, flags) for way in (ByKernel(), ByHand()))
                assert by_kernel == by_hand, (path, flags)
                assert by_hand[1] or (by_hand[0] + "/").startswith(beneath_root + "/")


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_too_many_links(world: Path, resolution: Resolution) -> None:
    (world / "root" / "link0").write_text("end")
    for number in range(1, 42):
        (world / "root" / f"link{number}").symlink_to(f"link{number - 1}")
    with opened(world / "root") as root:
        assert led_to(resolution, root, "link40", LOOK)[1] == 0
        assert led_to(resolution, root, "link41", LOOK)[1] == errno.ELOOP


# ── everything tried on everything ───────────────────────────────────────────────────────────────────────────────────


def acts_on(storage: DiskStorage, path: str) -> dict[str, Callable[[], object]]:
    """Return every act that can be tried on a path; those that read give what they have read."""

    def stat() -> bytes:
        entry = storage.stat(path)
        return SECRET if entry.kind == "file" and entry.size_bytes == len(SECRET) else b""

    def read(stored: DiskStored | None) -> bytes:
        if stored is None:
            return b""
        with closing(stored):
            return stored.file.read()

    def upload(offset: int | None) -> bytes:
        begun = storage.upload(path, offset=offset)
        begun.file.seek(0)
        there = begun.file.read()
        begun.file.write(b"torn")
        begun.commit()
        return there

    def names(below: DiskStorage, path: str) -> bytes:
        return b" ".join(entry.name.encode() for batch in below.list(path) for entry in batch)

    def under() -> bytes:
        with closing(storage.under(path)) as below:
            return names(below, "/")

    return {
        "stat": stat,
        "open": lambda: read(storage.open(path)),
        "open_nowait": lambda: read(storage.open_nowait(path)),
        "list": lambda: names(storage, path),
        "under": under,
        "set_mode": lambda: storage.set_mode(path, 0o700),
        "set_modified": lambda: storage.set_modified(path, 12_345),
        "interrupted_bytes": lambda: storage.interrupted_bytes(path),
        "rename": lambda: storage.rename(path, f"{path}.new"),
        "rename from": lambda: storage.rename("/plain", f"{path}/new"),
        "make_directory": lambda: storage.make_directory(f"{path}/made"),
        "upload below": lambda: storage.upload(f"{path}/new").commit(),
        "upload": lambda: upload(0),
        "append": lambda: upload(None),
        "go on": lambda: upload(2),
        "usage_bytes": lambda: storage.usage_bytes(),  # noqa: PLW0108  there is no storage when ACTS is made
        "delete": lambda: storage.delete(path),
        "remove_directory": lambda: storage.remove_directory(path),
    }


ACTS = [*acts_on(None, "")]  # type: ignore[arg-type]


def try_to(act: str, storage: DiskStorage, path: str) -> None:
    """Do an act, whatever comes of it, and see that no secret does."""
    with suppress(StorageError):
        given = acts_on(storage, path)[act]()
        if isinstance(given, bytes):
            assert SECRET not in given
            assert b"only-outside" not in given


@given(trees, st.lists(asked, min_size=1, max_size=4), st.booleans())
@example({"a": ("link", "ROOT/../outside"), "b": ("link", "../outside"), "f": ("link", "../f")}, ["a", "b", "f"], True)
@example({"a": ("link", "b"), "b": ("link", "../outside")}, ["a/f", "a/a/f"], False)
def test_nothing_that_is_tried_reaches_what_is_outside(
    tree: dict[str, tuple[str, str]], asked: list[str], by_hand: bool
) -> None:
    with tempfile.TemporaryDirectory() as base:
        build_world(Path(base))
        plant(Path(base, "root"), tree)
        before = state_outside(Path(base))
        storage = DiskStorage(f"{base}/root", durable=False, resolution=ByHand() if by_hand else None)
        with closing(storage):
            for path in [*asked, *tree]:
                for act in ACTS:
                    try_to(act, storage, f"/{path}")
        assert state_outside(Path(base)) == before


# ── races ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def swap_directory(root: Path) -> None:
    """Put a link to the outside in the place of a directory."""
    (root / "d").rename(root / "moved")
    (root / "d").symlink_to("../outside")


def swap_name(root: Path) -> None:
    """Put a link to a file outside in the place of a file."""
    (root / "d" / "f").unlink(missing_ok=True)
    (root / "d" / "f").symlink_to("../../f")


def swap_link(root: Path) -> None:
    """Turn a link within to one that leads out."""
    (root / "link").unlink(missing_ok=True)
    (root / "link").symlink_to("../f")


def swap_for_fifo(root: Path) -> None:
    """Put a FIFO that nobody writes to in the place of a file: who opened it as one opens files would never return."""
    (root / "d" / "f").unlink(missing_ok=True)
    os.mkfifo(root / "d" / "f")


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    ("swap", "path"),
    [
        (swap_directory, "/d/f"),
        (swap_directory, "/d/e"),
        (swap_directory, "/d"),
        (swap_name, "/d/f"),
        (swap_link, "/link"),
        (swap_for_fifo, "/d/f"),
    ],
)
def test_whoever_swaps_something_at_any_moment_gets_nobody_out(
    tmp_path: Path, resolution: Resolution, act: str, swap: Callable[[Path], None], path: str
) -> None:
    number, swapped = 0, True
    while swapped:
        swapped = False
        base = tmp_path / str(number)
        base.mkdir()
        root = build_world(base) / "root"
        (root / "d" / "e").mkdir(parents=True)
        for name in ("plain", "d/f"):
            (root / name).write_text("inside")
        (root / "link").symlink_to("d/f")
        before = state_outside(base)

        def happens(count: int, _: str, number: int = number, root: Path = root) -> None:
            nonlocal swapped
            if count == number:
                swap(root)
                swapped = True

        storage = DiskStorage(root, durable=True, resolution=resolution)
        with closing(storage), before_each_call(happens):
            try_to(act, storage, path)
        assert state_outside(base) == before, number
        number += 1
    assert number > 1 or act in {"stat", "open", "open_nowait"}  # these have nothing between their first call and end


# ── the kernel's moods ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_kernel_is_asked_again_when_something_moved(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [BlockingIOError(errno.EAGAIN, "moved")] * 3
    asked = beneath.openat2

    def moody(directory: int, path: str, how: bytes) -> int:
        if answers:
            raise answers.pop()
        return asked(directory, path, how)

    monkeypatch.setattr(beneath, "openat2", moody)
    with closing(DiskStorage(world / "root", resolution=ByKernel())) as storage:
        assert storage.stat("/").kind == "directory"
        assert answers == []
        answers += [BlockingIOError(errno.EAGAIN, "moved")] * 1_000
        with pytest.raises(StorageFailed):
            storage.open("/f")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_without_the_kernel_it_is_done_by_hand(world: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refused(directory: int, path: str, how: bytes) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(openat2, "openat2", refused)
    with opened(world / "root") as root:
        assert isinstance(best_resolution(root), ByHand)


def test_nothing_is_at_hand_where_another_machine_may_be_asked(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world / "root" / "f").touch()
    with closing(DiskStorage(world / "root")) as storage:
        storage.stat("/f")  # now its names are known
        with opened(world / "root") as root:
            assert not is_remote(root)
            monkeypatch.setattr(beneath, "_REMOTE", Everything())
            assert is_remote(root)
        with closing(storage.under("/")) as below:
            assert below.stat_nowait("/f") is None
            assert below.open_nowait("/f") is None


class Everything:
    def __contains__(self, number: int) -> bool:
        return True
