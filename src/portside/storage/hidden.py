"""The names of uploads on their way: beside their targets, seen by nobody, and found again by those who resume."""

from __future__ import annotations

import os
import re
from hashlib import blake2b
from typing import Final

_PREFIX: Final = ".portside-"
_FORM: Final = re.compile(r"\.portside-[0-9a-f]{32}\.part")
_DIGEST_BYTES: Final = 16


def hidden_name(name: str) -> str:
    """Return under which name an upload to this name waits: as long for every name, so that the longest have one."""
    return f"{_PREFIX}{blake2b(os.fsencode(name), digest_size=_DIGEST_BYTES).hexdigest()}.part"


def unique_hidden_name() -> str:
    """Return a name for an upload that nobody will look for."""
    return f"{_PREFIX}{os.urandom(_DIGEST_BYTES).hex()}.part"


def is_hidden(name: str) -> bool:
    """Say whether a name has the form, in any case: there are directories to which that is the same name."""
    return name[:10].lower() == _PREFIX and _FORM.fullmatch(name.lower()) is not None


def has_hidden(path: str) -> bool:
    """Say whether any name of the path has the form."""
    return _PREFIX in path.lower() and any(map(is_hidden, path.split("/")))
