"""The workshop: `./dev` as a stranger uses it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.server import Server
from support.waiting import WITHIN_S

ROOT = Path(__file__).parents[1]


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["./dev", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_an_unknown_command_is_answered_with_those_there_are() -> None:
    done = dev("tset")
    assert done.returncode == 2
    assert "unknown command tset" in done.stderr
    assert "./dev test" in done.stderr


def test_help_needs_nothing() -> None:
    assert dev().stdout == dev("help").stdout
    assert "./dev run" in dev().stdout


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "busybox"])
def test_every_shell_reads_it(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    words = [shell, "sh"] if shell == "busybox" else [shell]
    for script in ("dev", ".ci/run"):
        subprocess.run([*words, "-n", script], cwd=ROOT, check=True)


def test_scripts_may_be_run() -> None:
    assert all((ROOT / name).stat().st_mode & 0o111 for name in ("dev", ".ci/run"))


# What a line to try prints, by service and scheme; the rest of the demo is anybody's guess.
SHOWN = {
    ("shout:shout", "tcp"): r"HELLO\n",
    ("guess:guess", "tcp"): r"I think of a number .*\n",
    ("dice:roll", "udp"): r"\d.*\n",
    ("echo", "tcp"): r"hello\n",
    ("echo", "udp"): r"hello\n?",
    ("daytime", "tcp"): r".* \d{4} .*\r?\n",
    ("daytime", "udp"): r".* \d{4} .*\r?\n",
    ("chargen", "tcp"): r"(.{72}\r?\n){3}",
    ("ftp", "tcp"): r"(?s)MODE .* README\.md\n.*",
    ("whoami", "tcp"): r"(?s).*address 127\.0\.0\.1\n.*",
    ("directory", "tcp"): r"(?s)echo,\d+,tcp\n.*",
}


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="these tests do not run from .venv")
def test_run_serves_the_demo_with_a_line_to_try_for_each(serve: Callable[..., Server]) -> None:
    server = serve("run", command=("./dev",), cwd=ROOT, listening=len(SHOWN))
    server.wait_for(lambda: sum("try: " in line for line in server.lines) == len(SHOWN), "lines to try")
    lines = [line for line in server.lines if line.startswith(("listening on ", "  try: "))]
    tried = {}
    for ready, line in zip(server.ready, lines[1::2], strict=True):
        done = subprocess.run(
            ["sh", "-c", line.removeprefix("  try: ")],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        tried[ready.what, ready.endpoint.scheme] = done
    assert set(tried) == set(SHOWN)
    wrong = {key: done for key, done in tried.items() if not re.fullmatch(SHOWN[key], done.stdout)}
    assert wrong == {}
