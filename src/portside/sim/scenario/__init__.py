"""Worlds from a file: hosts, links, programs and faults in TOML. docs/simulation.md has the format."""

from portside.sim.scenario.reading import Scenario, read_scenario
from portside.sim.scenario.running import Outcome, run_scenario

__all__ = ["Outcome", "Scenario", "read_scenario", "run_scenario"]
