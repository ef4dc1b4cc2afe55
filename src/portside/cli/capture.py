"""``portside capture``: the packets that pass by on an interface, or that a file holds, shown, told and written."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final, cast

import click

from portside.address import parse_ip, unmapped
from portside.cli import exit_status
from portside.cli.address_facts import explained
from portside.cli.capture_files import STANDARD, CaptureFile, read_items
from portside.cli.capture_services import ServiceCapture
from portside.cli.capture_wire import Stop, WireCapture, check_interface
from portside.cli.connections import ports_of
from portside.cli.control import control_option
from portside.cli.main import version
from portside.cli.output import harmless, wants_colour, write_out
from portside.errors import MalformedAddress, NetworkError, PortsideError, UsageError
from portside.net.sockets import interface_names
from portside.observe.packets.boxes import Boxes
from portside.observe.packets.dissect import dissect
from portside.observe.packets.lines import LineMaker
from portside.observe.packets.rows import row_of
from portside.observe.packets.summaries import Summarizer
from portside.observe.packets.wanted import PROTOCOLS, Network, Protocol, Wanted
from portside.units import parse_duration
from portside.wire.bpf import build_bpf
from portside.wire.captured import CapturedPacket, Item

PIPE_COLUMNS: Final = 100  # of drawings that go elsewhere than to a terminal


# ── which packets ────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_network(text: str) -> Network:
    """Return the network that an address or a network in text means. Raises: UsageError."""
    try:
        if "/" in text:
            return ip_network(text, strict=False)
        return ip_network(unmapped(parse_ip(text.partition("%")[0])))
    except MalformedAddress as error:
        raise explained(text, error) from error
    except ValueError as error:
        raise UsageError(f"{text!r} is no network: {error}") from error


def parse_wanted(ports: Iterable[str], hosts: Iterable[str], protocols: Iterable[str]) -> Wanted:
    """Return the filter that the options mean. Raises: UsageError."""
    return Wanted(
        frozenset(port for text in ports for port in ports_of(text)),
        tuple(map(parse_network, hosts)),
        cast(frozenset[Protocol], frozenset(protocols)),
    )


# ── how they are shown ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Show:
    """Shows packets on standard output: as lines, as drawings below their lines, or as objects."""

    as_json: bool
    verbosity: int
    line_maker: LineMaker
    boxes: Boxes
    summarizer: Summarizer = field(default_factory=Summarizer)
    shown: int = 0

    def packet(self, packet: CapturedPacket) -> None:
        dissected = dissect(packet)
        relative = self.summarizer.relative(dissected)
        self.shown += 1
        if self.as_json:
            summary = self.summarizer.summarize(dissected, relative)
            # Its values are JSON's own already; a walk through all of them would double the time.
            write_out(json.dumps(row_of(self.shown, dissected, summary, relative), allow_nan=False) + "\n")
            return
        summary = self.summarizer.summarize(dissected, relative, is_short=self.line_maker.is_narrow)
        lines = self.line_maker.lines(packet, summary)
        if self.verbosity:
            lines += [f"  {harmless(comment)}" for comment in packet.comments]
            lines += [*self.boxes.lines(dissected, relative), ""]
        write_out("".join(f"{line}\n" for line in lines))

    def flush(self) -> None:
        if sys.stdout is not None:
            sys.stdout.flush()


def make_show(*, as_json: bool, verbosity: int, shows_interface: bool, shows_date: bool) -> Show:
    colours = wants_colour(sys.stdout)
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    columns = shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns
    lines = LineMaker(
        columns=columns if is_terminal else None,
        colours=colours,
        shows_interface=shows_interface,
        shows_date=shows_date,
    )
    return Show(as_json, verbosity, lines, Boxes(columns, colours, shows_all=verbosity > 1))


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Course:
    """Where the packets of one capture go that are wanted, and how many of them there may be."""

    wanted: Wanted
    show: Show | None
    file: CaptureFile | None
    count: int | None
    stop: Stop | None = None
    taken: int = 0

    @property
    def is_over(self) -> bool:
        """Whether there are as many packets as may be, or somebody has asked twice to stop."""
        if self.stop is not None and self.stop.signals > 1:
            return True
        return self.count is not None and self.taken >= self.count

    def take(self, items: Iterable[Item]) -> None:
        """Take what is wanted of the items, until it is over."""
        for item in items:
            if self.is_over:
                break
            if isinstance(item, CapturedPacket):
                if not self.wanted.is_everything and not self.wanted.fits(dissect(item)):
                    continue
                self.taken += 1
                if self.show is not None:
                    self.show.packet(item)
            if self.file is not None:
                self.file.write(item)

    def flush(self) -> None:
        """Write what was taken; the file first, so that what was shown is kept, however this ends."""
        if self.file is not None:
            self.file.flush()
        if self.show is not None:
            self.show.flush()


@click.command(short_help="show what a service, or an interface, sends and receives")
@click.argument("service", metavar="[SERVICE]", required=False)
@control_option
@click.option("--connection", metavar="ID", help="Only this connection of the service, as ps names it.")
@click.option(
    "--peer", metavar="NET", multiple=True, help="Only connections of the service from this address or network."
)
@click.option("--wire", metavar="INTERFACE", help="Capture on this interface: lo, eth0 … or any.")
@click.option("-r", "--read", metavar="FILE", help="Read the packets of a pcapng or pcap file instead; - is stdin.")
@click.option("--port", metavar="PORT", multiple=True, help="Only this port, at either end: a number or a service.")
@click.option("--host", metavar="ADDRESS", multiple=True, help="Only this address or network, at either end.")
@click.option(
    "--protocol", type=click.Choice(PROTOCOLS), multiple=True, help="Only this protocol; icmp is that of IPv6 too."
)
@click.option("-w", "--write", metavar="FILE", help="Write the packets to a pcapng file, and show none; - is stdout.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many packets.")
@click.option("--seconds", metavar="TIME", help="End after this time: 10, 500ms, 5m …")
@click.option(
    "-v",
    "--verbose",
    count=True,
    help="Draw each packet, field by field; -vv with all of its bytes. Shows it with -w too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a packet.")
def capture(
    *,
    service: str | None,
    control: str | None,
    connection: str | None,
    peer: tuple[str, ...],
    wire: str | None,
    read: str | None,
    port: tuple[str, ...],
    host: tuple[str, ...],
    protocol: tuple[str, ...],
    write: str | None,
    count: int | None,
    seconds: str | None,
    verbose: int,
    as_json: bool,
) -> int:
    """Show packets: one line each, or with -v each header with its fields and bytes.

    Those of a SERVICE of a running server tell what its connections say, TLS taken off: no packet had just these bytes,
    but whatever reads captures can follow them. Asking needs the server's --control socket, and no capability.

    Options of different kinds narrow the filter; an option given again widens it. --port also finds ICMP errors about
    packets of the port. Capturing needs the capability CAP_NET_RAW, and ends with Ctrl-C.

    \b
        portside capture files --control /run/portside.sock -w talk.pcapng
        portside capture --wire lo --port 8000
        portside capture --wire any --protocol dns -v
        portside capture -r trace.pcapng --host 192.0.2.1
    """
    wanted = parse_wanted(port, host, protocol)
    if as_json and verbose:
        raise UsageError("--json tells every field already: -v does not go with it")
    if write == STANDARD and (as_json or verbose):
        raise UsageError("the file goes to standard output: --json and -v have no place left")
    is_shown = not write or as_json or verbose > 0
    show = (
        make_show(as_json=as_json, verbosity=verbose, shows_interface=wire == "any", shows_date=bool(read))
        if is_shown
        else None
    )
    if read and wire:
        raise UsageError("--wire captures, --read reads a file: give one or the other")
    if read:
        if seconds:
            raise UsageError("--seconds is for what happens now: a file is read to its end")
        return _read(read, write, Course(wanted, show, None, count))
    if service:
        if wire:
            raise UsageError("--wire captures an interface, SERVICE a server's own connections: give one or the other")
        peers = tuple(str(parse_network(text)) for text in peer)
        course = Course(wanted, show, None, count)
        with ServiceCapture(control, service, connection=connection, peers=peers) as source:
            return _capture_service(
                source, service, write, course, None if seconds is None else parse_duration(seconds)
            )
    if connection or peer:
        raise UsageError("--connection and --peer are for a SERVICE: --host and --port choose packets of an interface")
    if not wire:
        names = ", ".join([*sorted(interface_names().values()), "any"])
        raise UsageError(f"give a SERVICE of a running server, --wire INTERFACE ({names}), or --read FILE")
    return _capture(
        wire, write, Course(wanted, show, None, count), None if seconds is None else parse_duration(seconds)
    )


def _read(path: str, write: str | None, course: Course) -> int:
    with ExitStack() as stack:
        items = read_items(path)
        first = next(items, None)  # what is no capture is told before another file is touched
        course.file = _open_file(write, stack)
        course.take([] if first is None else [first])
        for item in items:
            course.take([item])
            if course.is_over:
                break
    if course.file is not None:
        _say(f"{_packets(course.taken)} written to {course.file.name}")
    return exit_status.OK


def _capture(interface: str, write: str | None, course: Course, seconds: float | None) -> int:
    check_interface(interface)
    failure: PortsideError | None = None
    with ExitStack() as stack:
        wire = stack.enter_context(WireCapture(interface, _program(course.wanted), filter_words=course.wanted.words))
        course.file = _open_file(write, stack)
        course.stop = stop = stack.enter_context(Stop())
        words = f" ({course.wanted.words})" if course.wanted.words else ""
        _say(f"capturing on {interface}{words}, until Ctrl-C")
        try:
            for batch in wire.batches(stop, seconds=seconds):
                course.take(batch)
                course.flush()
                if course.is_over:
                    break
        except NetworkError as error:  # it went down: what was captured before is kept
            failure = error
        received, dropped = wire.statistics()
        if course.file is not None:
            course.file.statistics(time.time_ns(), received=received, dropped=dropped)
    where = f" written to {course.file.name}" if course.file is not None else ""
    _say(f"{_packets(course.taken)}{where}, {dropped:,} dropped by the kernel")
    if failure is not None:
        raise failure
    return exit_status.OK


def _capture_service(
    source: ServiceCapture, service: str, write: str | None, course: Course, seconds: float | None
) -> int:
    with ExitStack() as stack:
        course.file = _open_file(write, stack)
        course.stop = stop = stack.enter_context(Stop())
        _say(f"capturing {service}, until Ctrl-C")
        for batch in source.batches(stop, seconds=seconds):
            course.take(batch)
            course.flush()
            if course.is_over:
                break
    where = f" written to {course.file.name}" if course.file is not None else ""
    _say(f"{_packets(course.taken)}{where}" + (f", {source.lost_bytes:,} bytes lost" if source.lost_bytes else ""))
    return exit_status.OK


def _program(wanted: Wanted) -> bytes:
    try:
        return build_bpf(wanted.condition)
    except ValueError:  # more than the kernel takes: it hands everything over, and all is decided here
        return build_bpf(Wanted().condition)


def _open_file(path: str | None, stack: ExitStack) -> CaptureFile | None:
    if path is None:
        return None
    file = CaptureFile(path, version())
    stack.callback(file.close)
    return file


def _packets(count: int) -> str:
    return "1 packet" if count == 1 else f"{count:,} packets"


def _say(sentence: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()
