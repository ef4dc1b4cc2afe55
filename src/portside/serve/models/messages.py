"""Datagrams under the blocking models: each is a unit of work of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from portside.net.datagrams import Mailbox, UdpMessage
from portside.serve.worker import Worker

MESSAGES_AT_ONCE: Final = 256  # in threads or processes; the others wait in the kernel's buffer, and are dropped there
TURN_MESSAGES: Final = 64  # of one socket before the others are looked at again


def waiting_messages(worker: Worker, mailbox: Mailbox) -> Iterator[UdpMessage]:
    """Yield the messages that wait in the mailbox and are within their limits, for one turn."""
    for _ in range(TURN_MESSAGES):
        if worker.stopping.is_set() or (message := mailbox.take_nowait()) is None:
            return
        if worker.service.admit_datagram(message.peer):
            if worker.captures:
                worker.captures.add_message(message)
            yield message
