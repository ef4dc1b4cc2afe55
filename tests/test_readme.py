"""README.md: what it tells a stranger to type is there, and does what it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from portside.cli.commands import COMMANDS
from portside.protocols import catalogue
from portside.serve.settings import SETTINGS
from support.server import Server, environment
from support.waiting import WITHIN_S

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
CONSOLE = [text for language, text in BLOCKS if not language and text.startswith("$ ")]


def test_every_command_named_exists() -> None:
    named = set(re.findall(r"[`/ ]portside ([a-z]+)\b", re.sub(r"^from .*", "", PAGE, flags=re.MULTILINE)))
    assert named <= set(COMMANDS)
    usage = subprocess.run(["sh", ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
    for command in re.findall(r"\./dev ([a-z]+)", PAGE):
        assert f"./dev {command} " in usage


def test_every_option_named_exists() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    of_batteries = {option.option for name in catalogue.names() for option in catalogue.describe(name).options}
    assert named <= {setting.option for setting in SETTINGS} | of_batteries


def test_every_battery_is_named() -> None:
    assert [name for name in catalogue.names() if f"`{name}`" not in PAGE] == []


def test_files_and_folders_named_exist() -> None:
    named = re.findall(r"`((?:examples|docs|tests|benchmarks)/[\w./]*)`", PAGE)
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("text", CONSOLE)
def test_what_the_page_shows_is_what_happens(text: str, serve: Callable[..., Server], tmp_path: Path) -> None:
    for _, code in BLOCKS:
        if name := re.match(r"# (\w+\.py)\n", code):
            (tmp_path / name[1]).write_text(code, encoding="utf-8")
    (tmp_path / "portside").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m portside "$@"\n', encoding="utf-8")
    (tmp_path / "portside").chmod(0o755)

    start, *commands = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    command, _, shown = start.partition("\n")
    (port,) = re.findall(r"127\.0\.0\.1:(\d+)", command)
    # The page's port is for people; the server gets a free one, and the commands are told of it.
    server = serve(*command.replace(f":{port}", ":0").split()[1:], cwd=tmp_path)
    assert shown in {"", server.lines[0].replace(str(server.port), port) + "\n"}
    for block in commands:
        command, _, shown = block.partition("\n")
        done = subprocess.run(
            ["sh", "-c", command.replace(f":{port}", f":{server.port}")],
            env=environment({"PATH": f"{tmp_path}:/usr/bin:/bin"}),
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        if done.returncode == 127:
            pytest.skip(done.stderr)
        assert shape(done.stdout) == shape(shown), done.stderr


def shape(printed: str) -> str:
    """Return what is the same on every machine: whether 127.0.0.1 has a name, and from which port one comes, is not."""
    return re.sub(r"^port \d+$", "port N", re.sub(r"^name .*\n", "", printed), flags=re.MULTILINE)
