"""Programs of other people that talk to our servers; a test whose peer is not installed is skipped by its name."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

from support.waiting import WITHIN_S

# haproxy is in sbin, which is on few people's PATH.
_PATH = os.pathsep.join(filter(None, [os.environ.get("PATH"), "/usr/local/sbin", "/usr/sbin", "/sbin"]))


def program(name: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(name: str, *arguments: str | int, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a peer to its end and return what it said; ``input`` is what it says to us, nothing unless given."""
    if "stdin" not in options:
        options.setdefault("input", b"")
    return subprocess.run(
        [program(name), *map(str, arguments)], capture_output=True, timeout=WITHIN_S, check=False, **options
    )
