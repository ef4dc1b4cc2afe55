"""A child of the fork model: a small worker of its own, for one connection or one datagram."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from portside.net.datagrams import UdpMessage
from portside.serve import channel as say
from portside.serve.observing import Sight
from portside.serve.roster import row_of
from portside.serve.tally import Tally
from portside.serve.worker import Worker

LAST_WORDS_S: Final = 1.0  # what a child waits at most until its worker has heard how its connection went


class ChildWorker(Worker):
    """The worker in a child: one connection, swept and ended as any other, and reported every tick."""

    def __init__(self, parent: Worker, channel: say.Channel) -> None:
        super().__init__(parent.service, parent.bounds, channel, observer=parent.observer)
        self.observer.begin_in_child(self._see)
        self._reported: say.Row | None = None
        self._wanted = parent.captures.wanted

    def tick(self) -> None:
        super().tick()
        for connection in list(self.service.live.values()):
            self.report(row_of(connection))

    def begin_captures(self) -> None:
        """Capture what the worker was asked to capture."""
        for wanted in self._wanted:
            self._heed(wanted)

    def answer_message(self, message: UdpMessage) -> None:
        """Answer the datagram that the child is for, and have that captured."""
        self.begin_captures()
        self.captures.add_message(message)
        self.service.answer_blocking(message)

    def over(self, tally: Tally) -> None:
        """Tell the worker what the connection came to. The housekeeping thread may be telling something too."""
        self.captures.finish()
        self._say(say.Over(asdict(tally)))
        self._quietly(lambda: self._channel.finish(LAST_WORDS_S))

    def _see(self, sight: Sight) -> None:
        """Tell the worker what the observer saw, unless it has enough to hear already."""
        if not self._channel.backlog_bytes:
            self._say(say.Seen(sight))

    def report(self, row: say.Row) -> None:
        """Tell the worker how the connection goes, if that has changed."""
        if self._reported is None or _moved(row) != _moved(self._reported):
            self._reported = row
            self._say(say.Rows(0, [row]))


def _moved(row: say.Row) -> tuple[int, int, str]:
    return row.bytes_in, row.bytes_out, row.state
