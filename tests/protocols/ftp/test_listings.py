"""Listings of directories and trees: what is in them, in which order, in how large pieces, and what they leave."""

from __future__ import annotations

import pytest

from portside.accounts.account import PERMISSIONS
from portside.protocols.ftp.acts import ListingForm
from portside.protocols.ftp.facts import FACTS, parse_facts
from portside.protocols.ftp.listed import parse_listing_line
from portside.protocols.ftp.listings import DEPTH_MAX, PIECE_BYTES, SORTED_MAX, Listing, open_listing
from portside.storage.contract import Denied, Entry, NoSuchFile, NotDirectory, StorageError
from portside.storage.memory import MemoryStorage
from support.ftp_visits import NOW_S, World

TREE = {"/b": b"22", "/a": b"1", "/.hidden": b"", "/d/x": b"333", "/d/e/y": b"", "/d/.h": b"", "/*": b"4444"}


@pytest.fixture
def storage() -> MemoryStorage:
    world = World()
    for path, content in TREE.items():
        world.put(path, content)
    return world.storage


def opened(storage: MemoryStorage, form: ListingForm, argument: str = "", directory: str = "/") -> Listing:
    return open_listing(
        storage, directory, form, argument, facts=FACTS, permissions=PERMISSIONS, now_s=lambda: NOW_S + 60.0
    )


def pieces_of(listing: Listing) -> list[bytes]:
    pieces = [listing.first]
    while not listing.is_over:
        pieces.append(listing.next_piece())
    listing.close()
    return pieces


def lines_of(storage: MemoryStorage, form: ListingForm, argument: str = "", directory: str = "/") -> list[str]:
    text = b"".join(pieces_of(opened(storage, form, argument, directory))).decode("utf-8", "surrogateescape")
    assert text == "" or text.endswith("\r\n")
    return text.split("\r\n")[:-1]


def names_in(lines: list[str]) -> list[str]:
    """Return the names in the lines of LIST."""
    return [listed.name for line in lines if (listed := parse_listing_line(line, int(NOW_S))) is not None]


# ── NLST: each name can be asked for as it is ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("directory", "argument", "expected"),
    [
        ("/", "", ["*", "a", "b", "d"]),
        ("/", "-a", [".", "..", "*", ".hidden", "a", "b", "d"]),
        ("/", "-A", ["*", ".hidden", "a", "b", "d"]),
        ("/", "-r", ["d", "b", "a", "*"]),
        ("/", "-S", ["*", "b", "a", "d"]),
        ("/", "-1", ["*", "a", "b", "d"]),
        ("/", "-CF", ["*", "a", "b", "d"]),
        ("/", "d", ["d/e", "d/x"]),
        ("/", "d/", ["d/e", "d/x"]),
        ("/", "/d", ["/d/e", "/d/x"]),
        ("/", "/", ["/*", "/a", "/b", "/d"]),
        ("/", "a", ["a"]),
        ("/", "/d/x", ["/d/x"]),
        ("/", "-d d", ["d"]),
        ("/", "[ab]", ["a", "b"]),
        ("/", "?", ["*", "a", "b", "d"]),
        ("/", "*", ["*"]),  # there is a file of that name
        ("/d", "*", ["e", "x"]),
        ("/d", ".*", [".h"]),
        ("/d", "../*a", ["../a"]),
        ("/d", "..", ["../*", "../a", "../b", "../d"]),
        ("/d", "", ["e", "x"]),
        ("/d", "e/*", ["e/y"]),
    ],
)
def test_nlst(storage: MemoryStorage, directory: str, argument: str, expected: list[str]) -> None:
    assert sorted(lines_of(storage, "NLST", argument, directory)) == sorted(expected)
    if "-S" in argument or "-r" in argument:
        assert lines_of(storage, "NLST", argument, directory) == expected


def test_what_nlst_tells_can_be_asked_for(storage: MemoryStorage) -> None:
    for directory in ("/", "/d"):
        for argument in ("", "/d", "..", "../d", "*", "/d/x"):
            for name in lines_of(storage, "NLST", argument, directory):
                path = name if name.startswith("/") else f"{directory}/{name}"
                assert lines_of(storage, "NLST", f"-d {path}") == [path]


