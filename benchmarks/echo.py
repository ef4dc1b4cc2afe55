"""Compares echo servers: ``python benchmarks/echo.py --help``."""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import checkout  # noqa: F401 - lets the imports below find the package
import report
from portside.cli.rig import machine
from portside.cli.rig.load import Load, LoadFailed, Slice, c_generator
from portside.cli.rig.servers import NotAvailable, Server
from servers import NAMES, REFERENCE, Starter

SIZES = (64, 1024, 10_240, 102_400)
SIZE_BYTES_MAX = 16 << 20
LARGE_BYTES, CONNECTIONS_LARGE, CONNECTIONS = 102_400, 10, 100
IDLE_CONNECTIONS, IDLE_RATE, IDLE_HOLD_S = 10_000, 1_000, 2.0
# Of large messages only one in so many is compared: the generator copies as much as the server does, and
# comparing on top of it would make it the slower of the two.
VERIFY_ALL_BYTES_MAX, VERIFY_LARGE = 4096, 16
# Visitors who come and go leave their ports in TIME-WAIT; so many addresses have ports enough.
SOURCES = 20
MODES = ("echo", "short", "idle")
AGAIN = f"{REFERENCE} again"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure: every server is put to it, in slices that take turns."""

    mode: str
    size: int
    connections: int
    options: dict[str, float]


@dataclass(frozen=True, slots=True)
class Result:
    """The slices of a case by server, one per round; the reference was measured twice a round."""

    case: Case
    slices: dict[str, list[Slice]]


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options, or end with status 2 and a sentence."""
    parser = argparse.ArgumentParser(
        prog="echo.py", description="Compare echo servers in short slices that take turns."
    )
    parser.add_argument("--mode", type=words(MODES), default=list(MODES), help="of echo,short,idle (default all)")
    parser.add_argument("--only", type=words(NAMES), default=list(NAMES), help=f"servers, of {','.join(NAMES)}")
    parser.add_argument(
        "--sizes", type=sizes_in_bytes, default=list(SIZES), help="bytes of a message, in the mode echo"
    )
    parser.add_argument(
        "--connections", type=number(int, 1, 100_000), help="instead of the 100, 10 or 10,000 that belong to a case"
    )
    parser.add_argument(
        "--rounds", type=number(int, 1, 1_000), default=5, help="slices per server and case (default 5; idle has one)"
    )
    parser.add_argument("--seconds", type=number(float, 0.05, 60), default=1.0, help="length of a slice (default 1)")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers' libraries")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--progress", action="store_true", help="say on stderr what is being measured")
    parser.add_argument("--no-namespace", action="store_true", help="measure in the network as it is")
    return parser.parse_args(arguments)


def words(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return a parser of words with commas between that accepts known words only."""

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        for word in chosen:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(known)}")
        return chosen

    return parse


def number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    """Return a parser of numbers within bounds: a measurement always ends."""

    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            if least <= (value := kind(text)) <= most:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")

    return parse


def sizes_in_bytes(text: str) -> list[float]:
    """Return numbers with commas between."""
    return list(map(number(int, 1, SIZE_BYTES_MAX), text.split(",")))


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield what the options ask to measure."""
    seconds = {"seconds": options.seconds}
    if "echo" in options.mode:
        for size in options.sizes:
            usual = CONNECTIONS_LARGE if size >= LARGE_BYTES else CONNECTIONS
            verify = 1 if size <= VERIFY_ALL_BYTES_MAX else VERIFY_LARGE
            yield Case("echo", size, options.connections or usual, {**seconds, "verify": verify})
    if "short" in options.mode:
        yield Case("short", 64, options.connections or CONNECTIONS, {**seconds, "sources": SOURCES})
    if "idle" in options.mode:
        idle = {"rate": IDLE_RATE, "hold": IDLE_HOLD_S, "sources": SOURCES}
        yield Case("idle", 64, options.connections or IDLE_CONNECTIONS, idle)


def measure(case: Case, servers: dict[str, Server], load: Load, rounds: int) -> Result:
    """Put every server to the case, in slices that take turns.

    Each round begins and ends with the reference, and the others stand in a new order: what drifts on
    the machine meets all alike.
    """
    slices: dict[str, list[Slice]] = {name: [] for name in (*servers, AGAIN)}
    others = [name for name in servers if name != REFERENCE]
    for _ in range(rounds):
        random.shuffle(others)
        for name in (REFERENCE, *others, AGAIN):
            server = servers[REFERENCE if name == AGAIN else name]
            slices[name].append(run_slice(case, server, load))
    return Result(case, slices)


def measure_fresh(case: Case, names: list[str], starter: Starter, load: Load) -> Result:
    """Put every server to the case once, newly started.

    The memory of a server that has worked before says little: it keeps what it had freed.
    """
    slices: dict[str, list[Slice]] = {}
    for name in names:
        with starter.started(name) as server:
            slices[name] = [run_slice(case, server, load)]
    return Result(case, slices)


def run_slice(case: Case, server: Server, load: Load) -> Slice:
    """Put one server to the case once."""
    if not server.is_running():
        return Slice(errors=1, first_error="the server has died")
    return load.run(server, case.mode, connections=case.connections, size=case.size, **case.options)


class Starts(Protocol):
    """Starts a server by its name, and stops it afterwards; it may raise NotAvailable."""

    def started(self, name: str) -> contextlib.AbstractContextManager[Server]:
        """Return the server while it runs."""


def start_all(
    names: Iterable[str], starter: Starts, stack: contextlib.ExitStack
) -> tuple[dict[str, Server], dict[str, str]]:
    """Return the servers that run until the stack is closed, and the reasons why others do not."""
    servers: dict[str, Server] = {}
    skipped: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            servers[name] = stack.enter_context(starter.started(name))
        except NotAvailable as reason:
            skipped[name] = str(reason)
    return servers, skipped


def run(options: argparse.Namespace, directory: Path, own_network: bool) -> None:
    """Measure and print; programs are compiled into the directory."""
    cores = machine.choose_cores()
    congestion = None if own_network else machine.CONGESTION_FOR_ALL
    load = Load(c_generator(directory), cores, congestion)
    starter = Starter(directory, options.python, cores.server, congestion)
    results = []
    with contextlib.ExitStack() as stack:
        servers, skipped = start_all([REFERENCE, *options.only], starter, stack)
        for case in cases(options):
            if options.progress:
                print(f"{case.mode}: {case.size:,} bytes …", file=sys.stderr, flush=True)
            if case.mode == "idle":
                stack.close()
                results.append(measure_fresh(case, list(servers), starter, load))
            else:
                results.append(measure(case, servers, load, options.rounds))
            if not options.json:
                print(report.table(results[-1]), end="\n\n", flush=True)
    about = report.About(own_network, machine.congestion_control(), cores, skipped)
    print(json.dumps(report.document(results, about), indent=2) if options.json else "\n".join(report.notes(about)))


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    options = parse_arguments(arguments)
    return in_its_place(partial(run, options), no_namespace=options.no_namespace)


def in_its_place(run: Callable[[Path, bool], None], *, no_namespace: bool) -> int:
    """Measure, and return the exit code. ``run`` is told a temporary folder, and whether the network is our own."""
    own_network = not no_namespace and machine.enter_network_namespace()
    machine.raise_file_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves through every `finally`
    try:
        with tempfile.TemporaryDirectory(prefix="portside-bench-") as place:
            run(Path(place), own_network)
    except (NotAvailable, LoadFailed) as reason:
        print(f"cannot measure: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
