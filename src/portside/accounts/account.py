"""An account: who it is, what it may do, and how much of everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

Permission: TypeAlias = Literal["list", "read", "write", "append", "delete", "rename", "mkdir", "chmod"]
"""``write`` makes files and replaces them, ``append`` adds to those there are, ``mkdir`` is for removing too."""

PERMISSIONS: Final[frozenset[Permission]] = frozenset(get_args(Permission))
READ_ONLY: Final[frozenset[Permission]] = frozenset({"list", "read"})


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in. ``root`` is a path below the service's root; None means no limit."""

    name: str
    root: str = "/"
    permissions: frozenset[Permission] = PERMISSIONS
    quota_bytes: int | None = None
    bytes_in_per_s: float | None = None
    bytes_out_per_s: float | None = None
    sessions_max: int | None = None

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


ANONYMOUS: Final = Account("anonymous", permissions=READ_ONLY)
