"""Makes a release's part of CHANGELOG.md from the files beside this one: ``python changes/gather.py 0.2.0``."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
KINDS: Final = ("added", "changed", "fixed", "removed")
TITLE: Final = "# Changelog\n"


def fragments(directory: Path) -> list[tuple[int, str, Path]]:
    """Return number, kind and file of every change, in the order of kinds and numbers.

    Raises: ValueError for a file whose name does not say them.
    """
    found = []
    for path in directory.glob("*.md"):
        if path.name == "README.md":
            continue
        number, kind, _ = path.name.split(".")
        if kind not in KINDS or not number.isdigit():
            raise ValueError(f"{path.name}: the name of a change is NUMBER.KIND.md, the kind one of {', '.join(KINDS)}")
        found.append((int(number), kind, path))
    return sorted(found, key=lambda change: (KINDS.index(change[1]), change[0]))


def section(version: str, day: datetime.date, changes: list[tuple[int, str, Path]]) -> str:
    """Return what CHANGELOG.md says of one version."""
    lines = [f"\n## {version} ({day.isoformat()})\n"]
    for kind in KINDS:
        texts = [path.read_text(encoding="utf-8").strip() for _, other, path in changes if other == kind]
        if texts:
            lines.append(f"\n### {kind.capitalize()}\n\n" + "\n".join(texts) + "\n")
    return "".join(lines)


def main(arguments: list[str]) -> int:
    """Gather the changes; return the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python changes/gather.py VERSION\n")
        return 2
    changes = fragments(HERE)
    changelog = HERE.parent / "CHANGELOG.md"
    earlier = changelog.read_text(encoding="utf-8").removeprefix(TITLE) if changelog.exists() else ""
    today = datetime.datetime.now(datetime.UTC).date()
    changelog.write_text(TITLE + section(arguments[0], today, changes) + earlier, encoding="utf-8")
    for _, _, path in changes:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
