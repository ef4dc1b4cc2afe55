"""``portside resolve``: what a name means, to the system's resolver or to the name servers themselves."""

from __future__ import annotations

import shutil
import sys
import textwrap
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from portside.address import InternetAddress, bracketed, parse_ip
from portside.cli.client import timeout_option
from portside.cli.output import Column, harmless, print_array, print_listing, styled, write_out
from portside.errors import LocalError, MalformedAddress, NameNotFound, NetworkError, UsageError
from portside.net import resolve as resolver
from portside.net.resolve import Family, Resolution

if TYPE_CHECKING:
    from dns.name import Name
    from dns.rdatatype import RdataType

    from portside.contracts import Network
    from portside.protocols.dns import Found, Record, Server, Step, Walk

TIMEOUT_S: Final = 5.0
WALK_TIMEOUT_S: Final = 30.0  # a walk asks a dozen servers, and some of them are down
RESOLV_CONF: Final = "/etc/resolv.conf"

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
    from portside.protocols import dns

    questions = _questions(dns, name, types, family=family, is_reverse=reverse)
    timeout_s = timeout or (WALK_TIMEOUT_S if trace else TIMEOUT_S)
    try:
        if trace:
            _by_walk(dns, questions, servers, family=family, timeout_s=timeout_s, as_json=as_json)
        else:
            _by_server(dns, questions, servers, timeout_s=timeout_s, as_json=as_json)
    except LocalError as error:
        raise NetworkError(str(error)) from error


# ── the system's resolver ────────────────────────────────────────────────────────────────────────────────────────────


def _by_system(
    name: str, service: str | None, *, family: Family | None, is_reverse: bool, timeout_s: float, as_json: bool
) -> None:
    what = f"cannot resolve {name}"
    if is_reverse:
        rows = in_time(what, timeout_s, lambda: _reverse_rows(name, service or 0, family))
    else:
        found = in_time(
            what, timeout_s, lambda: resolver.resolve(name, service or 0, family=family, canonical_name=True)
        )
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


# ── name servers ─────────────────────────────────────────────────────────────────────────────────────────────────────

Question = tuple["Name", "RdataType"]


def _questions(dns: Any, name: str, types: Sequence[str], *, family: Family | None, is_reverse: bool) -> list[Question]:
    """Return what to ask: for the types, else for addresses; an address is asked for by its reverse name."""
    if family and types:
        raise UsageError("--ipv4 and --ipv6 stand for --type A and AAAA: give one or the other")
    words = [word for text in types for word in text.replace("|", ",").split(",") if word]
    rdtypes = [dns.parse_type(word) for word in dict.fromkeys(words)]
    if is_reverse or (_is_address(name) and rdtypes in ([], [dns.RdataType.PTR])):
        if rdtypes not in ([], [dns.RdataType.PTR]):
            raise UsageError("--reverse asks for PTR records: another --type does not go with it")
        return [(dns.reverse_name(name), dns.RdataType.PTR)]
    if not rdtypes:
        rdtypes = [dns.parse_type(word) for word in {"ipv4": ["A"], "ipv6": ["AAAA"]}.get(family or "", ["A", "AAAA"])]
    owner = dns.parse_name(name)
    return [(owner, rdtype) for rdtype in rdtypes]


def _is_address(text: str) -> bool:
    try:
        parse_ip(text)
    except MalformedAddress:
        return False
    return True


def _addresses_of_servers(dns: Any, servers: Sequence[str], timeout_s: float) -> list[InternetAddress]:
    """Return the addresses of the servers that were typed; a name is looked up by the system."""
    found: list[InternetAddress] = []
    for text in servers:
        host, port = dns.split_server(text)
        if _is_address(host):
            found.append(InternetAddress(str(parse_ip(host)), port))
        else:
            found += in_time(f"cannot resolve {host}", timeout_s, partial(resolver.addresses_of, host, port))
    return found


def system_servers(path: str = RESOLV_CONF) -> list[InternetAddress]:
    """Return the name servers that the system asks. Raises: NameNotFound where the file does not name any."""
    from portside.protocols import dns

    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            servers = dns.parse_resolv_conf(file.read())
    except OSError:
        servers = []
    if not servers:
        raise NetworkError(f"{path} names no name server: give one with --server")
    return servers


