"""What the system says of a file, as an entry."""

from __future__ import annotations

import os
import stat
from typing import Final

from portside.storage.contract import Entry, Kind
from portside.storage.owners import GROUPS, USERS

_FORMAT_BITS: Final = 0o170000  # S_IFMT, inode(7)
_KINDS: Final[dict[int, Kind]] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


def build_entry(name: str, facts: os.stat_result) -> Entry:
    """Return the entry. May wait for whoever knows the names of users, once for each."""
    mode = facts.st_mode
    return Entry(
        name,
        _KINDS.get(mode & _FORMAT_BITS, "other"),
        facts.st_size,
        facts.st_mtime_ns,
        mode & 0o7777,
        facts.st_nlink,
        USERS.name(facts.st_uid),
        GROUPS.name(facts.st_gid),
        f"{facts.st_dev:x}.{facts.st_ino:x}",
    )


def build_entry_nowait(name: str, facts: os.stat_result) -> Entry | None:
    """The same without waiting; None while nobody has asked for the names of its owners."""
    if USERS.known(facts.st_uid) is None or GROUPS.known(facts.st_gid) is None:
        return None
    return build_entry(name, facts)
