"""``portside connections``: the sockets of this machine, from the kernel itself where it can be asked."""

from __future__ import annotations

import difflib
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

import click

from portside.address import (
    PORT_MAX,
    Address,
    InternetAddress,
    UnixAddress,
    is_decimal,
    parse_ip,
    parse_port,
    split_host_port,
    unmapped,
)
from portside.cli.open_sockets import PROTOCOLS, Entry, list_sockets
from portside.cli.output import Column, harmless, print_array, styled, table_lines, width_of, write_out
from portside.errors import MalformedAddress, UsageError
from portside.net.sockets import getservbyname
from portside.wire.sock_diag import (
    STATES,
)

# ── choosing and sorting ─────────────────────────────────────────────────────────────────────────────────────────────

Test = Callable[[Entry], bool]


def parse_state(text: str) -> str:
    """Return the state that a word means, in any spelling of it. Raises: UsageError with the nearest one."""
    word = text.upper().replace("_", "-")
    word = _STATE_WORDS.get(word, word)
    if word not in STATES:
        near = difflib.get_close_matches(word, [*STATES, *_STATE_WORDS], n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(STATES)}"
        raise UsageError(f"there is no state {text!r}; {hint}")
    return word


# How ss and netstat write them.
_STATE_WORDS: Final = {
    "LISTENING": "LISTEN",
    "ESTAB": "ESTABLISHED",
    "SYN-RECV": "SYN-RECEIVED",
    "FIN-WAIT1": "FIN-WAIT-1",
    "FIN-WAIT2": "FIN-WAIT-2",
    "CLOSE": "CLOSED",
    "UNCONN": "UNCONNECTED",
}


def by_port(text: str) -> Test:
    """Return the test for a port at either end, given as its number or its service's name. Raises: UsageError."""
    ports = ports_of(text)

    def has_port(entry: Entry) -> bool:
        ends = (entry.socket.local, entry.socket.peer)
        return any(isinstance(end, InternetAddress) and end.port in ports for end in ends)

    return has_port


def ports_of(service: str) -> set[int]:
    """Return the port with that number, or those of a service of this system. Raises: UsageError."""
    if is_decimal(service):
        return {parse_port(service)}
    ports = set()
    for protocol in ("tcp", "udp"):
        try:
            ports.add(getservbyname(service, protocol))
        except OSError:
            continue
    if not ports:
        raise UsageError(f"{service!r} is neither a port from 0 to {PORT_MAX} nor a service of this system")
    return ports


def by_peer(text: str) -> Test:
    """Return the test for the peer: an address, A:PORT, :PORT, a network, or a unix path. Raises: UsageError."""
    if text.startswith(("/", "@", "unix:")):
        path = text.removeprefix("unix:")
        return lambda entry: isinstance(entry.socket.peer, UnixAddress) and entry.socket.peer.path == path
    try:
        network, port = _parse_peer(text)
    except (MalformedAddress, ValueError) as error:
        raise UsageError(f"{text!r} is no peer: an address, ADDRESS:PORT, :PORT, a network or a unix path") from error

    def has_peer(entry: Entry) -> bool:
        peer = entry.socket.peer
        if not isinstance(peer, InternetAddress) or port not in {None, peer.port}:
            return False
        return network is None or unmapped(_ip_of(peer.host)) in network

    return has_peer


def _parse_peer(text: str) -> tuple[IPv4Network | IPv6Network | None, int | None]:
    if "/" in text:
        return ip_network(text, strict=False), None
    host, port_text = split_host_port(text)
    port = parse_port(port_text) if port_text is not None else None
    if not host and port is not None:
        return None, port
    return ip_network(unmapped(_ip_of(host))), port


@lru_cache(maxsize=65_536)
def _ip_of(host: str) -> Any:
    """Return the address without its zone: the filter and the order look at the number alone."""
    return parse_ip(host.partition("%")[0])


def by_owner(text: str) -> Test:
    """Return the test for the owner: a user's name or number, a process's number or the name of its program."""
    number = int(text) if is_decimal(text) and len(text) < 12 else None

    def has_owner(entry: Entry) -> bool:
        if entry.user == text or (number is not None and entry.socket.uid == number):
            return True
        return any(text == process.program or number == process.pid for process in entry.processes)

    return has_owner