# ── LIST ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("", ["*", "a", "b", "d"]),
        ("-la", [".", "..", "*", ".hidden", "a", "b", "d"]),
        ("-l d", ["e", "x"]),
        ("a", ["a"]),
        ("/d/x", ["/d/x"]),
        ("-d d", ["d"]),
        ("[!a]", ["*", "b", "d"]),
        ("/d/*", ["/d/e", "/d/x"]),
        ("-t", ["*", "a", "b", "d"]),
    ],
)
def test_list(storage: MemoryStorage, argument: str, expected: list[str]) -> None:
    assert sorted(names_in(lines_of(storage, "LIST", argument))) == sorted(expected)


def test_a_listing_looks_like_ls(storage: MemoryStorage) -> None:
    assert lines_of(storage, "LIST") == [
        "-rw-r--r-- 1 owner group 4 Nov 25 22:00 *",
        "-rw-r--r-- 1 owner group 1 Nov 25 22:00 a",
        "-rw-r--r-- 1 owner group 2 Nov 25 22:00 b",
        "drwxr-xr-x 1 owner group 0 Nov 25 22:00 d",
    ]
    assert lines_of(storage, "LIST", "-1") == ["*", "a", "b", "d"]
    assert lines_of(storage, "NLST", "-l d/x") == ["-rw-r--r-- 1 owner group 3 Nov 25 22:00 d/x"]


def test_a_tree_is_listed_as_ls_has_it(storage: MemoryStorage) -> None:
    assert lines_of(storage, "NLST", "-R d") == ["d:", "e", "x", "", "d/e:", "y"]
    assert lines_of(storage, "NLST", "-R") == [".:", "*", "a", "b", "d", "", "./d:", "e", "x", "", "./d/e:", "y"]
    assert lines_of(storage, "NLST", "-Ra d/e") == ["d/e:", ".", "..", "y"]


# ── MLSD ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_mlsd_tells_everything_there_is(storage: MemoryStorage) -> None:
    found = dict(reversed(parse_facts(line)) for line in lines_of(storage, "MLSD"))
    assert set(found) == {"*", "a", "b", "d", ".hidden"}
    assert {name: facts["type"] for name, facts in found.items() if facts["type"] != "file"} == {"d": "dir"}
    assert found["*"]["size"] == "4"


def test_mlsd_knows_neither_options_nor_patterns(storage: MemoryStorage) -> None:
    with pytest.raises(NoSuchFile):
        opened(storage, "MLSD", "-la")
    with pytest.raises(NotDirectory):  # it is a file of that name, and no pattern
        opened(storage, "MLSD", "*")


# ── what cannot be listed ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["LIST", "NLST", "MLSD"])
@pytest.mark.parametrize(
    ("argument", "error"), [("none", NoSuchFile), ("none/*", NoSuchFile), ("z*", NoSuchFile), ("a\rb", Denied)]
)
def test_what_is_not_there_is_said_before_anything_is_sent(
    storage: MemoryStorage, form: ListingForm, argument: str, error: type[StorageError]
) -> None:
    with pytest.raises(error):
        opened(storage, form, argument)


