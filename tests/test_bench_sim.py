"""``benchmarks/sim.py``: every case once, small, in a process of its own as it is measured."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.waiting import WITHIN_S

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "sim.py"


@pytest.mark.parametrize(
    ("case", "units"),
    [
        ("round trips", {"round trips/s"}),
        ("bulk", {"MB/s", "frames/s"}),
        ("bulk, captured", {"MB/s", "frames/s"}),
        ("router hops", {"hops/s"}),
        ("seeds", {"seeds/s"}),
        ("1,000 hosts", {"seconds"}),
    ],
)
def test_a_case_runs_and_tells_its_figures(case: str, units: set[str]) -> None:
    command = [sys.executable, str(SCRIPT), "--one", case, "--part", "50"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(done.stdout)
    assert set(figures) == units
    assert all(value > 0 for value in figures.values())


def test_peers_are_compared_in_cases_of_ours_by_scripts_that_are_there() -> None:
    """The peers themselves are no part of the tests: they are installed when somebody asks for the comparison."""
    told = "from sim import CASES; import sim_peers; print([(p.case in CASES, p.script) for p in sim_peers.PEERS])"
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, timeout=WITHIN_S, check=True, cwd=SCRIPT.parent
    )
    pairs = ast.literal_eval(done.stdout)
    assert len(pairs) >= 5
    for is_case, script in pairs:
        assert is_case
        assert (SCRIPT.parent / "peers" / script).is_file()