def order_of(entry: Entry) -> tuple[object, ...]:
    """Return what to sort by: protocol, listening sockets first, then our end, the peer's, and the inode."""
    found = entry.socket
    return (
        PROTOCOLS.index(found.protocol),
        not found.is_listening,
        *_order_of_end(found.local),
        *_order_of_end(found.peer),
        found.kind,
        found.inode,
    )


def _order_of_end(end: Address | None) -> tuple[int, int, int, str]:
    if isinstance(end, InternetAddress):
        ip = _ip_of(end.host)
        return ip.version, int(ip), end.port, ""
    # Sockets with a name come before those without.
    return (1, 0, 0, "") if end is None or not end.path else (0, 0, 0, end.path)


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def row_of(entry: Entry) -> dict[str, object]:
    """Return the row with the keys of --json, documented in docs/names.md."""
    found = entry.socket
    return {
        "protocol": found.protocol,
        "type": found.kind,
        "family": found.family,
        "state": found.state,
        "local": found.local,
        "peer": found.peer,
        "receive_queue": found.receive_queue,
        "send_queue": found.send_queue,
        "uid": found.uid,
        "user": entry.user,
        "processes": [{"pid": process.pid, "program": process.program} for process in entry.processes],
        "inode": found.inode or None,
        "peer_inode": found.peer_inode,
    }


_HEAD: Final = (Column("protocol", "PROTO"), Column("state"))
_UNIX_HEAD: Final = (Column("type"), Column("state"))
_QUEUES: Final = (Column("receive_queue", "RECV", right=True), Column("send_queue", "SEND", right=True))
_ENDS: Final = (Column("local"), Column("peer"))
_OWNER: Final = Column("owner")


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns stand in the table, and which cells go to lines of their own below their row."""

    columns: tuple[Column, ...]
    below: tuple[str, ...] = ()


def _layouts(head: tuple[Column, ...]) -> tuple[Layout, ...]:
    """Return the layouts from the widest to the narrowest. IPv6's longest addresses fit 80 columns in the third."""
    return (
        Layout((*head, *_QUEUES, *_ENDS, _OWNER)),
        Layout((*head, *_QUEUES, *_ENDS), below=("owner",)),
        Layout((*head, *_QUEUES, _ENDS[0]), below=("peer", "owner")),
        Layout((*head, _ENDS[0]), below=("peer", "queues", "owner")),
    )


def listing_lines(entries: Sequence[Entry], columns: int | None, *, numeric: bool = False) -> list[str]:
    """Return the lines of the listing: internet sockets in one table, unix sockets in another below it.

    ``columns`` is the width of the terminal, None where there is none: then every socket is one line.
    """
    internet = [_cells_of(entry, numeric) for entry in entries if entry.socket.protocol != "unix"]
    unix = [_cells_of(entry, numeric) for entry in entries if entry.socket.protocol == "unix"]
    lines = _fitting_lines(internet, _layouts(_HEAD), columns) if internet else []
    if unix:
        lines += [""] if lines else []
        lines += _fitting_lines(unix, _layouts(_UNIX_HEAD), columns)
    return lines


def _cells_of(entry: Entry, numeric: bool) -> dict[str, str | None]:
    found = entry.socket
    return {
        "protocol": found.protocol,
        "type": f"unix {found.kind}",
        "state": found.state,
        "receive_queue": _text(found.receive_queue),
        "send_queue": _text(found.send_queue),
        "queues": f"recv {_text(found.receive_queue)} send {_text(found.send_queue)}",
        "local": _end(found.local, found.inode),
        "peer": _end(found.peer, found.peer_inode),
        "owner": _owner(entry, numeric),
    }


def _text(number: int | None) -> str:
    return "-" if number is None else str(number)


def _end(end: Address | None, inode: int | None) -> str | None:
    """Return how an end is shown; a unix socket without a name by its inode, as ``#4711``."""
    if isinstance(end, UnixAddress):
        return end.path or (f"#{inode}" if inode else None)
    return str(end) if end else None


def _owner(entry: Entry, numeric: bool) -> str | None:
    user = _text(entry.socket.uid) if numeric and entry.socket.uid is not None else entry.user
    processes = [f"{process.program} ({process.pid})" for process in entry.processes[:1]]
    if len(entry.processes) > 1:
        processes.append(f"and {len(entry.processes) - 1} more")
    return " ".join(part for part in (user, *processes) if part) or None


