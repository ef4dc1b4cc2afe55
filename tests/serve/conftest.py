"""Real servers with the handlers of this room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.server import Server

HANDLERS = Path(__file__).parent / "handlers"
MODELS = ("iterative", "fork", "prefork", "thread", "prethread", "event")

Run = Callable[..., Server]


@pytest.fixture
def run(serve: Callable[..., Server]) -> Run:
    """Serve a handler of handlers/courteous.py on a free port: ``run("battery", model="fork")``."""

    def start(
        handler: str,
        *arguments: str,
        model: str = "event",
        listen: Sequence[str] = ("tcp://127.0.0.1:0",),
        **options: Any,
    ) -> Server:
        listening = [word for url in listen for word in ("--listen", url)]
        options.setdefault("listening", len(listen))
        options.setdefault("cwd", HANDLERS)
        return serve("run", f"courteous:{handler}", *listening, "--model", model, *arguments, **options)

    return start


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """Each model in turn."""
    return str(request.param)