def _by_server(
    dns: Any, questions: Sequence[Question], servers: Sequence[str], *, timeout_s: float, as_json: bool
) -> None:
    addresses = _addresses_of_servers(dns, servers, timeout_s) or system_servers()
    rows: list[dict[str, object]] = []
    failures: list[NameNotFound] = []

    async def look_up_all(network: Network) -> None:
        for name, rdtype in questions:
            try:
                found: Found = await dns.look_up(network, addresses, name, rdtype, timeout_s=timeout_s)
            except NameNotFound as failure:
                failures.append(failure)
                continue
            where = {"server": found.server, "transport": found.transport}
            rows.extend({**_record_row(record), **where} for record in found.records)

    _drive(look_up_all)
    _print_records(rows, failures, as_json=as_json)


def _drive(client: Callable[[Network], Coroutine[Any, Any, None]]) -> None:
    """Run a client on blocking sockets, which need no event loop."""
    from portside.net.blocking import BlockingNetwork
    from portside.net.drive import drive

    drive(client(BlockingNetwork()), handler="resolve", model="blocking")


def _record_row(record: Record) -> dict[str, object]:
    return {"name": record.name, "ttl_s": record.ttl_s, "type": record.type, "data": record.data}


def _print_records(rows: list[dict[str, object]], failures: Sequence[NameNotFound], *, as_json: bool) -> None:
    """Print the records; a question without any is a failure unless another one has some (A without AAAA)."""
    rows = [row for place, row in enumerate(rows) if row not in rows[:place]]  # aliases are told with each question
    if not rows and failures:
        raise failures[0]
    print_listing(rows, _RECORD_COLUMNS, as_json=as_json)


_RECORD_COLUMNS: Final = (Column("name"), Column("ttl_s", "TTL", right=True), Column("type"), Column("data"))


# ── from the root ────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_walk(
    dns: Any,
    questions: Sequence[Question],
    servers: Sequence[str],
    *,
    family: Family | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    addresses = _addresses_of_servers(dns, servers, timeout_s)
    roots: list[Server] = [dns.Server(address) for address in addresses] or dns.roots(family)
    rows: list[dict[str, object]] = []

    def on_step(step: Step) -> None:
        if as_json:
            rows.append(step_row(step))
        else:
            write_out("".join(f"{line}\n" for line in step_lines(step, _columns())), flush=True)

    async def walk_all(network: Network) -> None:
        walk: Walk = dns.Walk(
            network,
            roots,
            timeout_s=timeout_s,
            on_step=on_step,
            family=family,
            port=addresses[0].port if addresses else dns.PORT,
        )
        failures = []
        for name, rdtype in questions:
            try:
                await walk.find(name, rdtype)
            except NameNotFound as failure:
                failures.append(failure)
        if len(failures) == len(questions):
            raise failures[0]

    try:
        _drive(walk_all)
    finally:
        if as_json:
            print_array(rows)


def step_row(step: Step) -> dict[str, object]:
    """Return the row with the keys of --json, documented in docs/names.md."""
    return {
        "depth": step.depth,
        "zone": step.zone,
        "name": step.name,
        "type": step.type,
        "server": step.server,
        "server_name": step.server_name,
        "outcome": step.outcome,
        "sentence": step.sentence,
        "records": [_record_row(record) for record in step.records],
        "took_s": round(step.took_s, 6),
    }


def step_lines(step: Step, columns: int) -> Iterator[str]:
    """Yield the lines that tell a step: whom we asked for what, what came of it, and the records."""
    margin = "    " * step.depth
    host = step.server.host if step.server.port == 53 else str(step.server)
    named = f"{step.server_name} ({host})" if step.server_name else host
    whose = "the root" if step.zone == "." else step.zone
    asked = f"{whose}: asked {named} for {step.name} {step.type}, {step.took_s * 1_000:.0f} ms"
    yield from _wrapped(asked, margin, columns, bold=True)
    margin += "  "
    if step.outcome == "referral":
        names = [record.data for record in step.records if record.type == "NS"]
        glue = sum(record.type != "NS" for record in step.records)
        told = f"{glue or 'no'} address{'' if glue == 1 else 'es'} told along"
        yield from _wrapped(f"{step.sentence}: {', '.join(names)} ({told})", margin, columns)
        return
    if step.outcome != "answer":
        yield from _wrapped(step.sentence, margin, columns)
    for record in step.records:
        yield harmless(f"{margin}{record.name}  {record.ttl_s}  {record.type}  {record.data}")


def _wrapped(text: str, margin: str, columns: int, *, bold: bool = False) -> Iterator[str]:
    lines = textwrap.wrap(
        harmless(text), max(columns - len(margin), 24), subsequent_indent="  ", break_on_hyphens=False
    )
    for line in lines:
        yield margin + (styled(line, "bold", stream=sys.stdout) if bold else line)


def _columns() -> int:
    if sys.stdout is not None and sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return 1_000  # a line each, for whatever reads it
