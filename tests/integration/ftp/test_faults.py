"""Kills in mid-upload: nothing torn, nothing acknowledged lost.

``PORTSIDE_FTP_FAULTS=200 ./dev test tests/integration/ftp/test_faults.py -s -o faulthandler_timeout=0`` lets as many
happen, and tells the outcomes. That takes minutes, longer than a test may.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support.certificates import Certificates
from support.ftp import LOGIN
from support.ftp_faults import FaultRun
from support.server import Server

FAULTS = int(os.environ.get("PORTSIDE_FTP_FAULTS", "20"))

Start = Callable[..., Server]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "root" / "home"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def start(serve: Callable[..., Server], home: Path) -> Start:
    """Starts a server on the same directory, again and again."""
    return partial(serve, "serve", "ftp", str(home.parent), "--listen", "tcp://127.0.0.1:0", *LOGIN)


@pytest.mark.parametrize(("model", "share"), [("event", 1.0), ("fork", 0.3), ("thread", 0.3)])
def test_nothing_is_torn_and_nothing_acknowledged_is_lost(start: Start, home: Path, model: str, share: float) -> None:
    faults = FaultRun(partial(start, "--model", model), home, seed=959)
    faults.run(round(FAULTS * share))
    print(model, faults.outcomes)


@pytest.mark.parametrize("model", ["event", "thread"])
def test_nothing_is_torn_over_tls(
    start: Start, home: Path, model: str, tls_options: tuple[str, ...], certificates: Certificates
) -> None:
    verified = ("--ssl-reqd", "--cacert", str(certificates.ca))
    begin = partial(start, "--model", model, *tls_options)
    faults = FaultRun(begin, home, seed=4217, victims=("client",), curl=verified)
    faults.run(FAULTS // 2)
    print(model, "over TLS", faults.outcomes)
