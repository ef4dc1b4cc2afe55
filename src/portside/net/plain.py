"""The same connection for plain ``def`` handlers: nothing is awaited.

Over blocking sockets a connection's coroutines never suspend, so one step finishes each of them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar

from portside.address import Address
from portside.contracts import READ_BYTES, Connection, Network, TlsState
from portside.errors import HandlerError
from portside.net.drive import drive

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")


def is_plain(handler: Callable[..., Any]) -> bool:
    """Return whether the handler is called and not awaited: no coroutine function, nor an object that calls one.

    Seen through: ``functools.partial``, bound methods, ``functools.wraps`` around a coroutine function.
    """
    while True:
        if inspect.iscoroutinefunction(handler):
            return False
        if isinstance(handler, functools.partial):
            handler = handler.func
        elif hasattr(handler, "__wrapped__"):
            handler = handler.__wrapped__
        else:
            break
    # An object with ``async def __call__``; the call of a class or a function is the interpreter's own.
    return not inspect.iscoroutinefunction(getattr(type(handler), "__call__", None))  # noqa: B004


def call_plain(handler: Callable[..., Any], argument: object) -> None:
    """Call a plain handler. Raises: HandlerError if it gave back something to be awaited, which nobody will."""
    result = handler(argument)
    if result is None:
        return
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
        raise HandlerError(f"handler {name} is a plain function but returned an awaitable: declare it with async def")


class PlainStream:
    """A connection with plain methods, over any connection that never suspends. See ``contracts.PlainConnection``."""

    __slots__ = ("stream",)

    def __init__(self, stream: Connection) -> None:
        self.stream = stream

    @property
    def id(self) -> str:
        return self.stream.id

    @property
    def local(self) -> Address:
        return self.stream.local

    @property
    def peer(self) -> Address:
        return self.stream.peer

    @property
    def tls(self) -> TlsState | None:
        return self.stream.tls

    @property
    def started_at(self) -> datetime:
        return self.stream.started_at

    @property
    def bytes_in(self) -> int:
        return self.stream.bytes_in

    @property
    def bytes_out(self) -> int:
        return self.stream.bytes_out

    @property
    def network(self) -> Network:
        return self.stream.network

    def read(self, limit: int = READ_BYTES, timeout_s: float | None = None) -> bytes:
        return finish(self.stream.read(limit, timeout_s))

    def read_exactly(self, count: int, timeout_s: float | None = None) -> bytes:
        return finish(self.stream.read_exactly(count, timeout_s))

    def read_until(self, delimiter: bytes, limit: int | None = None, timeout_s: float | None = None) -> bytes:
        return finish(self.stream.read_until(delimiter, limit, timeout_s))

    def read_line(self, limit: int | None = None, timeout_s: float | None = None) -> bytes | None:
        return finish(self.stream.read_line(limit, timeout_s))

    def lines(self, limit: int | None = None) -> Iterator[bytes]:
        while (line := self.read_line(limit)) is not None:
            yield line

    def __iter__(self) -> Iterator[bytes]:
        pieces = self.stream.__aiter__()
        while True:
            try:
                piece = finish(pieces.__anext__())
            except StopAsyncIteration:
                return
            yield piece

    def write(self, *chunks: bytes | bytearray | memoryview) -> None:
        finish(self.stream.write(*chunks))

    def write_eof(self) -> None:
        finish(self.stream.write_eof())

    def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        return finish(self.stream.send_file(file, offset, count))

    def receive_file(self, file: BinaryIO, count: int | None = None) -> int:
        return finish(self.stream.receive_file(file, count))

    def start_tls(self, context: ssl.SSLContext, *, server_side: bool = True, server_name: str | None = None) -> None:
        finish(self.stream.start_tls(context, server_side=server_side, server_name=server_name))

    def close(self) -> None:
        finish(self.stream.close())

    def abort(self) -> None:
        self.stream.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def finish(awaitable: Awaitable[T]) -> T:
    """Return the result of an awaitable of ours that never suspends."""
    return drive(_await(awaitable), handler="(plain)", model="blocking")


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable
