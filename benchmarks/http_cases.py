"""What is measured of HTTP servers: for each case who is put to it, the load, and what its rate counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ftp_cases import MIB, Case
from http_servers import FILE_SERVERS, HELLO_SERVERS
from portside.units import show_size

SMALL_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; the defaults are what the targets speak of."""

    large_bytes: int = 100 * MIB
    files: int = 1_000
    connections: int = 50
    downloads: int = 4
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """A case, and the servers that are put to it: the first of them is the reference."""

    case: Case
    servers: tuple[str, ...]


def small(sizes: Sizes) -> Comparison:
    """Files of 1 KiB by turns."""
    title = f"{sizes.files:,} files of 1 KiB by turns, {sizes.connections:,} connections"
    options: dict[str, str | int | float] = {
        **{"mode": "get", "folder": "small", "files": sizes.files, "size": SMALL_BYTES},
        **{"connections": sizes.connections, "seconds": sizes.seconds},
    }
    return Comparison(Case("small", title, "requests", options), FILE_SERVERS)


def large(sizes: Sizes) -> Comparison:
    """One large file, again and again."""
    title = f"a file of {show_size(sizes.large_bytes)}, {sizes.downloads:,} connections"
    options: dict[str, str | int | float] = {
        **{"mode": "get", "folder": "large", "size": sizes.large_bytes},
        **{"connections": sizes.downloads, "seconds": sizes.seconds},
    }
    return Comparison(Case("large", title, "MiB", options, sizes.large_bytes / MIB), FILE_SERVERS)


def hello(sizes: Sizes) -> Comparison:
    """An application that says the same few words."""
    title = f"an ASGI application that says hello, {sizes.connections:,} connections"
    options: dict[str, str | int | float] = {
        **{"mode": "hello", "connections": sizes.connections},
        **{"seconds": sizes.seconds},
    }
    return Comparison(Case("hello", title, "requests", options), HELLO_SERVERS)


CASES: dict[str, Callable[[Sizes], Comparison]] = {"small": small, "large": large, "hello": hello}
