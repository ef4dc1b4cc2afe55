"""Services that a server has of its own: the dashboard, and the pages for programs.

They are services like any other, in worker processes of their own: whatever happens to them happens to no other. They
ask the supervisor over its control socket; where nobody asked for one, it gets one that only this user can reach.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from portside.address import Endpoint, bracketed
from portside.errors import LocalError
from portside.serve.settings import Limits, ServerSettings, ServiceSettings

if TYPE_CHECKING:
    from portside.contracts import Battery, Life
    from portside.protocols.http.server import Application

DRAIN_S: Final = 2.0
LIMITS: Final = Limits(connections=256, per_ip=256, accept_rate=200.0)


class Builtin:
    """Adds to a configuration what it asks for. ``close`` it when the server is gone."""

    def __init__(self) -> None:
        self._folder: str | None = None  # of a control socket that nobody asked for
        self._told: str | None = None  # the token that was printed

    def furnish(self, settings: ServerSettings) -> ServerSettings:
        """Return the settings with the services that they ask for. Raises: LocalError."""
        if settings.dashboard is None and settings.admin is None:
            return settings
        control = settings.control or self._private_control(settings)
        taken = {service.name for service in settings.services}
        names = {what: next(name for name in _names(what) if name not in taken) for what in ("dashboard", "admin")}
        pages = []
        if settings.dashboard is not None:
            token = self._token_for(settings.dashboard, settings.dashboard_token)
            pages.append(_service(names["dashboard"], settings.dashboard, control, token, tuple(names.values())))
        if settings.admin is not None:
            pages.append(_service(names["admin"], settings.admin, control, None, ()))
        return replace(settings, control=control, services=(*settings.services, *pages))

    def close(self) -> None:
        if self._folder is not None:
            with suppress(OSError):
                os.rmdir(self._folder)
            self._folder = None

    def _private_control(self, settings: ServerSettings) -> str:
        import tempfile

        from portside.serve.lifecycle import Identity

        if self._folder is None:
            try:
                self._folder = tempfile.mkdtemp(prefix="portside-")  # of mode 0700
                user_id = Identity(settings.user, settings.group).user_id
                if user_id is not None:
                    os.chown(self._folder, user_id, -1)
            except OSError as error:
                raise LocalError(f"no place for a control socket: {error.strerror or error}") from error
        return os.path.join(self._folder, "control")

    def _token_for(self, at: Endpoint, token: str | None) -> str | None:
        """Return the token that is needed there; one that nobody gave is made and printed, once."""
        if token is not None or is_loopback(at):
            return token
        if self._told is None:
            import secrets  # not at the start of servers that need none

            self._told = secrets.token_urlsafe(24)
            sys.stderr.write(f"dashboard: http://{bracketed(at.host)}:{at.port}/?token={self._told}\n")
            sys.stderr.flush()
        return self._told


def is_loopback(at: Endpoint) -> bool:
    """Return whether only this machine reaches the endpoint."""
    from portside.observe.dashboard.access import is_loopback_name

    return is_loopback_name(bracketed(at.host).encode())


def _names(what: str) -> Iterator[str]:
    yield what
    yield from (f"{what}-{number}" for number in range(2, 1_000))


def _service(name: str, at: Endpoint, control: str, token: str | None, builtin: tuple[str, ...]) -> ServiceSettings:
    return ServiceSettings(
        name=name,
        listen=(at,),
        load=_Pages(name, control, token, is_loopback(at), builtin),
        what="dashboard" if builtin else "admin",
        drain_s=DRAIN_S,
        limits=LIMITS,
    )


@dataclass(frozen=True)
class _Pages:
    """Makes the battery, in its worker. ``builtin`` are the services that the dashboard shows apart; admin has none."""

    name: str
    control: str
    token: str | None
    is_loopback: bool
    builtin: tuple[str, ...]

    def __call__(self) -> Battery:
        from portside.cli.desk import Desk
        from portside.observe.dashboard.access import Access
        from portside.observe.dashboard.app import Admin, Dashboard
        from portside.protocols.http.battery import http_battery
        from portside.protocols.http.limits import HttpLimits
        from portside.protocols.http.server import Server

        ask = Desk(self.control).ask
        access = Access(self.token, checks_host=self.is_loopback)
        app = Dashboard(ask, access, frozenset(self.builtin)) if self.builtin else Admin(ask, access)
        limits = HttpLimits(head_bytes=16_384, head_s=10.0, body_bytes=65_536, body_s=10.0)
        server = Server(cast("Application", app), limits=limits, service=self.name)
        battery = http_battery(server, lifespan="off", name=self.name)
        if battery.life is not None and isinstance(app, Dashboard):
            return replace(battery, life=_Life(battery.life, app.leave))
        return battery


class _Life:
    """The life of an HTTP server whose application has streams that would never end by themselves."""

    def __init__(self, life: Life, leave: Callable[[], None]) -> None:
        self._life = life
        self._leave = leave
        self.begin = life.begin
        self.finish = life.finish

    def retire(self) -> None:
        self._life.retire()
        self._leave()

    def drain(self) -> None:
        self._life.drain()
        self._leave()
