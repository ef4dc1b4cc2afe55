"""The battery of the static site: from what an operator says to a site that is ready to be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal, cast

from portside.accounts.book import open_books
from portside.accounts.counters import LocalCounters
from portside.accounts.doorkeeper import Doorkeeper
from portside.contracts import Battery, Connection, Counters
from portside.errors import MissingExtra, UsageError
from portside.protocols.http.battery import check_root_path, http_battery
from portside.protocols.http.forwarded import Proxies
from portside.protocols.http.limits import HttpLimits
from portside.protocols.http.server import Application, Server
from portside.protocols.http.site.rules import INDEX, Rules
from portside.storage.contract import StorageError
from portside.storage.disk import DiskStorage

try:
    from portside.protocols.http.site.login import Gate, connection_id
    from portside.protocols.http.site.site import site_application
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"multipart", "starlette"}:
        raise
    raise MissingExtra("the static site", "http") from error


def site_battery(
    root: str = ".",
    *,
    login: tuple[str, ...] = (),
    users: str | None = None,
    anonymous: bool | None = None,
    index: tuple[str, ...] = INDEX,
    listing: bool = True,
    hidden: bool = False,
    symlinks: Literal["follow", "refuse"] = "follow",
    spa: bool = False,
    cors: bool = False,
    allow_upload: bool = False,
    upload_max: int = 0,
    durable: bool = True,
    archives: bool = True,
    precompressed: bool = True,
    cache: float = 0.0,
    charset: str = "utf-8",
    root_path: str | None = None,
    forwarded_from: tuple[str, ...] = (),
    login_attempts: int = 10,
    ban: float = 600.0,
    model: str = "event",
    service: str = "http",
    counters: Counters | None = None,
) -> Battery:
    """Return the battery of a static site. What each argument means is in the catalogue, in the same order.

    Raises: UsageError for what cannot be served, such as a root that is not there.
    """
    if model != "event":
        raise UsageError(f"the static site needs an event loop: use --model event, not {model}")
    rules = Rules(
        index=_checked_index(index),
        listing=listing,
        hidden=hidden,
        spa=spa,
        cors=cors,
        uploads=allow_upload,
        upload_bytes_max=upload_max or None,
        archives=archives,
        precompressed=precompressed,
        charset=None if charset == "none" else _checked_charset(charset),
        max_age_s=cache,
    )
    try:
        storage = DiskStorage(root, durable=durable, keep_s=0.0, follows_links=symlinks == "follow")
    except (StorageError, OSError) as error:
        why = error.why if isinstance(error, StorageError) else error.strerror or str(error)
        raise UsageError(f"{root} cannot be served: {why}") from error
    book = open_books(login, users)
    if book is None and anonymous is False:
        raise UsageError("nobody could log in: give --login, --users or --anonymous")
    counters = LocalCounters() if counters is None else counters
    doorkeeper = None if book is None else Doorkeeper(book, counters, attempts=login_attempts, ban_s=ban)
    gate = Gate(storage, doorkeeper, counters, anonymous=bool(anonymous), ban_s=ban, service=service)
    server = Server(
        cast("Application", site_application(gate, rules)),
        limits=HttpLimits(
            body_bytes=None
        ),  # of a form each file has the site's own limit, and nobody reads other bodies
        root_path=check_root_path(root_path or ""),
        proxies=Proxies(forwarded_from) if forwarded_from else None,
        service=service,
    )
    battery = http_battery(server, lifespan="off")
    return replace(battery, stream=_naming_connections(cast("_Stream", battery.stream)))


_Stream = Callable[[Connection], Awaitable[None]]


def _naming_connections(stream: _Stream) -> _Stream:
    """Return the handler, with the connection's name at hand for what is told of its requests."""

    async def http(connection: Connection) -> None:
        connection_id.set(connection.id)
        await stream(connection)

    return http


def _checked_index(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if "/" in name or name in {".", ".."}:
            raise UsageError(f"an index page is a file in the folder that it is of, and {name!r} names none")
    return names


def _checked_charset(charset: str) -> str:
    if not charset.isascii() or not charset.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"{charset!r} is no name of a character set: utf-8, iso-8859-1, or none to say nothing of it")
    return charset
