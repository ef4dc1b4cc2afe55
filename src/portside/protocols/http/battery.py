"""From an ASGI application, and what an operator says of it, to a battery that serves it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from portside.contracts import Battery, Connection
from portside.errors import MissingExtra, UsageError

try:
    from portside.protocols.http.conversation import Conversation
    from portside.protocols.http.dates import Dates
    from portside.protocols.http.forwarded import Proxies
    from portside.protocols.http.life import HttpLife
    from portside.protocols.http.lifespan import Mode
    from portside.protocols.http.limits import HttpLimits, WebSocketLimits
    from portside.protocols.http.refusals import build_refusal
    from portside.protocols.http.server import Application, Server
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("httptools", "websockets"):
        raise
    raise MissingExtra("serving HTTP", "http") from error

PORT = 80


class Find(Protocol):
    """Finds what ``MODULE:NAME`` names, or with ``factory`` what that gives when it is called. Raises: UsageError."""

    def __call__(self, target: str, *, factory: bool = False) -> object: ...


def asgi_battery(
    app: str | None = None,
    *,
    root_path: str | None = None,
    forwarded_from: tuple[str, ...] = (),
    lifespan: Mode = "auto",
    target_max: int = 8_192,
    headers_max: int = 100,
    header_max: int = 65_536,
    header_timeout: float = 30.0,
    body_max: int = 104_857_600,
    body_timeout: float = 30.0,
    body_rate: float = 500.0,
    message_max: int = 16_777_216,
    ping: float = 20.0,
    compression: bool = True,
    model: str = "event",
    factory: bool = False,
    find: Find | None = None,
    service: str = "asgi",
) -> Battery:
    """Return the battery that serves an ASGI application. What each argument means is in the catalogue.

    Raises: UsageError, also for an application that cannot be imported.
    """
    if model != "event":
        raise UsageError(f"ASGI applications need an event loop: use --model event, not {model}")
    if app is None or find is None:
        raise UsageError("which application? Name it as MODULE:NAME, such as main:app")
    application = find(app, factory=factory)
    check_application(app, application)
    limits = HttpLimits(
        target_bytes=target_max,
        headers=headers_max,
        head_bytes=header_max,
        head_s=header_timeout,
        body_bytes=body_max or None,
        body_s=body_timeout,
        body_bytes_per_s=max(1, int(body_rate)),
    )
    server = Server(
        cast("Application", application),
        limits=limits,
        websocket_limits=WebSocketLimits(message_bytes=message_max, ping_s=ping, pong_s=ping, compresses=compression),
        root_path=check_root_path(root_path or ""),
        proxies=Proxies(forwarded_from) if forwarded_from else None,
        service=service,
    )
    return http_battery(server, lifespan=lifespan, name="asgi")


def http_battery(server: Server, *, lifespan: Mode = "auto", name: str = "http") -> Battery:
    """Return the battery of a server that is ready but for its application's lifespan."""
    return Battery(
        name,
        stream=conversations_of(server),
        port=PORT,
        refusal=refusing(server.dates),
        farewell=silence,
        life=HttpLife(server, lifespan),
        speaks=True,
    )


def conversations_of(server: Server) -> Callable[[Connection], Awaitable[None]]:
    """Return the handler of the server's connections."""

    async def http(connection: Connection) -> None:
        await Conversation(server, connection).run()

    return http


def refusing(dates: Dates) -> Callable[[str], bytes]:
    """Return what tells a client that it is not let in. Source: RFC 9110 section 15.6.4."""
    return lambda why: build_refusal(503, why, dates.now())


def silence(why: str) -> bytes:
    """Return what a client is told whose connection waits for its next request: nothing.

    It would take whatever came for the answer to a request that it is just about to send (RFC 9112 section 9.5).
    """
    return b""


def check_root_path(root_path: str) -> str:
    """Return the path without a slash at its end. Raises: UsageError."""
    if root_path and not root_path.startswith("/"):
        raise UsageError(f"the root path {root_path!r} does not begin with a slash")
    return root_path.rstrip("/")


def check_application(target: str, application: object) -> None:
    """Raise UsageError for what cannot be called as ASGI applications are: with scope, receive and send."""
    if isinstance(application, type):
        raise UsageError(f"{target} is a class: name an instance, or say --factory to have one made")
    if not callable(application):
        raise UsageError(f"{target} is no application: nothing that can be called")
    try:
        signature = inspect.signature(application)
    except (TypeError, ValueError):  # built in C, without a signature
        return
    try:
        signature.bind({}, None, None)
    except TypeError as error:
        raise UsageError(f"{target}{signature} is no ASGI application{_what_else(signature)}") from error


def _what_else(signature: inspect.Signature) -> str:
    """Return what it probably is, and what to do about it."""
    for count, what in (
        (2, ": it looks like WSGI, and can be wrapped, by a2wsgi for instance"),
        (0, ": if it makes one, say --factory"),
        (1, " of version 3: it looks like version 2, and can be wrapped by asgiref.compatibility"),
    ):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return what
    return ": it is called with scope, receive and send"
