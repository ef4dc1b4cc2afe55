"""What happened, as small values, and the one place where they are told to whoever listens.

``emit`` costs a truth test when nobody listens; where even making the value would cost, ask ``listening(kind)`` first.
Listeners run in the thread that emits and must neither block nor raise; one that raises is reported once and removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

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
    """A message of a protocol in the battery's own words: ``USER anna`` or ``200 OK 1.2 MB``. Never a secret.

    ``lane`` names the companion that it went over, such as FTP's ``data``; empty for the connection itself.
    """

    service: str
    connection: str
    direction: Literal["in", "out"]
    words: str
    size_bytes: int
    lane: str = ""


@dataclass(frozen=True, slots=True)
class LoginTried:
    """Somebody said who they are. ``refused`` is why they did not get in, None for those who did."""

    service: str
    connection: str
    peer: Address
    user: str
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A request was answered with a status, in a protocol that has such: HTTP's 200 or 404. For counting."""

    service: str
    status: int


FileAct: TypeAlias = Literal["upload", "append", "download", "delete", "rename", "mkdir", "rmdir", "chmod", "utime"]


@dataclass(frozen=True, slots=True)
class FileActed:
    """Somebody did something to a file, or tried: ``failed`` is why it did not come about, None when it did.

    ``path`` is from the service's root. ``target`` is a rename's new path. Size, time and digest are a transfer's own;
    the digest is ``sha-256:`` and hexadecimal digits, where it is known.
    """

    service: str
    connection: str
    peer: Address
    user: str
    act: FileAct
    path: str
    target: str | None = None
    size_bytes: int | None = None
    duration_s: float | None = None
    digest: str | None = None
    failed: str | None = None


Event: TypeAlias = (
    ConnectionOpened | ConnectionClosed | HandlerFailed | LimitHit | Spoke | LoginTried | Answered | FileActed
)
Listener: TypeAlias = Callable[[Event], None]

EVENT_KINDS: Final[tuple[type[Event], ...]] = (
    *(ConnectionOpened, ConnectionClosed, HandlerFailed, LimitHit),
    *(Spoke, LoginTried, Answered, FileActed),
)

# For each kind a tuple, replaced whole: whoever is iterating goes on over the old one, in any thread, without a lock.
_listeners: dict[type[Event], tuple[Listener, ...]] = dict.fromkeys(EVENT_KINDS, ())


def listening(kind: type[Event]) -> bool:
    """Return whether anybody would hear an event of that kind."""
    return bool(_listeners[kind])


def subscribe(listener: Listener, *kinds: type[Event]) -> Callable[[], None]:
    """Tell ``listener`` every event of these kinds (of all, if none is named). Returns the function that ends it."""
    for kind in kinds or EVENT_KINDS:
        _listeners[kind] = (*_listeners[kind], listener)
    return lambda: _remove(listener)


def emit(event: Event) -> None:
    """Tell the event to every listener."""
    for listener in _listeners[type(event)]:
        try:
            listener(event)
        except Exception:
            logging.getLogger("portside").exception("an event listener failed and hears no more: %r", listener)
            _remove(listener)


def _remove(listener: Listener) -> None:
    for kind in EVENT_KINDS:
        _listeners[kind] = tuple(other for other in _listeners[kind] if other is not listener)
