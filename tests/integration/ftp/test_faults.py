"""Kills in mid-upload: nothing torn, nothing acknowledged lost.

``PORTSIDE_FTP_FAULTS=200 ./dev test tests/integration/ftp/test_faults.py -s`` lets as many happen, and tells the
outcomes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.ftp import LOGIN
from support.ftp_faults import FaultRun
from support.server import Server

FAULTS = int(os.environ.get("PORTSIDE_FTP_FAULTS", "20"))


@pytest.mark.parametrize(("model", "share"), [("event", 1.0), ("fork", 0.3), ("thread", 0.3)])
def test_nothing_is_torn_and_nothing_acknowledged_is_lost(
    serve: Callable[..., Server], tmp_path: Path, model: str, share: float
) -> None:
    home = tmp_path / "root" / "home"
    home.mkdir(parents=True)

    def start() -> Server:
        return serve("serve", "ftp", str(home.parent), "--listen", "tcp://127.0.0.1:0", "--model", model, *LOGIN)

    faults = FaultRun(start, home, seed=959)
    faults.run(round(FAULTS * share))
    print(model, faults.outcomes)
