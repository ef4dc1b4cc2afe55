"""Handlers of either kind, a coroutine or a plain function, as one that is awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from portside.contracts import DatagramHandler, StreamHandler
from portside.net.datagrams import UdpMessage
from portside.net.plain import PlainStream, call_plain, is_plain
from portside.net.stream import Stream


def awaitable(handler: StreamHandler | None) -> Callable[[Stream], Coroutine[Any, Any, None]]:
    """Return the stream handler as one that is awaited; a plain one runs to its end at the first step."""
    if handler is None:
        return _no_streams
    if not is_plain(handler):
        return cast("Callable[[Stream], Coroutine[Any, Any, None]]", handler)

    async def plain(connection: Stream) -> None:
        call_plain(handler, PlainStream(connection))

    return plain


async def raising(error: Exception) -> None:
    raise error


async def awaiting(awaitable: Awaitable[None]) -> None:
    await awaitable


async def _no_streams(connection: Stream) -> None:
    """The battery has no handler for streams; the configuration does not let it come to this."""


def awaitable_message(handler: DatagramHandler | None) -> Callable[[UdpMessage], Coroutine[Any, Any, None]]:
    if handler is not None and not is_plain(handler):
        return cast("Callable[[UdpMessage], Coroutine[Any, Any, None]]", handler)

    async def plain(message: UdpMessage) -> None:
        if handler is not None:
            call_plain(handler, message)

    return plain
