"""Asking a running server from within an event loop: one connection to its control socket, many questions at once."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Final

from portside.address import Endpoint
from portside.errors import NetworkError, PortsideError
from portside.observe.dashboard.asking import Refused, Silent

if TYPE_CHECKING:
    from portside.contracts import Connection

ANSWER_S: Final = 5.0  # workers get two seconds of it; the rest is for a busy machine
ANSWER_BYTES_MAX: Final = 64 * 1_048_576
AT_ONCE: Final = 32  # half of what the control socket takes from one client


class Desk:
    """Connects when something is asked, and anew when the server went away. Use it inside one loop."""

    def __init__(self, path: str) -> None:
        self._endpoint = Endpoint("unix", path=path)
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def ask(self, request: dict[str, Any]) -> Any:
        """Return what the answer's ``ok`` holds. Raises: Refused with the server's sentence; Silent."""
        async with self._places:
            number = next(self._numbers)
            answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._waiting[number] = answer
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._send({**request, "id": number})
                    found = await answer
            except TimeoutError as error:
                raise Silent("the server does not answer") from error
            except NetworkError as error:
                raise Silent(f"the server cannot be reached: {error}") from error
            except PortsideError as error:
                raise Silent(f"the server went away: {error}") from error
            finally:
                self._waiting.pop(number, None)
        if "error" in found:
            raise Refused(found["error"])
        return found["ok"]

    async def _send(self, request: dict[str, Any]) -> None:
        import msgspec

        connection = await self._open()
        async with self._turn:
            await connection.write(msgspec.json.encode(request) + b"\n")

    async def _open(self) -> Connection:
        from portside.net.event_network import EventNetwork

        async with self._opening:
            if self._connection is None:
                self._connection = await EventNetwork().connect(self._endpoint, timeout_s=ANSWER_S)
                self._reader = asyncio.get_running_loop().create_task(self._read(self._connection))
            return self._connection

    async def _read(self, connection: Connection) -> None:
        """Hand each answer to whoever asked; when the server is gone, tell all of them."""
        import msgspec

        error: PortsideError = NetworkError("it closed the connection")
        try:
            while (line := await connection.read_line(ANSWER_BYTES_MAX)) is not None:
                answer = msgspec.json.decode(line)
                future = self._waiting.get(answer.get("id"))
                if future is not None and not future.done():
                    future.set_result(answer)
        except PortsideError as raised:
            error = raised
        finally:
            self._connection = None
            connection.abort()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(error)
