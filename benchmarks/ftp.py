"""Compares FTP servers: ``python benchmarks/ftp.py --help``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import checkout  # noqa: F401 - lets the imports below find the package
import ftp_report
import report
from echo import in_its_place, number, start_all, words
from ftp_cases import CASES, ONE_BYTES, SMALL_BYTES, USUAL, Case, Sizes
from ftp_load import Load, Slice, compile_generator, kept_awake
from ftp_report import Place, Result, Turn
from ftp_servers import NAMES, NOBODY, REFERENCE, Starter, make_certificate
from portside.cli.rig import machine
from portside.cli.rig.servers import Server
from portside.errors import UsageError
from portside.units import parse_size, show_size

IN_MEMORY = Path("/dev/shm")
SIZE_BYTES_MAX = 16 << 30
# The file to download, two uploads at a time (what is replaced is there until the new one is whole), and a margin.
ROOM_IN_SIZES = 4
# The first use of a page costs a virtual machine ten times what a later one does, and the kernel likes to give those
# that were used last: so many times the large file is written before anything is measured.
WRITTEN_BEFORE = 3


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options, or end with status 2 and a sentence."""
    usual = Sizes()
    parser = argparse.ArgumentParser(prog="ftp.py", description="Compare FTP servers in short slices that take turns.")
    case_help = f"of {','.join(CASES)} (default {','.join(USUAL)})"
    parser.add_argument("--case", type=words(tuple(CASES)), default=list(USUAL), help=case_help)
    parser.add_argument("--servers", type=words(NAMES), default=list(NAMES), help=f"of {','.join(NAMES)}")
    parser.add_argument(
        "--size", type=size, default=usual.large_bytes, help="of the large file, as 64MiB (default 1GiB)"
    )
    counts = {"files": 100_000, "sessions": 10_000, "idle-sessions": 20_000}
    for name, most in counts.items():
        default = getattr(usual, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=number(int, 1, most), default=default, help=f"default {default:,}")
    parser.add_argument(
        "--rounds", type=number(int, 1, 1_000), default=5, help="slices per server and case (default 5; idle has one)"
    )
    parser.add_argument(
        "--seconds",
        type=number(float, 0.05, 60),
        default=usual.seconds,
        help="length of a slice that has no end itself",
    )
    parser.add_argument("--dir", type=Path, help="where the files are (default: in memory, where there is room)")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has pyftpdlib")
    parser.add_argument("--peers", type=Path, help="folder with packages unpacked, for servers that are not installed")
    urgent = "servers and load go before everybody else's work: for a machine that others use too, as root"
    parser.add_argument("--urgent", action="store_true", help=urgent)
    time_wait = "leave the ports of closed connections in TIME-WAIT for a minute, as a machine does"
    parser.add_argument("--time-wait", action="store_true", help=time_wait)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--progress", action="store_true", help="say on stderr what is being measured")
    parser.add_argument("--no-namespace", action="store_true", help="measure in the network as it is")
    return parser.parse_args(arguments)


def size(text: str) -> int:
    """Return a size in bytes within bounds."""
    with contextlib.suppress(UsageError):
        if 1 <= (size_bytes := parse_size(text)) <= SIZE_BYTES_MAX:
            return size_bytes
    raise argparse.ArgumentTypeError(f"{text!r} is not a size up to {show_size(SIZE_BYTES_MAX)}")


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────────────


def choose_folder(wanted: Path | None, size_bytes: int) -> Path:
    """Return where the files shall be: in memory if there is room, as the servers are measured and not the disk."""
    if wanted is not None:
        return wanted
    in_memory = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM_IN_SIZES * size_bytes
    return IN_MEMORY if in_memory else Path(tempfile.gettempdir())


