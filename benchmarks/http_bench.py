"""Compares HTTP servers: ``python benchmarks/http_bench.py --help``. (A module ``http`` would hide Python's own.)"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import checkout  # noqa: F401 - lets the imports below find the package
import ftp_report
import report
from echo import in_its_place, number, start_all, words
from ftp import IN_MEMORY, measure, size
from ftp_load import C, Load, kept_awake
from ftp_report import Result
from http_cases import CASES, SMALL_BYTES, Comparison, Sizes
from http_servers import FILE_SERVERS, HELLO_SERVERS, Starter
from portside.cli.rig import machine
from portside.cli.rig.load import compile_c

NAMES = tuple(dict.fromkeys((*FILE_SERVERS, *HELLO_SERVERS)))


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options, or end with status 2 and a sentence."""
    usual = Sizes()
    parser = argparse.ArgumentParser(
        prog="http_bench.py", description="Compare HTTP servers in short slices that take turns."
    )
    parser.add_argument("--case", type=words(tuple(CASES)), default=list(CASES), help=f"of {','.join(CASES)}")
    parser.add_argument("--servers", type=words(NAMES), default=list(NAMES), help=f"of {','.join(NAMES)}")
    parser.add_argument(
        "--size", type=size, default=usual.large_bytes, help="of the large file, as 64MiB (default 100MiB)"
    )
    counts = {"files": 100_000, "connections": 10_000, "downloads": 1_000}
    for name, most in counts.items():
        default = getattr(usual, name)
        parser.add_argument(f"--{name}", type=number(int, 1, most), default=default, help=f"default {default:,}")
    parser.add_argument(
        "--rounds", type=number(int, 1, 1_000), default=5, help="slices per server and case (default 5)"
    )
    parser.add_argument(
        "--seconds", type=number(float, 0.05, 60), default=usual.seconds, help="length of a slice (default 1)"
    )
    parser.add_argument("--dir", type=Path, help="where the files are (default: in memory)")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers' libraries")
    urgent = "servers and load go before everybody else's work: for a machine that others use too, as root"
    parser.add_argument("--urgent", action="store_true", help=urgent)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--progress", action="store_true", help="say on stderr what is being measured")
    parser.add_argument("--no-namespace", action="store_true", help="measure in the network as it is")
    return parser.parse_args(arguments)


@contextlib.contextmanager
def files_in(wanted: Path | None) -> Iterator[Path]:
    """Return a folder of our own in the wanted one, in memory if none is, and remove it afterwards."""
    folder = wanted or (IN_MEMORY if IN_MEMORY.is_dir() else Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix="portside-http-", dir=folder) as place:
        Path(place).chmod(0o755)
        yield Path(place)


def make_files(load: Load, sizes: Sizes, comparisons: list[Comparison]) -> None:
    """Make what the cases ask for. Raises: LoadFailed."""
    wanted = {comparison.case.options.get("folder") for comparison in comparisons}
    for folder, files, size_bytes in (("small", sizes.files, SMALL_BYTES), ("large", 1, sizes.large_bytes)):
        if folder in wanted:
            load.make_files(folder, files=files, size=size_bytes)


def compare(
    comparison: Comparison, starter: Starter, load: Load, options: argparse.Namespace
) -> tuple[Result, dict[str, str]]:
    """Return the turns of all servers of a case, and the reasons why some are not among them."""
    reference, *others = comparison.servers
    with contextlib.ExitStack() as stack:
        names = [reference, *(name for name in others if name in options.servers)]
        servers, skipped = start_all(names, starter, stack)
        if reference not in servers:  # then whoever is there is the measure of the others
            reference = next(iter(servers))
        return measure(comparison.case, servers, load, options.rounds, reference), skipped


def run(options: argparse.Namespace, programs: Path, own_network: bool) -> None:
    """Measure and print; programs are compiled into the folder, and servers find what is theirs there."""
    programs.chmod(0o755)
    sizes = Sizes(options.size, options.files, options.connections, options.downloads, options.seconds)
    comparisons = [CASES[name](sizes) for name in dict.fromkeys(options.case)]
    cores = machine.choose_cores()
    congestion = None if own_network else machine.CONGESTION_FOR_ALL
    generator = compile_c(C / "http_load.c", programs, str(C / "ftp_content.c"))
    results: list[Result] = []
    skipped: dict[str, str] = {}
    with files_in(options.dir) as root, kept_awake(cores, programs) as awake:
        load = Load(generator, cores, congestion, root, awake, options.urgent)
        make_files(load, sizes, comparisons)
        for comparison in comparisons:
            if options.progress:
                print(f"{comparison.case.title} …", file=sys.stderr, flush=True)
            files = None if comparison.servers is HELLO_SERVERS else root
            result, missing = compare(comparison, Starter(files, programs, options.python, cores.server), load, options)
            results.append(result)
            skipped |= missing
            if not options.json:
                print(ftp_report.table(result), end="\n\n", flush=True)
    about = report.About(own_network, machine.congestion_control(), cores, skipped)
    if options.json:
        print(json.dumps(document(results, about), indent=2))
    else:
        print("\n".join(report.notes(about)))


def document(results: list[Result], about: report.About) -> dict[str, object]:
    """Return everything, every slice too, as plain values."""
    return {
        "about": asdict(about),
        "notes": report.notes(about),
        "cases": [{**asdict(result.case), "servers": ftp_report.servers(result)} for result in results],
    }


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    options = parse_arguments(arguments)
    return in_its_place(partial(run, options), no_namespace=options.no_namespace)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
