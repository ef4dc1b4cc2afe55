"""``portside address``: everything an address tells by itself, down to its bytes in a program's memory."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Final

import click

from portside.cli.address_facts import Description, Port, Structure, describe, explained, parse_typed
from portside.cli.output import harmless, print_array, styled, width_of, write_out
from portside.errors import MalformedAddress
from portside.wire.ranges import (
    AddressClass,
    Embedded,
    MulticastScope,
    SpecialRange,
)

PIPE_COLUMNS: Final = 100  # without a terminal: wide enough to break nothing that could be copied
LABEL_COLUMNS: Final = 11
OFFSET_COLUMNS: Final = 6


# ── how people see it ────────────────────────────────────────────────────────────────────────────────────────────────


def lines_of(said: Description, columns: int) -> Iterator[str]:
    """Yield the lines that show the description on a terminal so many columns wide."""
    port = f" port {said.port.number}" if said.port else ""
    yield styled(harmless(f"{said.address}{port}"), "bold", stream=sys.stdout)
    yield ""
    for label, paragraphs in _rows(said, columns - LABEL_COLUMNS):
        for place, paragraph in enumerate(paragraphs):
            head = label if place == 0 else ""
            yield from _labelled(head, harmless(paragraph), columns)
    yield ""
    yield from _structure_lines(said.sockaddr, columns)
    if said.ipv4:
        yield ""
        yield from lines_of(said.ipv4, columns)


def _labelled(label: str, text: str, columns: int) -> Iterator[str]:
    body = textwrap.wrap(text, max(columns - LABEL_COLUMNS, 16), break_on_hyphens=False) or [""]
    for place, line in enumerate(body):
        head = f"{label if place == 0 else '':<{LABEL_COLUMNS}}"
        yield styled(head, "dim", stream=sys.stdout) + line


def _rows(said: Description, columns: int) -> Iterator[tuple[str, list[str]]]:
    """Yield label and paragraphs; each paragraph begins a line of its own."""
    if said.version == 4:
        yield "integer", [str(said.integer)]
    else:
        yield "full", [said.full]
        yield "integer", [str(said.integer)]
    yield "hex", [said.hex]
    yield "binary", _cut(said.binary, 8 if said.version == 4 else 16, columns)
    if said.address_class:
        yield "class", [_class_sentence(said.address_class)]
    yield "range", [_range_sentence(special) for special in said.ranges] or [_ordinary(said)]
    if said.multicast:
        yield "scope", [_scope_sentence(said.multicast)]
    if said.embedded:
        yield "carries", [_embedded_sentence(said.embedded)]
    if said.mac:
        yield "interface", [f"Ethernet address {said.mac} (EUI-64)"]
    if said.zone:
        index = said.zone.index
        yield "zone", [f"{said.zone.name}, " + (f"interface {index}" if index else "no interface of this machine")]
    if said.mapped:
        yield "in IPv6", [f"{said.mapped} (IPv4-mapped)"]
    yield "reverse", _cut_name(said.reverse_name, columns)
    if said.port:
        yield "port", [_port_sentence(said.port)]


def _cut(bits: str, group: int, columns: int) -> list[str]:
    """Return the bits in groups, as many on a line as fit, a power of two so that halves stand below each other."""
    groups = [bits[at : at + group] for at in range(0, len(bits), group)]
    per_line = len(groups)
    while per_line > 1 and per_line * (group + 1) - 1 > columns:
        per_line //= 2
    return [" ".join(groups[at : at + per_line]) for at in range(0, len(groups), per_line)]


def _cut_name(name: str, columns: int) -> list[str]:
    """Return the reverse name on one line, or cut behind dots; only ip6.arpa's 72 characters are ever too long."""
    if len(name) <= columns:
        return [name]
    width = next(width for width in (64, 32, 16) if width <= columns or width == 16)
    return [name[at : at + width] for at in range(0, 64, width)] + [name[64:]]


def _class_sentence(found: AddressClass) -> str:
    what = {"D": "multicast", "E": "reserved"}.get(found.letter) or f"network {found.network}"
    return f"{found.letter}, {what} (historic: RFC 791)"


def _range_sentence(special: SpecialRange) -> str:
    return f"{special.name}: {special.network} ({special.source})"


def _ordinary(said: Description) -> str:
    return "none: global unicast" if said.is_handed_out else "none: not handed out by IANA"


def _scope_sentence(scope: MulticastScope) -> str:
    flags = [
        "transient" if scope.is_transient else "assigned by IANA",
        *(["made of a unicast prefix"] if scope.is_from_prefix else []),
        *(["with a rendezvous point"] if scope.has_rendezvous else []),
    ]
    return f"{scope.name} ({scope.number:#x}), {', '.join(flags)}"


