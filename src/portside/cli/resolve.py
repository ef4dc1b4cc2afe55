"""``portside resolve``: what a name means, to the system's resolver or to the name servers themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from portside.address import bracketed, is_decimal, parse_port
from portside.cli.client import timeout_option
from portside.cli.output import Column, harmless, print_array, print_listing, write_out
from portside.errors import NameNotFound, UsageError
from portside.net import resolve as resolver
from portside.net.resolve import Family, Resolution

TIMEOUT_S: Final = 5.0
WALK_TIMEOUT_S: Final = 30.0  # a walk asks a dozen servers, and some of them are down

Result = TypeVar("Result")

_FAMILY_NAMES: Final[dict[Family, str]] = {"ipv4": "IPv4", "ipv6": "IPv6"}


@click.command("resolve", short_help="list the addresses of a name, in the order a program tries them")
@click.argument("name")
@click.argument("service", required=False)
@click.option("--ipv4", is_flag=True, help="Only IPv4 addresses.")
@click.option("--ipv6", is_flag=True, help="Only IPv6 addresses.")
@click.option("--reverse", is_flag=True, help="The names registered for the addresses.")
@click.option("--type", "types", metavar="TYPE", multiple=True, help="Ask DNS for records: A AAAA MX TXT NS SRV ANY …")
@click.option("--server", "servers", metavar="HOST[:PORT]", multiple=True, help="Ask this name server.")
@click.option("--trace", is_flag=True, help="Ask the root servers and whom they refer to; --server is then the root.")
@timeout_option("How long to wait.  [default: 5s, with --trace 30s]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def resolve(
    *,
    name: str,
    service: str | None,
    ipv4: bool,
    ipv6: bool,
    reverse: bool,
    types: tuple[str, ...],
    servers: tuple[str, ...],
    trace: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """List the addresses of NAME as the system's resolver gives them, in the order in which a program tries them.

    SERVICE is a port or its name. --type, --server and --trace ask name servers instead (extra: dns).
    """
    family: Family | None = "ipv4" if ipv4 and not ipv6 else "ipv6" if ipv6 and not ipv4 else None
    if not (types or servers or trace):
        _by_system(name, service, family=family, is_reverse=reverse, timeout_s=timeout or TIMEOUT_S, as_json=as_json)
        return
    if service is not None:
        raise UsageError("SERVICE is for the system's resolver; DNS has services under --type SRV")
    from portside.cli.resolve_dns import resolve_by_dns

    resolve_by_dns(
        name,
        types,
        servers,
        family=family,
        is_reverse=reverse,
        is_walk=trace,
        timeout_s=timeout or (WALK_TIMEOUT_S if trace else TIMEOUT_S),
        as_json=as_json,
    )


# ── the system's resolver ────────────────────────────────────────────────────────────────────────────────────────────


def _by_system(
    name: str, service: str | None, *, family: Family | None, is_reverse: bool, timeout_s: float, as_json: bool
) -> None:
    what = f"cannot resolve {name}"
    # The C library takes any number for a port and cuts it to sixteen bits.
    port: int | str = parse_port(service) if service and is_decimal(service) else service or 0
    if is_reverse:
        rows = in_time(what, timeout_s, lambda: _reverse_rows(name, port, family))
    else:
        found = in_time(what, timeout_s, lambda: resolver.resolve(name, port, family=family, canonical_name=True))
        rows = [_row(each, has_port=service is not None) for each in found]
    if not rows:
        raise NameNotFound(name, "it has no address")
    if as_json:
        print_array(rows)
        return
    canonical = rows[0]["canonical_name"]
    if isinstance(canonical, str) and canonical.rstrip(".").lower() != name.rstrip(".").lower() and not is_reverse:
        write_out(f"canonical name: {harmless(canonical)}\n\n")
    print_listing(rows, _REVERSE_COLUMNS if is_reverse else _COLUMNS, as_json=False)


def _row(found: Resolution, *, has_port: bool) -> dict[str, object]:
    """Return the row with the keys of --json, documented in docs/names.md."""
    address = found.address
    return {
        "family": _FAMILY_NAMES[found.family],
        "type": found.kind,
        "protocol": found.protocol,
        "address": {"host": address.host, "port": address.port if has_port else None},
        "canonical_name": found.canonical_name,
        "name": None,
    }


def _reverse_rows(name: str, service: str | int, family: Family | None) -> list[dict[str, object]]:
    """Return one row for each address, with the name registered for it. Raises: NameNotFound if none has one."""
    found = resolver.resolve(name, service, family=family, kind="stream", canonical_name=True)
    rows = []
    for each in found:
        row = _row(each, has_port=service != 0)
        rows.append({**row, "type": None, "protocol": None, "name": resolver.name_of(each.address)})
    if len(rows) == 1 and rows[0]["name"] is None:
        resolver.reverse(found[0].address)  # raises the reason
    if all(row["name"] is None for row in rows):
        raise NameNotFound(name, "no name is registered for any of its addresses")
    return rows


def _show_address(address: dict[str, Any]) -> str:
    if address["port"] is None:
        return str(address["host"])
    return f"{bracketed(address['host'])}:{address['port']}"


_COLUMNS: Final = (
    Column("family"),
    Column("type"),
    Column("protocol"),
    Column("address", show=_show_address),
)
_REVERSE_COLUMNS: Final = (Column("address", show=_show_address), Column("name"))


def in_time(what: str, timeout_s: float, function: Callable[[], Result]) -> Result:
    """Return what the function returns, from a thread of its own: the system's resolver knows no time limit.

    Raises: TimeoutError after ``timeout_s`` seconds, and leaves the thread to itself; what the function raises.
    """
    results: list[Result] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(function())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="portside-resolve", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"{what}: no answer within {timeout_s:g} s")
    return results[0]
