"""``portside ps``, ``top``, ``reload`` and ``stop``: asking a running server over its control socket."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sized
from contextlib import closing
from datetime import datetime
from typing import Any, Final, TypeVar

import click

from portside.address import UnixAddress
from portside.cli import exit_status
from portside.cli.output import Column, print_array, print_object, styled, table_lines, write_out
from portside.errors import NetworkError, UsageError
from portside.net.sockets import Socket, open_stream, sockaddr_of

Command = TypeVar("Command", bound=Callable[..., Any])

ANSWER_S: Final = 10.0  # workers get two seconds of it; the rest is for a busy machine
RELOAD_S: Final = 120.0  # handlers are imported meanwhile
STOP_S: Final = 86_400.0  # drains end by their own deadline
REFRESH_S: Final = 1.0


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def shown_address(address: dict[str, Any]) -> str:
    """Return the address of a listing as people write it."""
    if "path" in address:
        return f"unix:{address['path']}"
    host = f"[{address['host']}]" if ":" in address["host"] else address["host"]
    return f"{host}:{address['port']}"


def shown_bytes(count: float) -> str:
    """Return a size with its unit: ``512``, ``10.4K``, ``1.00G``, in powers of 1,024."""
    for unit in ("", "K", "M", "G", "T"):
        if count < 1_000 or unit == "T":
            break
        count /= 1_024
    if not unit:
        return str(int(count))
    return f"{count:.{2 if count < 10 else 1 if count < 100 else 0}f}{unit}"


def shown_age(seconds: float) -> str:
    """Return a duration by its two largest parts: ``4.2s``, ``3m05s``, ``2h10m``, ``5d03h``."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02}h"


def control_option(command: Command) -> Command:
    return click.option(
        "--control", metavar="PATH", help="The server's control socket: what it was given as --control."
    )(command)


# ── ps ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(short_help="list the services and connections of a running server")
@control_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, an object a service.")
def ps(*, control: str | None, as_json: bool) -> int:
    """List the services of a running server and their live connections."""
    services = ask_server(control, {"do": "list"})
    if as_json:
        print_array(services)
    else:
        _print_lines(_listing(services))
    return exit_status.OK


_SERVICE_COLUMNS: Final = (
    Column("service"),
    Column("state"),
    Column("model"),
    Column("workers", show=lambda workers: str(sum(worker["state"] == "ready" for worker in workers)), right=True),
    Column("open", right=True),
    Column("opened", right=True),
    Column("bytes_in", "IN", right=True, show=shown_bytes),
    Column("bytes_out", "OUT", right=True, show=shown_bytes),
    Column("limits_hit", "REFUSED", right=True, show=lambda hits: str(sum(hits.values()))),
    Column("handler_failed", "FAILED", right=True),
    Column("listen"),
)

_CONNECTION_COLUMNS: Final = (
    Column("id", "CONNECTION"),
    Column("service"),
    Column("peer", show=shown_address),
    Column("age_s", "AGE", right=True, show=shown_age),
    Column("bytes_in", "IN", right=True, show=shown_bytes),
    Column("bytes_out", "OUT", right=True, show=shown_bytes),
    Column("state"),
    Column("tls"),
    Column("worker", right=True),
)


def _listing(services: list[dict[str, Any]]) -> list[str]:
    heading, *lines = table_lines(services, _SERVICE_COLUMNS)
    connections = _connections_of(services)
    listing = [styled(heading, "bold", stream=sys.stdout), *lines]
    if connections:
        heading, *lines = table_lines(connections, _CONNECTION_COLUMNS)
        listing += ["", styled(heading, "bold", stream=sys.stdout), *lines]
    silent = [str(worker["pid"]) for service in services for worker in service["workers"] if not worker["answers"]]
    if silent:
        listing += ["", f"no answer from worker {', '.join(silent)}: busy; connections of theirs are not shown"]
    return listing


def _connections_of(services: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**connection, "service": service["service"]}
        for service in services
        for connection in sorted(service["connections"], key=lambda one: -one["age_s"])
    ]


def _print_lines(lines: list[str]) -> None:
    write_out("".join(f"{line}\n" for line in lines))


