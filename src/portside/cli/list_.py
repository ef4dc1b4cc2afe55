"""``portside list``: what is in a directory of a server."""

from __future__ import annotations

import stat
from datetime import UTC, datetime

import click

from portside.cli.client import run_client
from portside.cli.output import Column, print_listing
from portside.cli.transfer import Wishes, parse_remote, server_options, wishes_of
from portside.contracts import Network
from portside.protocols.ftp.client import FtpUrl, Refused, RemoteEntry
from portside.storage.contract import Kind

_LETTERS: dict[Kind, str] = {"file": "-", "directory": "d", "link": "l", "other": "?"}
_COLUMNS = (
    Column("mode"),
    Column("owner"),
    Column("size", right=True),
    Column("modified"),
    Column("name"),
)


@click.command("list", short_help="list a directory of a server")
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@server_options
def list_(
    url: str,
    *,
    as_json: bool,
    timeout: float | None,
    wants_tls: bool,
    tls_ca: str | None,
    tls_insecure: bool,
    active: bool,
    password_stdin: bool,
) -> None:
    """List the directory at URL, or the file.

    Times are in UTC, and those that the server only tells to the minute or the day are marked by ~.
    """
    place = parse_remote(url)
    wishes = wishes_of(
        place,
        timeout=timeout,
        wants_tls=wants_tls,
        tls_ca=tls_ca,
        tls_insecure=tls_insecure,
        active=active,
        password_stdin=password_stdin,
    )

    async def client(network: Network) -> list[RemoteEntry]:
        return await entries_at(network, wishes, place)

    entries = sorted(run_client(client), key=lambda entry: entry.name)
    rows = (row_of(entry) if as_json else shown(entry) for entry in entries)
    print_listing(rows, _COLUMNS, as_json=as_json, empty="empty")


async def entries_at(network: Network, wishes: Wishes, place: FtpUrl) -> list[RemoteEntry]:
    """Return the entries of a directory, or the one of a file. Raises: what the client does."""
    path = place.path.rstrip("/") or place.path[:1]
    async with await wishes.connect(network, place) as ftp:
        try:
            return [entry async for entry in ftp.list(path)]
        except Refused as refused:
            if not path:
                raise
            try:
                entry = await ftp.stat(path)
            except Refused:
                raise refused from None
            if entry.kind == "directory":
                raise
            return [entry]


def row_of(entry: RemoteEntry) -> dict[str, object]:
    """Return the documented keys of an entry."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "size": entry.size_bytes,
        "modified": _time_of(entry),
        "is_exact": entry.is_exact,
        "mode": entry.mode,
        "owner": entry.owner,
        "group": entry.group,
    }


def shown(entry: RemoteEntry) -> dict[str, object]:
    """Return the cells of an entry for people."""
    moment = _time_of(entry)
    return {
        "mode": _LETTERS[entry.kind] + ("" if entry.mode is None else stat.filemode(entry.mode)[1:]),
        "owner": entry.owner,
        "size": entry.size_bytes if entry.kind == "file" else None,
        "modified": None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}" + ("" if entry.is_exact else "~"),
        "name": entry.name + ("/" if entry.kind == "directory" else ""),
    }


def _time_of(entry: RemoteEntry) -> datetime | None:
    if entry.modified_ns is None:
        return None
    try:
        return datetime.fromtimestamp(entry.modified_ns // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):  # a server may say any number
        return None
