"""docs/transfer.md and docs/reference.md: every option and key is there, and what the examples show is what happens."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from portside.cli.commands import load_command
from portside.cli.main import main
from portside.protocols.ftp.client import FtpClient
from support.ftp import Site
from support.server import Server, environment
from support.waiting import WITHIN_S

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "transfer.md").read_text(encoding="utf-8")
COMMANDS = ("get", "put", "list", "mirror")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    options = [option for parameter in load_command(name).params for option in parameter.opts]
    assert [option for option in options if option.startswith("-") and f"`{option}" not in PAGE] == []


def test_no_option_is_explained_that_is_none() -> None:
    known = {option for name in COMMANDS for parameter in load_command(name).params for option in parameter.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) <= known | {"--login", "--listen"}


def test_help_says_what_each_option_is_for() -> None:
    for name in COMMANDS:
        for parameter in load_command(name).params:
            assert not isinstance(parameter, click.Option) or parameter.help


def blocks_of(language: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in blocks if name == language]


@pytest.mark.parametrize("block", blocks_of(""), ids=str.split)
def test_what_the_examples_show_is_what_happens(block: str, serve: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "portside").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m portside "$@"\n')
    (tmp_path / "bin" / "portside").chmod(0o755)
    (tmp_path / "served").mkdir()
    variables = environment({"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)})
    (start, _), *commands = [
        (line, shown) for line, shown in re.findall(r"^\$ (.*)\n((?:[^$\n].*\n)*)", block, flags=re.MULTILINE)
    ]
    assert start.startswith("portside serve ftp ")
    words = shlex.split(start.replace(":2121", ":0"))
    server = serve(*words[1:-1], cwd=tmp_path / "served")
    for command, shown in commands:
        done = subprocess.run(
            ["sh", "-c", command.replace(":2121", f":{server.port}")],
            env=variables,
            cwd=tmp_path / "served",
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert (done.stdout, done.stderr) == (shown, ""), command


def test_the_library_s_example_does_what_it_says(site: Site, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put("old", b"1")
    os.utime(site.home / "old", (0, 0))
    site.put("new", b"22")
    (source,) = blocks_of("python")
    names: dict[str, Any] = {}
    exec(source.replace("ftpes://files.example/", site.url().rpartition("/home-")[0] + "/"), names)
    assert asyncio.run(names["newest"](site.home.name)) == "new"
    assert (here / "new").read_bytes() == b"22"
    assert asyncio.run(names["newest"]("none")) is None


def test_every_act_of_the_library_is_named() -> None:
    acts = {name for name in vars(FtpClient) if not name.startswith("_")} - {"connect", "connection", "url"}
    assert {act for act in acts if f"`{act}`" not in PAGE} == set()


def test_the_keys_are_the_documented_ones(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`get`, `put`|`list`|`mirror`) \| [^|]+ \| (.*) \|$", reference, flags=re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", keys) for name, keys in rows}
    site.put("x")
    for name, arguments in {
        "`get`, `put`": ["get", site.url("x")],
        "`list`": ["list", site.url()],
        "`mirror`": ["mirror", site.url(), "m"],
    }.items():
        assert main([*arguments, "--json"]) == 0
        printed = capfd.readouterr().out
        values = json.loads(printed) if name == "`list`" else [json.loads(line) for line in printed.splitlines()]
        assert {tuple(value) for value in values} == {tuple(documented[name])}
