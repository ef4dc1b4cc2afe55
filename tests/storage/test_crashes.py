"""What is left of uploads whose process is killed, and of those to a disk that is full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SIZE_BYTES = 512 << 10


def run(program: str, *arguments: str, before: tuple[str, ...] = ()) -> str:
    """Run a program of this directory, and return what it printed."""
    done = subprocess.run(
        [*before, sys.executable, str(Path(__file__).with_name(program)), *arguments],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("act", ["new", "replace", "append", "go on", "replace what is read-only"])
def test_a_process_killed_at_any_moment_leaves_old_or_new(tmp_path: Path, act: str) -> None:
    assert int(run("killed_uploads.py", str(tmp_path), act)) > 15


def test_a_file_larger_than_allowed_loses_nothing(tmp_path: Path) -> None:
    assert run("full_disk.py", str(tmp_path), str(SIZE_BYTES)) == "ok"


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size={SIZE_BYTES} tmpfs "$0" || exit 77; exec "$@"'
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    private = ("unshare", "--mount", "--", "sh", "-c", mount, str(tmp_path))
    if subprocess.run([*private, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a disk needs privileges that this user does not have")
    assert run("full_disk.py", str(tmp_path), str(SIZE_BYTES), before=private) == "ok"
