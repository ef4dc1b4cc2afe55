"""What a run shows people: one page with its topology, its conversations, its windows and times, its counts."""

from portside.sim.report.page import write_report
from portside.sim.report.plot import Curve

__all__ = ["Curve", "write_report"]
