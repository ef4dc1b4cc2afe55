"""What makes one tree of files like another: compared by names, sizes and times, and nothing is done yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from portside.storage.contract import Kind

_NS: Final = 1_000_000_000

Action: TypeAlias = Literal["make_directory", "copy", "delete", "remove_directory", "skip", "conflict"]


@dataclass(frozen=True, slots=True)
class Node:
    """A name in a tree. ``is_exact``: its time is true to the second; where it is not, the sizes decide."""

    kind: Kind
    size_bytes: int | None = None
    modified_ns: int | None = None
    is_exact: bool = True


Tree: TypeAlias = Mapping[str, Node]
"""Nodes by their paths below the root: ``a/b``. A directory stands before what is in it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do with a path, and why. ``skip`` and ``conflict`` are things that are not done; the latter should
    have been.
    """

    action: Action
    path: str
    why: str = ""
    size_bytes: int | None = None


def plan(source: Tree, target: Tree, *, delete: bool, partial_suffix: str = "") -> list[Step]:
    """Return the steps that make the target like the source, in the order to do them.

    ``delete``: what the source does not have goes, and so does what is of another kind there; but not what is left of
    an interrupted transfer (a name of the source with ``partial_suffix``), nor what stands where the source has
    something that is left out. Without it nothing is ever removed.
    """
    displaced = _displaced(source, target) if delete else frozenset[str]()
    remaining = {path: node for path, node in target.items() if not _is_under(path, displaced)}
    steps = [step for path in sorted(displaced) for step in _removal(path, target)]
    steps += _makings(source, remaining)
    if delete:
        left_out = {path for path, node in source.items() if node.kind not in ("file", "directory")}
        extra = [
            path
            for path in remaining
            if path not in source
            and not (partial_suffix and path.removesuffix(partial_suffix) in source)
            and not _is_under(path, left_out)
        ]
        steps += [_remove(path, remaining[path]) for path in sorted(extra, key=_depth_first)]
    return steps


def undecided(source: Tree, target: Tree) -> Iterator[str]:
    """Yield the files whose times decide, and are not known exactly on one of the sides."""
    for path, node in source.items():
        other = target.get(path)
        if other is None or not (node.kind == other.kind == "file") or node.size_bytes != other.size_bytes:
            continue
        if not (node.is_exact and other.is_exact):
            yield path


def _makings(source: Tree, target: Tree) -> Iterator[Step]:
    """Yield directories before the files, and nothing below what could not be made."""
    copies: list[Step] = []
    blocked: set[str] = set()
    for path, node in source.items():
        other = target.get(path)
        if _is_under(path, blocked):
            continue
        if node.kind not in ("file", "directory"):
            yield Step("skip", path, "it is a link" if node.kind == "link" else "it is neither file nor directory")
        elif other is not None and other.kind != node.kind:
            blocked.add(path)
            yield Step("conflict", path, f"a {node.kind} here is a {other.kind} there; --delete would replace it")
        elif node.kind == "directory":
            if other is None:
                yield Step("make_directory", path)
        elif (why := why_copied(node, other)) is not None:
            copies.append(Step("copy", path, why, node.size_bytes))
    yield from copies


def why_copied(source: Node, target: Node | None) -> str | None:
    """Return why a file must be copied: it is new, another size, or newer; None if it need not be."""
    if target is None:
        return "new"
    if source.size_bytes != target.size_bytes:
        return "size"
    if source.modified_ns is None or target.modified_ns is None or not (source.is_exact and target.is_exact):
        return None
    return "newer" if source.modified_ns // _NS > target.modified_ns // _NS else None  # FTP's times are whole seconds


def _displaced(source: Tree, target: Tree) -> frozenset[str]:
    """Return the paths that are of another kind in the target, each with all that is below it."""
    return frozenset(
        path
        for path, node in source.items()
        if node.kind in ("file", "directory") and path in target and target[path].kind != node.kind
    )


def _is_under(path: str, roots: frozenset[str] | set[str]) -> bool:
    """Tell whether a path is one of the roots or below one."""
    if not roots:
        return False
    parts = path.split("/")
    return any("/".join(parts[:count]) in roots for count in range(1, len(parts) + 1))


def _removal(root: str, tree: Tree) -> Iterator[Step]:
    below = [path for path in tree if path == root or path.startswith(f"{root}/")]
    yield from (_remove(path, tree[path]) for path in sorted(below, key=_depth_first))


def _remove(path: str, node: Node) -> Step:
    return Step("remove_directory" if node.kind == "directory" else "delete", path)


def _depth_first(path: str) -> tuple[int, str]:
    return -path.count("/"), path