def _embedded_sentence(found: Embedded) -> str:
    if found.server is None:
        return f"{found.ipv4} ({found.kind})"
    nat = "cone NAT" if found.is_cone else "no cone NAT"
    return f"client {found.ipv4} port {found.port}, server {found.server}, {nat} ({found.kind})"


def _port_sentence(port: Port) -> str:
    by_name: dict[str, list[str]] = {}
    for service in port.services:
        by_name.setdefault(service.name, []).append(service.protocol)
    services = ", ".join(f"{name} ({' '.join(protocols)})" for name, protocols in by_name.items())
    return f"{port.number}, {port.hex}: {port.range} ({port.first}-{port.last}), {services or 'no service known'}"


def _structure_lines(structure: Structure, columns: int) -> Iterator[str]:
    """Yield the structure as a table: where each member lies, its bytes, whose order they are in, what they mean."""
    yield styled(f"struct {structure.struct}", "bold", stream=sys.stdout) + f", {structure.size_bytes} bytes in memory"
    yield ""
    per_line = 8 if columns >= 72 else 4
    bytes_columns = 3 * per_line - 1
    name_columns = max(len(member.name) for member in structure.fields)
    heading = (
        f"{'offset':>{OFFSET_COLUMNS}}  {'bytes':<{bytes_columns}}  {'field':<{name_columns}}  {'order':<7}  value"
    )
    # Where no column is left for the values there is none; the address above has told them.
    yield styled(heading if len(heading) <= columns else heading.removesuffix("  value"), "dim", stream=sys.stdout)
    left = OFFSET_COLUMNS + 2 + bytes_columns + 2 + name_columns + 2 + 7 + 2
    for member in structure.fields:
        data = bytes.fromhex(member.hex)
        pieces = [data[at : at + per_line].hex(" ") for at in range(0, len(data), per_line)]
        value = member.value if len(member.value) <= 24 else "the address above"
        value = value if width_of(value) <= columns - left else ""
        head = f"{member.offset:>{OFFSET_COLUMNS}}  {pieces[0]:<{bytes_columns}}  {member.name:<{name_columns}}"
        yield f"{head}  {member.order or '':<7}  {value}".rstrip()
        yield from (
            f"{member.offset + at * per_line:>{OFFSET_COLUMNS}}  {piece}" for at, piece in enumerate(pieces[1:], 1)
        )
    yield ""
    yield from textwrap.wrap(_order_sentence(structure), columns)


def _order_sentence(structure: Structure) -> str:
    """Return what byte order does: the numbers a program reads here that forgets to turn them."""
    if structure.host_order == "big":
        return (
            "Network order puts the most significant byte first, and so does this machine (big-endian): "
            "htons() and ntohs() change nothing here."
        )
    said = "Network order puts the most significant byte first, this machine the least (little-endian)"
    numbers = [
        f"{member.name} is {int.from_bytes(raw, 'little')} until {turn}() makes it {int.from_bytes(raw, 'big')}"
        for member in structure.fields
        if (turn := {"sin_port": "ntohs", "sin6_port": "ntohs", "sin_addr": "ntohl"}.get(member.name))
        and any(raw := bytes.fromhex(member.hex))
    ]
    return f"{said}; read as an integer of this machine, {', and '.join(numbers)}." if numbers else f"{said}."


@click.command("address", short_help="explain an address")
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, an object for each address.")
def address(addresses: tuple[str, ...], as_json: bool) -> None:
    """Explain an address: as integer, hex and binary, its special ranges, and its bytes in memory.

    ADDRESS is an IPv4 or IPv6 address, A:PORT, [A]:PORT, an integer or 0x…:

    \b
        portside address 128.143.67.11:80
        portside address 2156872459
        portside address fe80::1%eth0
    """
    descriptions = []
    for text in addresses:
        try:
            descriptions.append(describe(parse_typed(text)))
        except MalformedAddress as error:
            raise explained(text, error) from error
    if as_json:
        print_array([_row(said) for said in descriptions])
        return
    columns = _columns()
    blocks = ["\n".join(lines_of(said, columns)) for said in descriptions]
    write_out("\n\n".join(blocks) + "\n")


def _columns() -> int:
    if sys.stdout is not None and sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, 32)
    return max(shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns, 32)


def _row(said: Description) -> dict[str, object]:
    return {name: getattr(said, name) for name in said.__dataclass_fields__}
