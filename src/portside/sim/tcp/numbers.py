"""Sequence numbers, states and control bits.

Within a connection a sequence number is a plain integer that only grows; the 32 bits of the header are what is left of
it on the wire. So nothing here compares modulo anything.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from portside.wire.tcp import Flags

FIN: Final = Flags.FIN
SYN: Final = Flags.SYN
RST: Final = Flags.RST
PSH: Final = Flags.PSH
ACK: Final = Flags.ACK
URG: Final = Flags.URG

WORD: Final = 0xFFFF_FFFF
HALF: Final = 1 << 31

# RFC 9293 section 3.3.2
CLOSED: Final = "CLOSED"
SYN_SENT: Final = "SYN-SENT"
SYN_RECEIVED: Final = "SYN-RECEIVED"
ESTABLISHED: Final = "ESTABLISHED"
FIN_WAIT_1: Final = "FIN-WAIT-1"
FIN_WAIT_2: Final = "FIN-WAIT-2"
CLOSE_WAIT: Final = "CLOSE-WAIT"
CLOSING: Final = "CLOSING"
LAST_ACK: Final = "LAST-ACK"
TIME_WAIT: Final = "TIME-WAIT"

RECEIVING: Final = frozenset({ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2})  # the peer's stream has not ended
SENDING: Final = frozenset({ESTABLISHED, CLOSE_WAIT})  # ours has not
FIN_SENT: Final = frozenset({FIN_WAIT_1, CLOSING, LAST_ACK})  # and is not acknowledged


def unwrap(number: int, near: int) -> int:
    """Return the integer that a number of the header stands for: the one nearest to ``near``."""
    return near + ((number - near + HALF) & WORD) - HALF


def os_error(number: int) -> OSError:
    """Return the error that the kernel would give."""
    return OSError(number, os.strerror(number))


def timed_out() -> OSError:
    """Return what a user is told when the peer has not answered for too long."""
    return os_error(errno.ETIMEDOUT)
