"""``portside resolve --type --server --trace``: records from name servers, and the walk from the root as it is told.

Imported only when it is asked for; without dnspython the import raises MissingExtra.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from portside.address import InternetAddress, parse_ip
from portside.cli.output import Column, harmless, print_array, print_listing, styled, write_out
from portside.cli.resolve import in_time
from portside.contracts import Network
from portside.errors import LocalError, MalformedAddress, NameNotFound, NetworkError, UsageError
from portside.net import resolve as resolver
from portside.net.resolve import Family
from portside.protocols.dns import client, walk

if TYPE_CHECKING:
    from dns.name import Name
    from dns.rdatatype import RdataType

RESOLV_CONF: Final = "/etc/resolv.conf"


def resolve_by_dns(
    name: str,
    types: Sequence[str],
    servers: Sequence[str],
    *,
    family: Family | None,
    is_reverse: bool,
    is_walk: bool,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Ask for the records and print them. Raises: UsageError; NetworkError and TimeoutError with one sentence."""
    questions = _questions(name, types, family=family, is_reverse=is_reverse)
    try:
        if is_walk:
            _by_walk(questions, servers, family=family, timeout_s=timeout_s, as_json=as_json)
        else:
            _by_server(questions, servers, timeout_s=timeout_s, as_json=as_json)
    except LocalError as error:  # a client that cannot ask has failed, whoever is to blame
        raise NetworkError(str(error)) from error


Question: TypeAlias = "tuple[Name, RdataType]"


def _questions(name: str, types: Sequence[str], *, family: Family | None, is_reverse: bool) -> list[Question]:
    """Return what to ask: for the types, else for addresses; an address is asked for by its reverse name."""
    if family and types:
        raise UsageError("--ipv4 and --ipv6 stand for --type A and AAAA: give one or the other")
    words = [word for text in types for word in text.replace("|", ",").split(",") if word]
    words = list(dict.fromkeys(word.upper() for word in words))
    rdtypes = [client.parse_type(word) for word in words]
    if is_reverse or (_is_address(name) and words in ([], ["PTR"])):
        if words not in ([], ["PTR"]):
            raise UsageError("--reverse asks for PTR records: another --type does not go with it")
        return [(client.reverse_name(name), client.parse_type("PTR"))]
    if not rdtypes:
        rdtypes = [client.TYPE_OF[each] for each in ([family] if family else client.FAMILIES)]
    owner = client.parse_name(name)
    return [(owner, rdtype) for rdtype in rdtypes]


def _is_address(text: str) -> bool:
    try:
        parse_ip(text)
    except MalformedAddress:
        return False
    return True


def _addresses_of_servers(servers: Sequence[str], timeout_s: float) -> list[InternetAddress]:
    """Return the addresses of the servers that were typed; a name is looked up by the system."""
    found: list[InternetAddress] = []
    for text in servers:
        host, port = client.split_server(text)
        if _is_address(host):
            found.append(InternetAddress(str(parse_ip(host)), port))
        else:
            found += in_time(f"cannot resolve {host}", timeout_s, partial(resolver.addresses_of, host, port))
    return found


def system_servers(path: str = RESOLV_CONF) -> list[InternetAddress]:
    """Return the name servers that the system asks. Raises: NameNotFound where the file does not name any."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            servers = client.parse_resolv_conf(file.read())
    except OSError:
        servers = []
    if not servers:
        raise NetworkError(f"{path} names no name server: give one with --server")
    return servers


def _by_server(questions: Sequence[Question], servers: Sequence[str], *, timeout_s: float, as_json: bool) -> None:
    addresses = _addresses_of_servers(servers, timeout_s) or system_servers()
    rows: list[dict[str, object]] = []
    failures: list[NameNotFound] = []

    async def look_up_all(network: Network) -> None:
        for name, rdtype in questions:
            try:
                found = await client.look_up(network, addresses, name, rdtype, timeout_s=timeout_s)
            except NameNotFound as failure:
                failures.append(failure)
                continue
            where = {"server": found.server, "transport": found.transport}
            rows.extend({**_record_row(record), **where} for record in found.records)

    _drive(look_up_all)
    _print_records(rows, failures, as_json=as_json)


def _drive(questions: Callable[[Network], Coroutine[Any, Any, None]]) -> None:
    """Run a client on blocking sockets, which need no event loop."""
    from portside.net.blocking import BlockingNetwork
    from portside.net.drive import drive

    drive(questions(BlockingNetwork()), handler="resolve", model="blocking")


def _record_row(record: client.Record) -> dict[str, object]:
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
    questions: Sequence[Question],
    servers: Sequence[str],
    *,
    family: Family | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    addresses = _addresses_of_servers(servers, timeout_s)
    roots: list[walk.Server] = [walk.Server(address) for address in addresses] or walk.roots(family)
    rows: list[dict[str, object]] = []

    def on_step(step: walk.Step) -> None:
        if as_json:
            rows.append(step_row(step))
        else:
            write_out("".join(f"{line}\n" for line in step_lines(step, _columns())), flush=True)

    async def walk_all(network: Network) -> None:
        walker = walk.Walk(
            network,
            roots,
            timeout_s=timeout_s,
            on_step=on_step,
            family=family,
            port=addresses[0].port if addresses else client.PORT,
        )
        failures = []
        for name, rdtype in questions:
            try:
                await walker.find(name, rdtype)
            except NameNotFound as failure:
                failures.append(failure)
        if len(failures) == len(questions):
            raise failures[0]

    try:
        _drive(walk_all)
    finally:
        if as_json:
            print_array(rows)


def step_row(step: walk.Step) -> dict[str, object]:
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


def step_lines(step: walk.Step, columns: int) -> Iterator[str]:
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
