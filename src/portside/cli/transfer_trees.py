"""Trees of files as they are: on this machine and on a server. Links are seen and never followed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from portside.cli.transfer_plan import Node, Tree, undecided
from portside.errors import MalformedMessage, UsageError
from portside.protocols.ftp.client import FtpClient, Unavailable
from portside.protocols.ftp.client.url import join

DEPTH_MAX: Final = 100  # directories within each other: a server that follows links may have a circle without end

_UNSENDABLE: Final = ("\r", "\n")


def local_tree(root: Path) -> Tree | None:
    """Return the tree below a directory, None if there is nothing. Raises: OSError, UsageError."""
    if not root.exists():
        return None
    if not root.is_dir():
        raise UsageError(f"{root} is no directory")
    tree: dict[str, Node] = {}
    waiting = [""]
    while waiting:
        above = waiting.pop()
        with os.scandir(root / above) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = join(above, entry.name)
                node = tree[path] = _node_of(entry)
                if node.kind == "directory":
                    waiting.append(path)
    return tree


def _node_of(entry: os.DirEntry[str]) -> Node:
    if entry.is_symlink():
        return Node("link")
    if entry.is_dir(follow_symlinks=False):
        return Node("directory")
    if not entry.is_file(follow_symlinks=False) or any(character in entry.name for character in _UNSENDABLE):
        return Node("other")
    facts = entry.stat(follow_symlinks=False)
    return Node("file", facts.st_size, facts.st_mtime_ns)


async def remote_tree(client: FtpClient, root: str) -> Tree | None:
    """Return the tree below a directory of the server, None if there is nothing.

    Raises: Refused when a directory in it cannot be listed: what is not seen must not be taken for gone.
    MalformedMessage when it has no end.
    """
    if not await _is_there(client, root):
        return None
    tree: dict[str, Node] = {}
    waiting: list[tuple[str, frozenset[str]]] = [("", frozenset())]
    while waiting:
        above, ancestors = waiting.pop()
        if len(ancestors) > DEPTH_MAX or above.count("/") >= DEPTH_MAX:
            raise MalformedMessage(f"{join(root, above)}: the server's directories are more than {DEPTH_MAX} deep")
        entries = [entry async for entry in client.list(join(root, above) if above else root)]
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = join(above, entry.name)
            is_circle = entry.kind == "directory" and entry.unique is not None and entry.unique in ancestors
            kind = "link" if is_circle else entry.kind
            tree[path] = Node(kind, entry.size_bytes, entry.modified_ns, is_exact=entry.is_exact)
            if kind == "directory":
                waiting.append((path, ancestors | ({entry.unique} if entry.unique else set())))
    return tree


async def _is_there(client: FtpClient, path: str) -> bool:
    if path in ("", "/"):
        return True
    try:
        entry = await client.stat(path)
    except Unavailable:
        return False
    if entry.kind != "directory":
        raise UsageError(f"{path} on the server is no directory")
    return True


async def with_exact_times(client: FtpClient, root: str, remote: Tree, local: Tree) -> Tree:
    """Return the remote tree with the times that decide: those that its listing told for people only are asked for."""
    exact = dict(remote)
    for path in undecided(remote, local):
        modified_ns = await client.modified(join(root, path))
        if modified_ns is not None:
            exact[path] = replace(exact[path], modified_ns=modified_ns, is_exact=True)
    return exact