def _fitting_lines(rows: Sequence[dict[str, str | None]], layouts: Sequence[Layout], columns: int | None) -> list[str]:
    """Return the lines of the first layout that fits; the last one, if none does."""
    lines: list[str] = []
    for layout in layouts:
        lines = _layout_lines(rows, layout)
        if columns is None or max(map(width_of, lines)) <= columns:
            break
    heading, *rest = lines
    return [styled(heading, "bold", stream=sys.stdout), *rest]


def _layout_lines(rows: Sequence[dict[str, str | None]], layout: Layout) -> list[str]:
    heading, *lines = table_lines(rows, layout.columns)
    at = heading.index("LOCAL")
    folded = [heading]
    for row, line in zip(rows, lines, strict=True):
        folded.append(line)
        # The peer's address stands right below ours, and its "to" before the column.
        folded += [
            f"{'to ' if key == 'peer' else '':>{at}}{harmless(cell)}" for key in layout.below if (cell := row[key])
        ]
    return folded


def choose(entries: Iterable[Entry], tests: Sequence[Test]) -> list[Entry]:
    """Return the entries that pass every test, sorted."""
    return sorted((entry for entry in entries if all(test(entry) for test in tests)), key=order_of)


@click.command("connections", short_help="list the sockets of this machine")
@click.option("--listening", is_flag=True, help="Only sockets that anybody may begin to talk to.")
@click.option("--tcp", is_flag=True, help="TCP.")
@click.option("--udp", is_flag=True, help="UDP.")
@click.option("--unix", is_flag=True, help="Unix sockets; without any of the three only those with a name.")
@click.option("--port", metavar="PORT", multiple=True, help="Only this port, at either end: a number or a service.")
@click.option(
    "--peer", metavar="PEER", multiple=True, help="Only this peer: ADDRESS, ADDRESS:PORT, :PORT, a network, a path."
)
@click.option("--state", metavar="STATE", multiple=True, help="Only this state: ESTABLISHED, LISTEN, TIME-WAIT …")
@click.option("--owner", metavar="OWNER", multiple=True, help="Only this owner: a user, a process number, a program.")
@click.option("--numeric", is_flag=True, help="User numbers instead of names. Addresses and ports are always numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def connections(
    *,
    listening: bool,
    tcp: bool,
    udp: bool,
    unix: bool,
    port: tuple[str, ...],
    peer: tuple[str, ...],
    state: tuple[str, ...],
    owner: tuple[str, ...],
    numeric: bool,
    as_json: bool,
) -> None:
    """List the sockets of this machine: protocol, state, queues, both ends and owner.

    Options of different kinds narrow the list; an option given again widens it. RECV and SEND count bytes not yet
    read and not yet acknowledged; of a listening socket, connections not yet accepted, and how many there may be.
    """
    asked = {name for name, wanted in zip(PROTOCOLS, (tcp, udp, unix), strict=True) if wanted}
    tests: list[Test] = []
    if listening:
        tests.append(lambda entry: entry.socket.is_listening)
    if state:
        states = {parse_state(text) for text in state}
        tests.append(lambda entry: entry.socket.state in states)
    for texts, test_of in ((port, by_port), (peer, by_peer), (owner, by_owner)):
        if texts:
            tests.append(_any_of([test_of(text) for text in texts]))
    if not asked:
        tests.append(_is_not_nameless)
    entries = choose(list_sockets(asked or set(PROTOCOLS)), tests)
    if as_json:
        print_array(row_of(entry) for entry in entries)
    elif entries:
        width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None
        write_out("".join(f"{line}\n" for line in listing_lines(entries, width, numeric=numeric)))
    else:
        sys.stderr.write("no socket is like that\n")


def _is_not_nameless(entry: Entry) -> bool:
    # Pairs without names are a program talking to itself; there are hundreds, and they would bury the rest.
    found = entry.socket
    return found.protocol != "unix" or any(
        isinstance(end, UnixAddress) and end.path for end in (found.local, found.peer)
    )


def _any_of(tests: Sequence[Test]) -> Test:
    return lambda entry: any(test(entry) for test in tests)
