"""Fixtures that all rooms use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support.certificates import Certificates
from support.namespaces import Namespace, end, make_namespace
from support.server import Server

# A busy machine is no reason to fail: examples have no deadline, and are the same in every run.
settings.register_profile("portside", deadline=None, derandomize=True)
settings.load_profile("portside")


@dataclass(slots=True)
class Serve:
    """Starts real servers: ``serve("serve", "echo", "--listen", "tcp://127.0.0.1:0")``.

    Each server that still runs when the test ends is told to stop, and must then end with status 0, leave no process
    behind and have logged no traceback. ``listening`` is how many ready lines to wait for, 0 for a server that does
    not come up; ``tracebacks`` allows those of a handler that is meant to fail; other options go to Popen, ``prefix``
    before the command.
    """

    started: list[tuple[Server, bool]] = field(default_factory=list)

    def __call__(self, *arguments: str, listening: int = 1, tracebacks: bool = False, **options: Any) -> Server:
        server = Server(arguments, **options)
        self.started.append((server, tracebacks))
        if listening:
            server.wait_until_ready(listening)
        return server

    def check(self) -> None:
        for server, tracebacks in self.started:
            if server.process.poll() is None:
                assert server.stop() == 0, server.said
            server.wait()
            server.assert_nothing_left()
            assert tracebacks or "Traceback" not in server.said, server.said

    def destroy(self) -> None:
        for server, _ in self.started:
            server.destroy()


@pytest.fixture
def serve() -> Iterator[Serve]:
    serving = Serve()
    try:
        yield serving
        serving.check()
    finally:
        serving.destroy()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes event loops: a test that takes it runs once on asyncio's and once on uvloop's."""
    if request.param == "asyncio":
        return asyncio.new_event_loop
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of the tests' own; ``issue`` makes certificates."""
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network namespace with a loopback interface of its own."""
    made = make_namespace()
    yield made
    end(made.keeper)
