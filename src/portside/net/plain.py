"""The same connection for plain ``def`` handlers: nothing is awaited.

Over blocking sockets a connection's coroutines never suspend, so one step finishes each of them.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar

from portside.address import Address, Endpoint, InternetAddress
from portside.contracts import (
    READ_BYTES,
    Connection,
    Datagrams,
    Listener,
    Message,
    Network,
    PlainConnection,
    TlsState,
)
from portside.errors import HandlerError
from portside.events import EndReason
from portside.net.drive import drive

if TYPE_CHECKING:
    import ssl
    from concurrent.futures import Executor

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


class _ClosedAtBlockEnd(ABC):
    __slots__ = ()

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PlainStream(_ClosedAtBlockEnd):
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
    def is_truncated(self) -> bool:
        return self.stream.is_truncated

    @property
    def peer_has_ended(self) -> bool:
        return self.stream.peer_has_ended

    @property
    def keeps_time(self) -> bool:
        return self.stream.keeps_time

    @keeps_time.setter
    def keeps_time(self, keeps_time: bool) -> None:
        self.stream.keeps_time = keeps_time

    @property
    def network(self) -> PlainWorld:
        return PlainWorld(self.stream.network)

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

    def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_name: str | None = None,
        resume: PlainConnection | None = None,
    ) -> None:
        other = None if resume is None else _stream_of(resume)
        finish(self.stream.start_tls(context, server_side=server_side, server_name=server_name, resume=other))

    def stop_tls(self) -> None:
        finish(self.stream.stop_tls())

    def accompany(self, companion: PlainConnection, *, idle_s: float) -> AbstractContextManager[None]:
        return self.stream.accompany(_stream_of(companion), idle_s=idle_s)

    def close(self, *, linger: bool = True) -> None:
        finish(self.stream.close(linger=linger))

    def end(self, reason: EndReason, farewell: bytes = b"") -> None:
        self.stream.end(reason, farewell)

    def abort(self) -> None:
        self.stream.abort()


def _stream_of(connection: PlainConnection) -> Connection:
    if not isinstance(connection, PlainStream):
        raise TypeError(f"{connection!r} is no connection of Portside's")
    return connection.stream


class PlainWorld:
    """A network with plain methods. See ``contracts.PlainNetwork``."""

    __slots__ = ("_network",)

    def __init__(self, network: Network) -> None:
        self._network = network

    def connect(
        self,
        endpoint: Endpoint | str,
        *,
        timeout_s: float | None = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        local: InternetAddress | None = None,
    ) -> PlainStream:
        connecting = self._network.connect(endpoint, timeout_s=timeout_s, tls=tls, server_name=server_name, local=local)
        return PlainStream(finish(connecting))

    def listen(self, endpoint: Endpoint | str) -> PlainWaiter:
        return PlainWaiter(finish(self._network.listen(endpoint)))

    def open_datagrams(self, endpoint: Endpoint | str, *, connect: bool = False) -> PlainMail:
        return PlainMail(finish(self._network.open_datagrams(endpoint, connect=connect)))

    def resolve(self, host: str, port: int = 0) -> list[InternetAddress]:
        return finish(self._network.resolve(host, port))

    def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None:
        return finish(self._network.name_of(address, timeout_s))

    def sleep(self, seconds: float) -> None:
        finish(self._network.sleep(seconds))

    def now_s(self) -> float:
        return self._network.now_s()

    def run_blocking(self, function: Callable[..., T], *arguments: Any, pool: Executor | None = None) -> T:
        return finish(self._network.run_blocking(function, *arguments, pool=pool))


class PlainWaiter(_ClosedAtBlockEnd):
    """A listener with plain methods. See ``contracts.PlainListener``."""

    __slots__ = ("_listener",)

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    @property
    def address(self) -> Address:
        return self._listener.address

    def accept(self, timeout_s: float | None = None) -> PlainStream:
        return PlainStream(finish(self._listener.accept(timeout_s)))

    def close(self) -> None:
        finish(self._listener.close())


class PlainMail(_ClosedAtBlockEnd):
    """A datagram socket with plain methods. See ``contracts.PlainDatagrams``."""

    __slots__ = ("_datagrams",)

    def __init__(self, datagrams: Datagrams) -> None:
        self._datagrams = datagrams

    @property
    def address(self) -> Address:
        return self._datagrams.address

    def receive(self, timeout_s: float | None = None) -> Message:
        return finish(self._datagrams.receive(timeout_s))

    def send(self, data: bytes, peer: InternetAddress | None = None) -> None:
        finish(self._datagrams.send(data, peer))

    def close(self) -> None:
        finish(self._datagrams.close())


def finish(awaitable: Awaitable[T]) -> T:
    """Return the result of an awaitable of ours that never suspends."""
    return drive(_await(awaitable), handler="(plain)", model="blocking")


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _is_plain_connection(stream: PlainStream) -> PlainConnection:
    """Let mypy check that the classes here keep the contract."""
    return stream
