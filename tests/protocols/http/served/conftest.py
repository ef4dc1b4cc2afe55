"""Real servers with the applications of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.server import Server
from support.waiting import WITHIN_S

APPLICATIONS = Path(__file__).parent / "applications"
WITHOUT_UVLOOP = Path(__file__).parents[3] / "support" / "without_uvloop"

Asgi = Callable[..., Server]


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    """Which loop the server runs on."""
    return str(request.param)


@pytest.fixture
def asgi(serve: Callable[..., Server]) -> Asgi:
    """Serve an application on a free port: ``asgi("plain:app", loop="asyncio")``."""

    def start(
        application: str, *arguments: str, loop: str = "uvloop", listen: str = "tcp://127.0.0.1:0", **options: Any
    ) -> Server:
        if loop == "asyncio":
            options["env"] = {"PYTHONPATH": str(WITHOUT_UVLOOP), **options.get("env", {})}
        options.setdefault("cwd", APPLICATIONS)
        return serve("serve", "asgi", application, "--listen", listen, *arguments, **options)

    return start


@pytest.fixture
def client() -> Iterator[Callable[[Server], httpx.Client]]:
    """Give clients that keep their connections, and believe in no proxy of the environment."""
    made: list[httpx.Client] = []

    def make(server: Server, **options: Any) -> httpx.Client:
        scheme = "https" if server.at().endpoint.scheme == "tls" else "http"
        url = f"{scheme}://127.0.0.1:{server.port}"
        made.append(httpx.Client(base_url=url, timeout=WITHIN_S, trust_env=False, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
