"""Trees as they are: links seen and not followed, on this machine and on a server that may be a strange one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from portside.cli.transfer_plan import Node, Tree
from portside.cli.transfer_trees import DEPTH_MAX, local_tree, remote_tree, with_exact_times
from portside.errors import MalformedMessage, UsageError
from portside.protocols.ftp.client import FtpClient, Refused
from support.scripted_ftp import Answer, Data, Visit, visit

MLST = "250-\r\n type=dir; d\r\n250 ."


def listing(directories: Callable[[str], str]) -> Answer:
    """Return an answer to MLSD: the lines of each directory."""

    async def answer(visit: Visit, argument: str) -> None:
        await visit.transfer(Data(directories(argument).replace("\n", "\r\n").encode()))

    return answer


def tree_at(root: str, answers: dict[str, Answer]) -> Tree | None:
    async def act(ftp: FtpClient) -> Tree | None:
        return await remote_tree(ftp, root)

    return visit(act, {"MLST": MLST, **answers})[0]


def test_a_tree_of_a_server_has_directories_before_what_is_in_them() -> None:
    lines = {
        "d": "type=dir; b\ntype=file;size=1;modify=19700101000010; a\n",
        "d/b": "type=file;size=2; c\ntype=OS.unix=slink; l\n",
    }
    tree = tree_at("d", {"MLSD": listing(lines.__getitem__)})
    assert tree is not None
    assert list(tree.items()) == [
        ("a", Node("file", 1, 10_000_000_000)),
        ("b", Node("directory", is_exact=False)),
        ("b/c", Node("file", 2, is_exact=False)),
        ("b/l", Node("link", is_exact=False)),
    ]


def test_there_may_be_nothing_or_no_directory() -> None:
    assert tree_at("d", {"MLST": "550 No such file."}) is None
    assert tree_at("", {"MLST": "550 Not asked.", "MLSD": Data(b"")}) == {}
    with pytest.raises(UsageError, match="is no directory"):
        tree_at("d", {"MLST": "250-\r\n type=file; d\r\n250 ."})


def test_what_cannot_be_seen_is_not_taken_for_gone() -> None:
    async def answer(visit: Visit, argument: str) -> None:
        if argument == "d":
            await visit.transfer(Data(b"type=dir; b\r\n"))
        else:
            await visit.say("550 Not for you.")

    with pytest.raises(Refused, match="MLSD d/b"):
        tree_at("d", {"MLSD": answer})


def test_a_circle_on_the_server_is_seen_as_the_link_it_is() -> None:
    def lines(path: str) -> str:
        return f"type=dir;unique=1.{path.count('/') % 2}; up\n"

    tree = tree_at("d", {"MLSD": listing(lines)})
    assert tree is not None
    assert {path: node.kind for path, node in tree.items()} == {
        "up": "directory",
        "up/up": "directory",
        "up/up/up": "link",
    }


def test_directories_without_end_are_refused() -> None:
    with pytest.raises(MalformedMessage, match=f"more than {DEPTH_MAX} deep"):
        tree_at("d", {"MLSD": listing(lambda path: "type=dir; more\n")})


def test_only_times_that_decide_are_asked_for() -> None:
    coarse = Node("file", 3, 7, is_exact=False)
    remote = {"a": coarse, "b": coarse, "c": coarse, "d": Node("directory", is_exact=False)}
    local = {"a": Node("file", 3, 9), "b": Node("file", 4, 9), "d": Node("directory")}

    async def act(ftp: FtpClient) -> Tree:
        return await with_exact_times(ftp, "root", remote, local)

    tree, said = visit(act, {"MDTM": "213 20231114221320"})
    assert said == ["MDTM root/a"]
    assert tree == {**remote, "a": Node("file", 3, 1_700_000_000_000_000_000)}
    tree, _ = visit(act, {"MDTM": "550 No."})
    assert tree == remote


def test_a_tree_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "f").write_bytes(b"abc")
    os.utime(tmp_path / "d" / "f", ns=(5, 7))
    (tmp_path / "link").symlink_to("d")
    (tmp_path / "dead").symlink_to("nowhere")
    (tmp_path / "two\nlines").write_bytes(b"x")
    os.mkfifo(tmp_path / "fifo")
    assert local_tree(tmp_path) == {
        "d": Node("directory"),
        "d/e": Node("directory"),
        "d/f": Node("file", 3, 7),
        "link": Node("link"),
        "dead": Node("link"),
        "two\nlines": Node("other"),
        "fifo": Node("other"),
    }
    assert local_tree(tmp_path / "none") is None
    with pytest.raises(UsageError, match="is no directory"):
        local_tree(tmp_path / "d" / "f")