def kind_of(folder: Path) -> str:
    """Return the kind of file system that the folder is on. Source: proc_pid_mounts(5)."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    over = [(mount[1], mount[2]) for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    return max(over, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]


def make_files(load: Load, sizes: Sizes, cases: list[Case]) -> None:
    """Make what the cases ask for, and the folder for uploads, where everyone may write. Raises: LoadFailed."""
    up = load.root / "up"
    up.mkdir(mode=0o777)
    up.chmod(0o777)
    if os.geteuid() == 0:
        os.chown(up, NOBODY, NOBODY)
    wanted = {case.options.get("folder") for case in cases}
    for folder, files, size_bytes in (
        ("big", 1, sizes.large_bytes),
        ("small", sizes.files, SMALL_BYTES),
        ("one", 1, ONE_BYTES),
    ):
        if folder in wanted:
            load.make_files(folder, files=files, size=size_bytes)
    if any(case.options["mode"] == "put" for case in cases):
        for _ in range(WRITTEN_BEFORE):
            load.make_files("up", files=1, size=sizes.large_bytes)
        for path in up.iterdir():
            path.unlink()


# ── the network ──────────────────────────────────────────────────────────────────────────────────────────────────────


TIME_WAITS_MAX = 2_000


def forget_ports_early() -> None:
    """Let few closed data connections keep their ports, in a network namespace of our own.

    Whoever ends a connection keeps its port for a minute (TIME-WAIT). After some ten thousand small files the kernel
    searches milliseconds for a free one, and servers would pay for what those before them have used up.
    """
    with contextlib.suppress(OSError):
        (machine.PROC / "sys/net/ipv4/tcp_max_tw_buckets").write_text(str(TIME_WAITS_MAX))


# ── the slices ───────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(case: Case, servers: dict[str, Server], load: Load, rounds: int, reference: str = REFERENCE) -> Result:
    """Put every server to the case, in slices that take turns with the reference.

    A round has the others in a new order. What drifts on the machine meets a slice and its neighbours alike, and the
    reference is compared with itself.
    """
    again = f"{reference} again"
    turns: dict[str, list[Turn]] = {name: [] for name in (*servers, again)}
    others = [name for name in servers if name != reference]
    for _ in range(rounds):
        random.shuffle(others)
        before = first = run_slice(case, servers[reference], load)
        for name in others:
            mine = run_slice(case, servers[name], load)
            after = run_slice(case, servers[reference], load)
            turns[name].append(Turn(mine, (before, after)))
            before = after
        last = run_slice(case, servers[reference], load) if before is first else before
        turns[reference].append(Turn(first, (first,)))
        turns[again].append(Turn(last, (first,)))
    return Result(case, turns)


def measure_new(case: Case, names: list[str], starter: Starter, load: Load) -> Result:
    """Put every server to the case once, newly started: the memory of one that has worked before says little."""
    turns: dict[str, list[Turn]] = {}
    for name in names:
        with starter.started(name) as server:
            turns[name] = [Turn(run_slice(case, server, load), ())]
    return Result(case, turns)


def run_slice(case: Case, server: Server, load: Load) -> Slice:
    """Put one server to the case once."""
    if not server.is_running():
        return Slice(errors=1, first_error="the server has died")
    return load.run(server, case.options)


@contextlib.contextmanager
def files_in(folder: Path) -> Iterator[Path]:
    """Return a folder of our own there, which other users may enter, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="portside-ftp-", dir=folder) as place:
        Path(place).chmod(0o755)
        yield Path(place)


def run(options: argparse.Namespace, programs: Path, own_network: bool) -> None:
    """Measure and print; programs are compiled into the folder, and servers find what is theirs there."""
    programs.chmod(0o755)
    if own_network and not options.time_wait:
        forget_ports_early()
    sizes = Sizes(options.size, options.files, options.sessions, options.idle_sessions, options.seconds)
    cases = [CASES[name](sizes) for name in dict.fromkeys(options.case)]
    folder = choose_folder(options.dir, options.size)
    cores = machine.choose_cores()
    congestion = None if own_network else machine.CONGESTION_FOR_ALL
    with files_in(folder) as root, kept_awake(cores, programs) as awake, contextlib.ExitStack() as stack:
        load = Load(compile_generator(programs), cores, congestion, root, awake, options.urgent)
        make_files(load, sizes, cases)
        certificate = make_certificate(programs)
        starter = Starter(root, programs, certificate, options.python, options.peers, cores.server, congestion)
        servers, skipped = start_all([REFERENCE, *options.servers], starter, stack)
        results = []
        for case in sorted(cases, key=lambda one: one.has_new_servers):
            if options.progress:
                print(f"{case.title} …", file=sys.stderr, flush=True)
            if case.has_new_servers:
                stack.close()
                results.append(measure_new(case, list(servers), starter, load))
            else:
                results.append(measure(case, servers, load, options.rounds))
            if not options.json:
                print(ftp_report.table(results[-1]), end="\n\n", flush=True)
        about = report.About(own_network, machine.congestion_control(), cores, skipped)
        place = Place(str(folder), kind_of(folder))
    if options.json:
        print(json.dumps(ftp_report.document(results, about, place), indent=2))
    else:
        print("\n".join(ftp_report.notes(about, place, results)))


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    options = parse_arguments(arguments)
    return in_its_place(partial(run, options), no_namespace=options.no_namespace)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
