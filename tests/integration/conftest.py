"""Real servers, asked by programs of other people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.server import Server

HERE = Path(__file__).parent
HANDLERS = HERE / "handlers"
WITHOUT_UVLOOP = HERE.parent / "support" / "without_uvloop"

# The event model runs on uvloop where that is installed; it must do on asyncio's own loop too.
MODELS = ("iterative", "fork", "prefork", "thread", "prethread", "event", "event on asyncio")

ANY_PORT = "tcp://127.0.0.1:0"

Run = Callable[..., Server]


@pytest.fixture
def run(serve: Callable[..., Server]) -> Run:
    """Serve a handler of handlers/visiting.py on a free port: ``run("shout", "--workers", "2", model="event")``."""

    def start(
        handler: str, *arguments: str, model: str = "event", listen: Sequence[str] = (ANY_PORT,), **options: Any
    ) -> Server:
        name, _, loop = model.partition(" on ")
        listening = [word for url in listen for word in ("--listen", url)]
        options.setdefault("listening", len(listen))
        if loop == "asyncio":
            options["env"] = {"PYTHONPATH": str(WITHOUT_UVLOOP), **options.get("env", {})}
        handler = handler if ":" in handler else f"visiting:{handler}"
        return serve("run", handler, *listening, "--model", name, *arguments, cwd=HANDLERS, **options)

    return start


@pytest.fixture
def battery(serve: Callable[..., Server]) -> Run:
    """Serve a battery on free ports: ``battery("echo", listen=["udp://127.0.0.1:0"])``."""

    def start(name: str, *arguments: str, listen: Sequence[str] = (ANY_PORT,), **options: Any) -> Server:
        listening = [word for url in listen for word in ("--listen", url)]
        options.setdefault("listening", len(listen))
        return serve("serve", name, *listening, *arguments, **options)

    return start


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """Each model in turn, the event model on both loops."""
    return str(request.param)
