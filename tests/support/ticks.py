"""The clock of a file system, which stands still between its ticks."""

from __future__ import annotations

from pathlib import Path

from support.waiting import wait_until


def wait_for_tick(path: Path) -> None:
    """Return when whatever is changed now gets another time than the file at the path has."""
    probe = path.parent / ".tick"

    def is_later() -> bool:
        probe.write_bytes(b"x")
        return probe.stat().st_ctime_ns > path.stat().st_ctime_ns

    try:
        wait_until(is_later, "another tick of the file system's clock")
    finally:
        probe.unlink(missing_ok=True)