# ── top ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(short_help="watch the services and connections of a running server")
@control_option
@click.option("--plain", is_flag=True, help="Only a listing that is kept up to date, without keys.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object every second.")
def top(*, control: str | None, plain: bool, as_json: bool) -> int:
    """Watch the services of a running server and their busiest connections, until interrupted.

    In a terminal it can be walked through: filter, order, open a conversation, close a connection. That needs the extra
    tui; without it, or with --plain, it is a listing. Where the output is no terminal, the listing is printed once;
    with --json it streams all the same.
    """
    try:
        if as_json:
            return _stream(control)
        is_plain = plain or not (sys.stdin.isatty() and sys.stdout.isatty())
        return _watch(control) if is_plain or not _show_screen(control) else exit_status.OK
    except KeyboardInterrupt:  # the way to end it
        return exit_status.OK


def _show_screen(control: str | None) -> bool:
    """Show ``top`` as a screen until people leave it. Returns False where there is nothing to show it with."""
    try:
        from portside.cli.top_screen import Top
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("rich", "textual"):
            raise
        return False
    from portside.cli.desk import Desk

    connect_to_server(control).close()  # what is wrong with it is said before the screen is taken
    Top(Desk(str(control)).ask).run()
    return True


def _stream(control: str | None) -> int:
    while True:
        services = ask_server(control, {"do": "list"})
        print_object({"time": datetime.now().astimezone(), "services": services})
        time.sleep(REFRESH_S)


def _watch(control: str | None) -> int:
    before: dict[str, int] = {}
    while True:
        services = ask_server(control, {"do": "list"})
        lines, before = _busiest(services, before)
        if not sys.stdout.isatty():
            _print_lines(lines)
            return exit_status.OK
        height = shutil.get_terminal_size().lines
        # Home, each line and what is left of the old one, then everything below: no flicker.
        write_out("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines[: height - 1]) + "\x1b[J", flush=True)
        time.sleep(REFRESH_S)


def _counted(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def _busiest(services: list[dict[str, Any]], before: dict[str, int]) -> tuple[list[str], dict[str, int]]:
    """Return the listing, connections by what they moved since ``before``, and what they have moved by now."""
    now = {one["id"]: one["bytes_in"] + one["bytes_out"] for service in services for one in service["connections"]}
    lines = [
        f"{datetime.now().astimezone():%H:%M:%S}  {_counted(services, 'service')}, {_counted(now, 'connection')}",
        "",
        *table_lines(services, _SERVICE_COLUMNS),
    ]
    connections = _connections_of(services)
    for one in connections:
        one["moved"] = now[one["id"]] - before.get(one["id"], 0)
    connections.sort(key=lambda one: -one["moved"])
    if connections:
        columns = (*_CONNECTION_COLUMNS, Column("moved", "NOW", right=True, show=shown_bytes))
        lines += ["", *table_lines(connections, columns)]
    return lines, now


# ── reload and stop ──────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(short_help="make a running server read its configuration and code anew")
@control_option
def reload(*, control: str | None) -> int:
    """Have a running server read configuration, certificates and code anew.

    Returns when its new workers have taken over. If anything is broken the old ones keep running, and this says why
    and exits with 1.
    """
    ask_server(control, {"do": "reload"}, RELOAD_S)
    return exit_status.OK


@click.command(short_help="stop a running server, or end one of its connections")
@control_option
@click.option("--connection", metavar="ID", help="End only this connection, as ps names it.")
def stop(*, control: str | None, connection: str | None) -> int:
    """Stop a running server, and return when it is gone; or end one of its connections."""
    if connection is not None:
        ask_server(control, {"do": "end", "connection": connection})
        return exit_status.OK
    with closing(connect_to_server(control)) as sock:
        from portside.serve import control as server

        sock.settimeout(STOP_S)
        server.ask(sock, {"do": "stop"})
        server.wait_until_gone(sock)
    return exit_status.OK


# ── the socket ───────────────────────────────────────────────────────────────────────────────────────────────────────


def ask_server(path: str | None, request: dict[str, Any], timeout_s: float = ANSWER_S) -> Any:
    """Return what the running server answers. Raises: UsageError without a path, NetworkError, ControlRefused."""
    from portside.serve import control as server

    with closing(connect_to_server(path)) as sock:
        sock.settimeout(timeout_s)
        return server.ask(sock, request)


def connect_to_server(path: str | None) -> Socket:
    """Return a connection to the control socket of a running server. Raises: UsageError, NetworkError."""
    if not path:
        raise UsageError("say which server: --control PATH, or PORTSIDE_CONTROL")
    address = UnixAddress(path)
    sock = open_stream(address)
    sock.settimeout(ANSWER_S)
    try:
        sock.connect(sockaddr_of(address))
    except OSError as error:
        sock.close()
        raise NetworkError(f"no server answers at {path}: {error.strerror or error}") from error
    return sock
