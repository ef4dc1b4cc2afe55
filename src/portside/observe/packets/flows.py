"""TCP connections as they pass by: sequence numbers counted from each side's first, and windows as they are meant.

Source: RFC 9293 section 3.4; RFC 7323 section 2 for the scale, which both SYNs must carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from portside.address import IPAddress
from portside.wire.tcp import Flags, Segment
from portside.wire.tcp_options import WindowScale

FLOWS_MAX: Final = 65_536  # directions that are remembered; the oldest are forgotten first
_WRAP: Final = 1 << 32
_HALF: Final = 1 << 31

_End = tuple[IPAddress, int]


@dataclass(slots=True)
class _Direction:
    """What one side sends: the number before its first byte, the number behind its last one, its scale if known."""

    first: int
    following: int
    shift: int | None = None


@dataclass(frozen=True, slots=True)
class Relative:
    """A segment's numbers as people want them.

    ``sequence`` and ``acknowledgement`` count from the SYN as 0; where it was not seen, from what came first as 1.
    ``window_bytes`` is scaled where the scale is known. ``is_again``: all of its bytes have passed by before.
    """

    sequence: int
    acknowledgement: int
    window_bytes: int
    is_again: bool


class Flows:
    """Remembers each direction of each connection it is shown, up to a number."""

    def __init__(self, flows_max: int = FLOWS_MAX) -> None:
        self._directions: dict[tuple[_End, _End], _Direction] = {}
        self._flows_max = flows_max

    def follow(self, source: IPAddress, target: IPAddress, segment: Segment) -> Relative:
        """Return the segment's numbers within its connection, and remember what it tells of them."""
        ours, theirs = (source, segment.source_port), (target, segment.target_port)
        is_syn, is_ack = bool(segment.flags & Flags.SYN), bool(segment.flags & Flags.ACK)
        mine = self._directions.get((ours, theirs))
        if is_syn and (mine is None or mine.first != segment.sequence):
            mine = self._remember((ours, theirs), segment.sequence)
            if not is_ack:
                self._directions.pop((theirs, ours), None)  # a new connection between the same ports
        elif mine is None:
            mine = self._remember((ours, theirs), segment.sequence - 1)
            mine.following = segment.sequence
        if is_syn:
            mine.shift = next((each.shift for each in segment.options if isinstance(each, WindowScale)), None)
        peer = self._directions.get((theirs, ours))
        if peer is None and is_ack:
            peer = self._remember((theirs, ours), segment.acknowledgement - 1)
        return Relative(
            sequence=(segment.sequence - mine.first) % _WRAP,
            acknowledgement=(segment.acknowledgement - peer.first) % _WRAP if peer and is_ack else 0,
            window_bytes=segment.window << _shift(mine, peer, is_syn),
            is_again=_is_again(mine, segment),
        )

    def _remember(self, key: tuple[_End, _End], first: int) -> _Direction:
        self._directions.pop(key, None)
        if len(self._directions) >= self._flows_max:
            del self._directions[next(iter(self._directions))]
        found = self._directions[key] = _Direction(first % _WRAP, first % _WRAP)
        return found


def _shift(mine: _Direction, peer: _Direction | None, is_syn: bool) -> int:
    """RFC 7323 section 2.2: the window of a SYN is never scaled, and no other unless both sides offered it."""
    if is_syn or peer is None or mine.shift is None or peer.shift is None:
        return 0
    return min(mine.shift, 14)


def _is_again(mine: _Direction, segment: Segment) -> bool:
    length = segment.sequence_length
    if not length:
        return False
    following = (segment.sequence + length) % _WRAP
    if 0 < (following - mine.following) % _WRAP < _HALF:
        mine.following = following
        return False
    return True
