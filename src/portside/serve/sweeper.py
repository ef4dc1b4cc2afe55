"""The sweep: once a second, every live connection is looked at, and those that outstayed a limit are ended.

A deadline per read would halve the throughput (measured with asyncio.timeout); a look a second costs nothing that can
be seen, and its price is written down: an idle connection goes at most two seconds late, and never early.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from portside.net.stream import Stream
from portside.serve.service import OPEN, Service

TICK_S: Final = 1.0

IDLE_WORDS: Final = "idle for too long"
LIFE_WORDS: Final = "connected for too long"


class Sweeper:
    """Ends connections of a service that are idle or too old. Call ``tick`` about once a second.

    Idle means that no byte moved either way while the connection waited for its peer: to read, to write or to close.
    A handler that computes, or waits for something else, is busy and not idle; so is a connection as long as it has
    companions, each of which may be idle for a time of its own.
    """

    def __init__(self, service: Service, clock: Callable[[], float] = monotonic) -> None:
        self._service = service
        self._clock = clock
        self._idle_s = service.settings.limits.idle_s
        self._life_s = service.settings.limits.life_s

    def tick(self) -> None:
        now_s = self._clock()
        service, idle_s, life_s = self._service, self._idle_s, self._life_s
        connections = list(service.live.values())  # ending one may take it out of the dict, as may other threads
        for connection in connections:
            for companion, may_be_idle_s in connection.companions():
                if _is_idle(companion, now_s, may_be_idle_s):
                    companion.end("idle")
            if _is_idle(connection, now_s, idle_s):
                # In the middle of a message of ours, or behind a full window, words would do harm or not arrive.
                connection.end("idle", service.goodbye(IDLE_WORDS) if connection.state == "reading" else b"")
            elif connection.age_s >= life_s:
                connection.end("life", service.goodbye(LIFE_WORDS) if connection.state == "reading" else b"")
        publish(service)


def _is_idle(connection: Stream, now_s: float, idle_s: float) -> bool:
    """Return whether nothing has moved for that long, and note what has moved until now."""
    moved = connection.moved_bytes
    # What moved since the last look may have moved just now: counting from now never ends anyone early.
    if connection.state == "busy":
        connection.swept_bytes = -1  # it may begin to wait at any moment: the next look counts as a movement
    elif moved != connection.swept_bytes:
        connection.swept_bytes = moved
        connection.swept_s = now_s
    else:
        return now_s - connection.swept_s >= idle_s
    return False


def publish(service: Service) -> None:
    """Write down how many connections there are, and what they have moved since the last time."""
    connections = list(service.live.values())
    service.ledger.put(OPEN, len(connections))
    for connection in connections:
        if (connection.all_bytes_in, connection.all_bytes_out) != connection.counted_bytes:
            service.count_moved(connection)
