"""Compares the simulated internet with other simulators: ``python benchmarks/sim_peers.py --help``.

Ours and a peer's are run in turns, each time in a process of its own on one core, with the same program and the same
bytes; a ratio is of the medians. Peers live in an environment of their own, made at the first run. simloop and simloom
need Python 3.12: without one they are left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from sim import figure, once

HERE: Final = Path(__file__).parent
LOCK: Final = HERE / "simulators.lock"
HOME: Final = HERE.parent / ".venv" / "simulators"
PYTHONS: Final = ("python3.13", "python3.12", sys.executable)
WITHIN_S: Final = 300


class Peer(NamedTuple):
    """What a peer is compared in: a case of ours, and the script that does the same with it."""

    name: str
    module: str
    case: str
    unit: str
    script: str
    argument: str
    size: int
    goal: str


PEERS: Final = (
    Peer("simloop", "simloop", "round trips", "round trips/s", "sim_echo.py", "simloop", 20_000, "at least 1.5"),
    Peer("simloom", "simloom", "round trips", "round trips/s", "sim_echo.py", "simloom", 5_000, ""),
    Peer(
        "async-solipsism",
        "async_solipsism",
        "round trips",
        "round trips/s",
        "sim_echo.py",
        "async-solipsism",
        5_000,
        "",
    ),
    Peer("ns-3", "ns", "bulk", "MB/s", "sim_ns3.py", "bulk", 64 << 20, "at least 3"),
    Peer("ns-3", "ns", "router hops", "hops/s", "sim_ns3.py", "hops", 10_000, ""),
)


def environment() -> Path | None:
    """Return the interpreter that has the peers, after installing them into an environment of their own if need be."""
    python = HOME / "bin" / "python"
    stamp = HOME / "made-of"
    if stamp.exists() and stamp.read_text() == LOCK.read_text():
        return python
    base = next((found for name in PYTHONS if (found := shutil.which(name)) and has_venv(found)), None)
    if base is None:
        return None
    shutil.rmtree(HOME, ignore_errors=True)
    subprocess.run([base, "-m", "venv", HOME], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", LOCK]
    if subprocess.run(install, stderr=subprocess.PIPE, check=False).returncode:
        return None
    stamp.write_text(LOCK.read_text())
    return python


def has_venv(python: str) -> bool:
    """Return whether it runs, and can make environments: a shim may stand for a version that is not there."""
    return subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0


def has(python: Path, module: str) -> bool:
    found = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", found], capture_output=True, check=False).returncode == 0


def measure(python: Path, peer: Peer, part: int) -> float:
    """Run a peer's script once, in a folder where it finds nothing but itself."""
    script = HERE / "peers" / peer.script
    size = max(peer.size // part, 10)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, script, peer.argument, str(size)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # where peers tell of tasks that were left
            check=True,
            cwd=folder,
            timeout=WITHIN_S,
            preexec_fn=pin,
        )
    return float(json.loads(done.stdout)[peer.unit])


def pin() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def compare(rounds: int, part: int) -> int:
    python = environment()
    if python is None:
        print("no environment for the other simulators could be made: is there a network, or a package index?")
        return 1
    peers = [peer for peer in PEERS if has(python, peer.module)]
    for name in dict.fromkeys(peer.name for peer in PEERS if peer not in peers):
        print(f"{name} is left out: it cannot be had for this Python")
    ours: dict[str, list[float]] = {}
    theirs: dict[Peer, list[float]] = {}
    for _ in range(rounds):
        for case in dict.fromkeys(peer.case for peer in peers):
            unit = next(peer.unit for peer in peers if peer.case == case)
            ours.setdefault(case, []).append(once(case, part)[unit])
            for peer in peers:
                if peer.case == case:
                    theirs.setdefault(peer, []).append(measure(python, peer, part))
    print("| case | peer | ours | theirs | ratio | goal |\n|---|---|---|---|---|---|")
    for peer, values in theirs.items():
        one, other = statistics.median(ours[peer.case]), statistics.median(values)
        cells = (f"{peer.case} ({peer.unit})", peer.name, figure(one), figure(other), f"{one / other:.2f}", peer.goal)
        print(f"| {' | '.join(cells)} |")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="sim_peers.py", description="Compare the simulation with other simulators.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run, in turns (5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, one round")
    chosen = parser.parse_args()
    return compare(1, 10) if chosen.quick else compare(chosen.rounds, 1)


if __name__ == "__main__":
    sys.exit(main())
