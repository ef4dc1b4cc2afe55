"""Configuring without a command line: a finder that knows two batteries, and the mistakes that were found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import pytest

from portside.contracts import Battery
from portside.errors import UsageError
from portside.serve.config import Found
from portside.serve.mistakes import Mistakes


async def handler(visitor: object) -> None:
    """A handler that nobody calls here."""


def load(arguments: Mapping[str, object], streams: bool, datagrams: bool) -> Battery:
    return Battery(f"{dict(arguments)} {streams} {datagrams}", stream=handler)


def check(name: str, value: object) -> object:
    if value == "bad":
        raise UsageError(f"{name} is not {value!r}")
    return value


class Names:
    """Knows the batteries ``echo`` (7, both kinds) and ``web`` (80, streams only, with ``root``), and any handler."""

    def handler(self, target: str, *, factory: bool) -> Found:
        if ":" not in target:
            raise UsageError(f"{target!r} names no handler")
        return Found(target.partition(":")[2], f"{target}{'()' * factory}", load)

    def battery(self, name: str) -> Found:
        if name == "echo":
            return Found("echo", "echo", load, port=7)
        if name == "web":
            return Found("web", "web", load, port=80, datagrams=False, arguments=("root",), check=check)
        raise UsageError(f"there is no battery {name!r}")


def no_others() -> Collection[str]:
    return ()


def mistakes_of(act: Callable[[], object]) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        act()
    return [str(mistake) for mistake in caught.value.mistakes]
