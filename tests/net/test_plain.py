"""Which handlers are plain, and what becomes of one that is not what it says."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from portside.errors import HandlerError
from portside.net.plain import call_plain, is_plain


async def coroutine_function(connection: object) -> None: ...


def plain_function(connection: object) -> None: ...


class AsyncObject:
    async def __call__(self, connection: object) -> None: ...

    async def method(self, connection: object) -> None: ...

    def plain_method(self, connection: object) -> None: ...


class PlainObject:
    def __call__(self, connection: object) -> None: ...


@functools.wraps(coroutine_function)
def decorated(connection: object) -> Awaitable[None]:
    return coroutine_function(connection)


@pytest.mark.parametrize(
    "handler",
    [
        coroutine_function,
        AsyncObject(),
        AsyncObject().method,
        functools.partial(coroutine_function),
        functools.partial(functools.partial(AsyncObject())),
        decorated,
    ],
)
def test_coroutine_handlers_are_not_plain(handler: Callable[..., Any]) -> None:
    assert not is_plain(handler)


@pytest.mark.parametrize(
    "handler",
    [plain_function, PlainObject(), AsyncObject().plain_method, functools.partial(plain_function), PlainObject, print],
)
def test_plain_handlers_are_plain(handler: Callable[..., Any]) -> None:
    assert is_plain(handler)


def test_a_plain_handler_that_returns_an_awaitable_is_told_so() -> None:
    def handler(connection: object) -> Awaitable[None]:
        return coroutine_function(connection)

    with pytest.raises(HandlerError, match="async def"):
        call_plain(handler, None)


def test_a_plain_handlers_result_is_nobodys_business() -> None:
    call_plain(lambda connection: 42, None)
