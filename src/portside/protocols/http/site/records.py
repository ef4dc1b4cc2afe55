"""Telling what was done to files, for the log and whoever else listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside import events
from portside.protocols.http.site.login import connection_id, peer_of

if TYPE_CHECKING:
    from portside.protocols.http.site.exchange import Exchange


def tell(
    exchange: Exchange, act: events.FileAct, path: str, *, size_bytes: int | None = None, failed: str | None = None
) -> None:
    """Tell of an act on the path, as the account sees it."""
    if not events.listening(events.FileActed):
        return
    root = exchange.account.root.strip("/")
    events.emit(
        events.FileActed(
            exchange.service,
            connection_id.get(),
            peer_of(exchange.scope),
            exchange.account.name,
            act,
            f"/{root}{path}" if root else path,
            size_bytes=size_bytes,
            failed=failed,
        )
    )
