"""The handlers that the benchmarks serve, written as a user would write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portside import Connection


async def echo(visitor: Connection) -> None:
    """Send back what comes until the visitor has ended its side."""
    async for data in visitor:
        await visitor.write(data)
