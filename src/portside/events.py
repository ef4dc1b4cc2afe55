"""What happened, as small values, and the one place where they are told to whoever listens.

``emit`` costs a truth test when nobody listens; where even making the value would cost, ask ``listening()`` first.
Listeners run in the thread that emits and must neither block nor raise; one that raises is reported once and removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from portside.address import Address

EndReason: TypeAlias = Literal["done", "peer", "idle", "life", "stopped", "drained", "handler", "tls", "timeout"]
"""How a connection ended: the handler returned; the peer broke it; a limit of time; an operator or a drain ended it;
the handler failed; the handshake failed; a ``timeout_s`` of the handler's own passed and was not caught."""

Limit: TypeAlias = Literal["connections", "per_ip", "accept_rate", "datagrams", "denied", "amplification", "proxy"]


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A connection was accepted, passed the gate and now belongs to its handler."""

    service: str
    connection: str
    local: Address
    peer: Address


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A connection is over. ``reason`` says how; ``detail`` is a sentence where there is more to say."""

    service: str
    connection: str
    local: Address
    peer: Address
    bytes_in: int
    bytes_out: int
    duration_s: float
    reason: EndReason
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class HandlerFailed:
    """A handler raised what it should not: a bug of its own. ``peer`` is whom it was serving."""

    service: str
    connection: str
    peer: Address
    error: BaseException


@dataclass(frozen=True, slots=True)
class LimitHit:
    """A peer was turned away, or a datagram dropped, at one of the limits."""

    service: str
    peer: Address
    limit: Limit


@dataclass(frozen=True, slots=True)
class Spoke:
    """A message of a protocol in the battery's own words: ``USER anna`` or ``200 OK 1.2 MB``. Never a secret."""

    service: str
    connection: str
    direction: Literal["in", "out"]
    words: str
    size_bytes: int


Event: TypeAlias = ConnectionOpened | ConnectionClosed | HandlerFailed | LimitHit | Spoke
Listener: TypeAlias = Callable[[Event], None]

# A tuple, replaced whole: whoever is iterating goes on over the old one, in any thread, without a lock.
_listeners: tuple[Listener, ...] = ()


def listening() -> bool:
    """Return whether anybody would hear an event."""
    return bool(_listeners)


def subscribe(listener: Listener) -> Callable[[], None]:
    """Tell ``listener`` every event from now on. Returns the function that ends it."""
    global _listeners
    _listeners = (*_listeners, listener)

    def unsubscribe() -> None:
        global _listeners
        _listeners = tuple(other for other in _listeners if other is not listener)

    return unsubscribe


def emit(event: Event) -> None:
    """Tell the event to every listener."""
    for listener in _listeners:
        try:
            listener(event)
        except Exception:
            logging.getLogger("portside").exception("an event listener failed and hears no more: %r", listener)
            _remove(listener)


def _remove(listener: Listener) -> None:
    global _listeners
    _listeners = tuple(other for other in _listeners if other is not listener)
