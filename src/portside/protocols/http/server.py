"""What all conversations of one worker share: the application, its state, and whether the worker is leaving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from portside.protocols.http.dates import Dates
from portside.protocols.http.forwarded import Proxies
from portside.protocols.http.limits import HttpLimits, WebSocketLimits

if TYPE_CHECKING:
    from portside.protocols.http.socket_talk import SocketTalk

Scope: TypeAlias = dict[str, Any]
Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class Server:
    """One application as it is served. ``state`` is what its lifespan made; each request gets a copy of its own."""

    application: Application
    limits: HttpLimits = field(default_factory=HttpLimits)
    websocket_limits: WebSocketLimits = field(default_factory=WebSocketLimits)
    root_path: str = ""
    proxies: Proxies | None = None
    service: str = "http"
    dates: Dates = field(default_factory=Dates)
    state: dict[str, Any] = field(default_factory=dict)
    is_leaving: bool = False  # connections end with their next response
    talks: set[SocketTalk] = field(default_factory=set)  # the WebSocket connections there are
