"""House rules: what a reader can rely on in every file, and what documents may claim."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import portside
from support.server import environment
from support.server import portside as run_portside

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "portside"
SKIPPED = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}

LINES_MAX = 400
LONGER = {  # with the reason why it is one thing
    "src/portside/contracts.py": "the common language of the rooms: each of its parts speaks of the others",
    "src/portside/net/sockets.py": "the only module that may import socket: everything the kernel is asked for",
    "src/portside/serve/ledger.py": "the layout of one piece of shared memory, and every way it is read and written",
    "src/portside/serve/supervisor.py": "one life: start, reload, crash and stop decide about the same few facts",
    "src/portside/serve/worker.py": "one process: what it is given, hears, watches, and how it leaves",
    "src/portside/cli/rig/python_load.py": "a load in one process: what it sends, counts and tells share each step",
    "benchmarks/c/load.c": "a program of one file, compiled where it is used",
}

# Traces of the machine somebody worked on, or of where packages come from: said so that this file does not hold them.
TRACES = [
    re.compile(pattern)
    for pattern in (
        r"/(work|home|root|Users|opt)/" + r"\w",
        r"/tmp/" + r"w\b",
        "py" + r"pi\.org|python" + r"hosted\.org|npm" + r"js\.|crates" + r"\.io",
    )
]


def tracked() -> list[Path]:
    """Return the files that belong to the repository; without git, all that are not made by tools."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and not SKIPPED & set(path.relative_to(ROOT).parts)]


def text_of(path: Path) -> str:
    """Return the text of a file, empty for one that is none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_no_file_is_longer_than_one_can_keep_in_mind() -> None:
    long = {
        path.relative_to(ROOT).as_posix()
        for path in tracked()
        if path.suffix in {".py", ".c", ".go"} and text_of(path).count("\n") > LINES_MAX
    }
    assert long - set(LONGER) == set(), "split it, or say why it is one thing"
    assert set(LONGER) - long == set(), "no exception any more"


def test_files_hold_no_trace_of_a_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in tracked()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        for trace in TRACES
        if (match := trace.search(line))
    ]
    assert found == []


def test_architecture_page_names_every_package() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}/`" not in page} == set()


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in tracked()
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)", text_of(page))
        if not target.startswith(("http:", "https:")) and not (page.parent / target).exists()
    ]
    assert broken == []


# ── changes/ ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def load_gather() -> object:
    spec = importlib.util.spec_from_file_location("gather", ROOT / "changes" / "gather.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fragments_are_named_number_kind_md_and_written_as_points() -> None:
    found = load_gather().fragments(ROOT / "changes")  # type: ignore[attr-defined]
    others = [
        path.name for path in (ROOT / "changes").iterdir() if path.suffix not in {".md", ".py"} and path.is_file()
    ]
    assert others == []
    for _, _, path in found:
        assert all(line.startswith(("- ", "  ")) for line in text_of(path).splitlines()), path.name


def test_a_release_gathers_the_fragments(tmp_path: Path) -> None:
    (tmp_path / "changes").mkdir()
    script = tmp_path / "changes" / "gather.py"
    script.write_bytes((ROOT / "changes" / "gather.py").read_bytes())
    (tmp_path / "changes" / "12.fixed.md").write_text("- It works.\n")
    (tmp_path / "changes" / "7.added.md").write_text("- A new thing.\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 0.0.1 (2020-01-01)\n\n### Added\n\n- The first.\n")
    subprocess.run([sys.executable, str(script), "0.1.0"], check=True)
    text = (tmp_path / "CHANGELOG.md").read_text()
    parts = ["# Changelog", "## 0.1.0 (", "### Added", "- A new thing.", "### Fixed", "- It works.", "## 0.0.1"]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert list((tmp_path / "changes").glob("*.md")) == []


# ── start-up ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def imported_by(*arguments: str) -> set[str]:
    """Return the top-level modules that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "portside", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_the_version_is_told_without_importing_what_takes_long() -> None:
    slow = {"asyncio", "ssl", "msgspec", "uvloop", "click", "socket", "logging.config", "tomllib", "rich"}
    assert imported_by("--version") & slow == set()


def test_help_is_shown_without_importing_what_takes_long() -> None:
    assert imported_by("--help") & {"asyncio", "ssl", "msgspec", "uvloop", "tomllib", "rich", "psutil"} == set()


def test_the_version_is_the_package_s() -> None:
    assert run_portside("--version").stdout == f"portside {portside.__version__}\n"


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_public_name_exists_and_says_what_it_is() -> None:
    silent = [name for name in portside.__all__ if not getattr(portside, name).__doc__]
    assert silent == []


@pytest.mark.skipif(not (ROOT / "docs" / "reference.md").exists(), reason="docs/reference.md is not written yet")
def test_public_names_are_the_documented_ones() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert [name for name in portside.__all__ if f"`{name}`" not in page and f"`{name}(" not in page] == []
