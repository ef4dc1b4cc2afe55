"""What a program asks the machine for: time, chance, its name, processes. On a host it is the host that answers.

Whatever runs on a host, in this thread, sees that host's world; everything else in the process sees the real one. The
functions of the standard library are replaced once per process, when the first world runs, by ones that look whose
code is running. Nothing is imported or replaced before.
"""

from __future__ import annotations

import sys

from portside.sim.environment.escape import Escape

__all__ = ["Escape", "install"]

_is_installed = False


def install() -> None:
    """Replace what has to be replaced, the first time; after that only what has been imported since is looked for."""
    global _is_installed
    if _is_installed:
        if "pycares" in sys.modules:
            from portside.sim.environment import refusals

            refusals.refuse_native_resolver()
        return
    _is_installed = True
    from portside.sim.environment import clocks, dates, dice, identity, locks, network, polling, refusals
    from portside.sim.environment.replacing import replace

    parts = (clocks, dice, identity, locks, network, polling, refusals)
    replace([replacement for part in parts for replacement in part.replacements()])
    dates.install()
    dice.install()
    locks.install()
    network.install()
    polling.install()
    refusals.install()
