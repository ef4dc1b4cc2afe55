"""Fixtures of sockets; and the asserts of the contract suite shall say what they compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from portside.net.event_network import EventNetwork
from portside.net.sockets import Socket
from support.event_peer import Network, WatchedTransports, connections_of

pytest.register_assert_rewrite("portside.testing.contract")


@pytest.fixture
def opened() -> Iterator[list[Socket]]:
    """Sockets to close when the test is over."""
    kept: list[Socket] = []
    yield kept
    for sock in kept:
        sock.close()


LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Scenario = Callable[[Any], Awaitable[Any]]


@pytest.fixture(params=[EventNetwork, WatchedTransports], ids=["lane", "transports"])
def run(request: pytest.FixtureRequest, loop_factory: LoopFactory) -> Callable[[Scenario], Any]:
    """Runs a scenario on each network of an event loop, on both loops."""
    return partial(run_on, request.param, loop_factory)


@pytest.fixture
def run_on_lane(loop_factory: LoopFactory) -> Callable[[Scenario], Any]:
    """Runs a scenario on an EventNetwork, on both loops."""
    return partial(run_on, EventNetwork, loop_factory)


def run_on(network_class: type[Network], loop_factory: LoopFactory, main: Scenario) -> Any:
    """Run the scenario; afterwards every connection is gone and nothing has failed."""

    async def scenario() -> Any:
        failures: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        async with network_class() as network:
            try:
                result = await asyncio.wait_for(main(network), 20)
            finally:
                for connection in connections_of(network):
                    connection.abort()
        assert not failures
        return result

    with asyncio.Runner(loop_factory=loop_factory, debug=False) as runner:
        return runner.run(scenario())