def test_a_directory_that_cannot_be_read_is_passed_over(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_ = MemoryStorage.list

    def deny(self: MemoryStorage, path: str) -> object:
        if path == "/d/e":
            raise Denied(path)
        return list_(self, path)

    monkeypatch.setattr(MemoryStorage, "list", deny)
    assert lines_of(storage, "NLST", "-R d") == ["d:", "e", "x", "", "d/e:"]
    with pytest.raises(Denied):
        opened(storage, "NLST", "d/e")


# ── size ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Endless:
    """A storage with one directory of so many names, and a count of what was asked for and not closed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.made = 0
        self.opened = 0

    def stat(self, path: str) -> Entry:
        return Entry(path.rpartition("/")[2], "directory", 0, 0, 0o755)

    def list(self, path: str) -> Endless.Names:
        self.opened += 1
        return Endless.Names(self)

    class Names:
        def __init__(self, storage: Endless) -> None:
            self.storage = storage
            self.left = storage.count

        def __iter__(self) -> Endless.Names:
            return self

        def __next__(self) -> list[Entry]:
            if not self.left:
                raise StopIteration
            size = min(1_000, self.left)
            self.left -= size
            self.storage.made += size
            return [Entry(f"{self.left + number:06}", "file", 1, 0, 0o644) for number in range(size)]

        def close(self) -> None:
            self.storage.opened -= 1


@pytest.mark.parametrize("form", ["LIST", "NLST", "MLSD"])
@pytest.mark.parametrize("count", [0, 1, SORTED_MAX, SORTED_MAX + 1, 50_000])
def test_a_large_directory_comes_in_pieces_and_all_of_it(form: ListingForm, count: int) -> None:
    storage = Endless(count)
    pieces = pieces_of(opened(storage, form))  # type: ignore[arg-type]
    names = [line.rpartition(b" ")[2].decode() for line in b"".join(pieces).split(b"\r\n")[:-1]]
    assert sorted(names) == [f"{number:06}" for number in range(count)]
    assert count > SORTED_MAX or form == "MLSD" or names == sorted(names)
    line_bytes = len(pieces[0]) // max(1, len(pieces[0].split(b"\r\n")) - 1)
    sorted_bytes = 0 if form == "MLSD" else line_bytes * (SORTED_MAX + 1_000)
    assert max(map(len, pieces)) <= PIECE_BYTES + sorted_bytes + line_bytes * 1_000
    assert storage.opened == 0


@pytest.mark.parametrize("form", ["LIST", "NLST", "MLSD"])
def test_what_nobody_takes_is_not_made(form: ListingForm) -> None:
    storage = Endless(1_000_000)
    listing = opened(storage, form)  # type: ignore[arg-type]
    assert storage.made <= SORTED_MAX + PIECE_BYTES // len("123456\r\n")
    listing.close()
    assert storage.opened == 0


def test_a_tree_deeper_than_anybody_s_is_listed_to_a_depth() -> None:
    storage = MemoryStorage()
    path = ""
    for _ in range(DEPTH_MAX + 10):
        path += "/d"
        storage.make_directory(path)
    lines = lines_of(storage, "NLST", "-R")
    assert len([line for line in lines if line.endswith(":")]) == DEPTH_MAX + 1


def test_links_in_a_circle_are_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage shows a link as what it leads to: by its unique fact it is known again."""
    circle = Entry("again", "directory", 0, 0, 0o755, unique="1")

    class Circle(Endless):
        def list(self, path: str) -> list[list[Entry]]:  # type: ignore[override]
            names = iter([[circle]])
            return Closing(names)  # type: ignore[return-value]

    class Closing:
        def __init__(self, names: object) -> None:
            self.names = names

        def __iter__(self) -> object:
            return self.names

        def close(self) -> None:
            pass

    lines = lines_of(Circle(0), "NLST", "-R")  # type: ignore[arg-type]
    assert lines == [".:", "again", "", "./again:", "again"]


# ── over a data connection ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("LIST none", 550),
        ("NLST none", 550),
        ("NLST z*", 550),
        ("MLSD none", 550),
        ("MLSD a", 501),  # RFC 3659 section 7.2.1
        ("LIST a/*", 550),
    ],
)
def test_what_cannot_be_listed_uses_no_data_connection_up(world: World, line: str, code: int) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        data = await client.passive()
        await client.say(line, code)
        await client.say("NLST", 150, 226)
        assert await data.read() == b"a\r\n"

    world.run(story)


@pytest.mark.parametrize("line", ["LIST", "NLST", "MLSD"])
def test_an_empty_directory_is_an_empty_listing(cut_world: World, line: str) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        assert await client.take(line) == b""
        assert await client.asks("NOOP") == [200]

    cut_world.run(story)


@pytest.mark.parametrize("line", ["LIST", "NLST", "MLSD"])
def test_a_name_cannot_forge_a_line(world: World, line: str) -> None:
    async def story(world: World) -> None:
        world.storage.make_directory("/d")
        world.put("/d/innocent")
        for name in ("evil\r\n-rwxrwxrwx 1 root root 1 Jan  1 00:00 forged", "evil\nforged", "evil\rforged"):
            world.put(f"/d/{name}")
        client = await world.logged_in()
        listing = await client.take(f"{line} d")
        rows = listing.decode().split("\r\n")[:-1]
        if line == "LIST":  # for people, who may see that there is something
            forged = "evil??-rwxrwxrwx 1 root root 1 Jan  1 00:00 forged"
            assert sorted(names_in(rows)) == [forged, "evil?forged", "evil?forged", "innocent"]
        else:
            assert [row.rpartition(" ")[2] for row in rows] == ["d/innocent" if line == "NLST" else "innocent"]

    world.run(story)
