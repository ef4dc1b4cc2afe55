"""A handler that fails at whatever it is told, in words that a page must not take for markup."""

from __future__ import annotations

from portside import Connection


async def failing(connection: Connection) -> None:
    async for line in connection.lines():
        raise ValueError(f"<img src=x onerror=alert(1)> {line.decode()}")
