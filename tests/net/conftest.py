"""Fixtures of sockets; and the asserts of the contract suite shall say what they compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from portside.net.event_network import EventNetwork
from portside.net.sockets import Socket

pytest.register_assert_rewrite("portside.testing.contract")


@pytest.fixture
def opened() -> Iterator[list[Socket]]:
    """Sockets to close when the test is over."""
    kept: list[Socket] = []
    yield kept
    for sock in kept:
        sock.close()


@pytest.fixture
def run(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> Callable[[Callable[[EventNetwork], Awaitable[Any]]], Any]:
    """Runs a scenario on an EventNetwork, on both loops; afterwards every connection is gone and nothing has failed."""

    def run(main: Callable[[EventNetwork], Awaitable[Any]]) -> Any:
        async def scenario() -> Any:
            failures: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
            async with EventNetwork() as network:
                try:
                    result = await asyncio.wait_for(main(network), 20)
                finally:
                    for connection in list(network.lane._connections.values()):
                        connection.abort()
            assert not failures
            return result

        with asyncio.Runner(loop_factory=loop_factory, debug=False) as runner:
            return runner.run(scenario())

    return run
