"""What the command's exit status says, for scripts and service managers."""

from __future__ import annotations

from typing import Final

from portside.errors import LocalError, PortsideError, UsageError

OK: Final = 0  # done, or stopped as asked, also when the drain deadline cut someone off
FAILED: Final = 1  # while running: the network, a timeout, a name nobody knows
USAGE: Final = 2  # what was typed or configured cannot be meant
NOT_STARTED: Final = 3  # this machine refuses: a port in use, no permission, workers that die at birth
CRASHING: Final = 4  # workers keep crashing
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells say it


def exit_status_of(error: BaseException) -> int:
    """Return the status that tells of the error."""
    match error:
        case UsageError():
            return USAGE
        case LocalError():
            return NOT_STARTED
        case PortsideError() | TimeoutError():
            return FAILED
        case KeyboardInterrupt():
            return INTERRUPTED
    return FAILED
