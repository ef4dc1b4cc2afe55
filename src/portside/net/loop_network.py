"""What the networks of an event loop share, whatever their connections are made of."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from portside.address import Endpoint, parse_endpoint
from portside.errors import UsageError
from portside.net.deadline import Deadline
from portside.net.loop_stream import LoopStream
from portside.net.work import TaskWork

if TYPE_CHECKING:
    import ssl
    from concurrent.futures import Executor

Result = TypeVar("Result")


class LoopNetwork(ABC):
    """A network under one running event loop. ``close`` it when the last connection is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = asyncio.get_running_loop() if loop is None else loop
        self._at_work: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now_s(self) -> float:
        return self.loop.time()

    async def run_blocking(
        self, function: Callable[..., Result], *arguments: Any, pool: Executor | None = None
    ) -> Result:
        return await self.loop.run_in_executor(pool, function, *arguments)

    def start(self, work: Coroutine[Any, Any, None]) -> TaskWork:
        task = self.loop.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return TaskWork(task)

    @abstractmethod
    def close(self) -> None:
        """Let go of the loop. Connections that are still open are not served any more."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def secure(
    connection: LoopStream,
    endpoint: Endpoint,
    context: ssl.SSLContext | None,
    server_name: str | None,
    deadline: Deadline,
) -> None:
    """Begin TLS as the client, if the endpoint is ``tls://`` or a context was given; a failure ends the connection."""
    if context is None and endpoint.scheme != "tls":
        return
    from portside.net.tls import client_context

    try:
        async with asyncio.timeout(deadline.left_s()):
            await connection.start_tls(
                client_context() if context is None else context,
                server_side=False,
                server_name=server_name or endpoint.host or None,
            )
    except BaseException:
        connection.abort()
        raise


def parsed(endpoint: Endpoint | str) -> Endpoint:
    return parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint


def parsed_to_listen(endpoint: Endpoint | str) -> Endpoint:
    """Return the endpoint, if it is one of streams. Raises: UsageError."""
    endpoint = parsed(endpoint)
    if endpoint.is_datagram:
        raise UsageError(f"{endpoint} has no connections to listen for: use open_datagrams")
    return endpoint
