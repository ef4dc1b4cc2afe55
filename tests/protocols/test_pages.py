"""Pages of docs/: every battery and option is there, and what their examples show is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from portside.protocols import catalogue
from support.server import environment
from support.waiting import WITHIN_S

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "batteries.md").read_text(encoding="utf-8")


def sections_of(page: str) -> dict[str, str]:
    return {part.partition("\n")[0]: part for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]}


SECTIONS = sections_of(PAGE)
CONNECT = sections_of((DOCS / "connect.md").read_text(encoding="utf-8"))
EXAMPLES = SECTIONS | {name: section for name, section in CONNECT.items() if "\n$ " in section}


def transcript(section: str) -> list[tuple[str, str]]:
    """Return the section's commands, each with the output that the page shows below it."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"^```\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line[2:].strip(), ""))
            elif found:
                found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def has_its_own_page(name: str) -> bool:
    """Tell whether a battery has more to say than a section holds; ``test_reference`` looks after its options then."""
    return (DOCS / f"{name}.md").exists()


def test_every_battery_has_its_section_or_a_page_of_its_own() -> None:
    assert list(SECTIONS) == [name for name in catalogue.names() if not has_its_own_page(name)]


@pytest.mark.parametrize("name", catalogue.names())
def test_the_page_knows_what_the_catalogue_knows(name: str) -> None:
    spec = catalogue.describe(name)
    over = "TCP, UDP" if spec.datagram else "TCP"
    where = re.escape(f"{name}.md" if has_its_own_page(name) else f"#{name}")
    assert re.search(rf"^\| \[{name}\]\({where}\) \| {spec.port} \| {over} \| [^|]+ \|$", PAGE, flags=re.MULTILINE)
    for option in () if has_its_own_page(name) else spec.options:
        shown = {True: "on", False: "off"}.get(option.default, f"`{option.default}`")  # type: ignore[call-overload]
        assert re.search(rf"^\| `{option.name}` \| {re.escape(shown)} \| ", SECTIONS[name], flags=re.MULTILINE)


def shape(printed: str) -> str:
    """Return what is the same every day and on every machine."""
    printed = re.sub(r"\w+day, \w+ ", "DAY ", printed)
    printed = re.sub(r"ee( \w\w){3}(.*)\|.{4}\|", r"SECONDS\2", printed)
    printed = re.sub(r"^name .*\n", "", printed)  # whether 127.0.0.1 has a name is the machine's business
    return re.sub(r"\d+", "N", printed)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_examples_show_is_what_happens(name: str, serve: Any, tmp_path: Path) -> None:
    (tmp_path / "portside").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m portside "$@"\n', encoding="utf-8")
    (tmp_path / "portside").chmod(0o755)
    variables = environment({"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    (start, nothing), *commands = transcript(EXAMPLES[name])
    assert start.startswith(f"portside serve {name if name in SECTIONS else 'echo'} ")
    assert start.endswith(" &")
    assert not nothing
    assert commands
    # The page's ports are for people; the server gets free ones, and the commands are told of them.
    asked = re.findall(r"\w+://127\.0\.0\.1:\d+", start)
    server = serve(*re.sub(r"(127\.0\.0\.1):\d+", r"\1:0", start).split()[1:-1], listening=len(asked))
    ports = {url: ready.port for url, ready in zip(asked, server.ready, strict=True)}
    for command, shown in commands:
        said = command
        for url, port in ports.items():
            said = said.replace(url, url.rpartition(":")[0] + f":{port}")
        if said == command:  # by address alone, or in a URL of another kind
            for url, port in ports.items():
                address = url.partition("://")[2]
                said = said.replace(address, address.rpartition(":")[0] + f":{port}")
        done = subprocess.run(
            ["sh", "-c", said], env=variables, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
        if done.returncode == 127:
            pytest.skip(done.stderr)
        assert not done.stderr
        assert shape(done.stdout) == shape(shown), said
