"""A thread for each connection, and for each datagram (Stevens 30.10)."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import Final

from portside.net.datagrams import Mailbox, UdpMessage
from portside.serve.models.accepting import Acceptor, Visit, serve_visit
from portside.serve.models.messages import MESSAGES_AT_ONCE, waiting_messages
from portside.serve.worker import Worker

log = logging.getLogger("portside")

# Enough for handlers in Python, whose frames are not on this stack; the default of 8 MiB would be reserved for each.
STACK_BYTES: Final = 1 << 20

_numbers = itertools.count(1)


def run(worker: Worker) -> None:
    """Serve until the worker shall stop and the last connection is over."""
    threading.stack_size(STACK_BYTES)
    acceptor = Acceptor(worker, one_at_a_time=False)
    messages_left = threading.BoundedSemaphore(MESSAGES_AT_ONCE)
    worker.keep_house()
    worker.ready()
    for arrival in acceptor:
        if isinstance(arrival, Visit):
            serve_visit_in_thread(worker, arrival)
        elif isinstance(arrival, Mailbox):
            for message in waiting_messages(worker, arrival):
                messages_left.acquire()
                serve_message_in_thread(worker, message, messages_left.release)
    acceptor.close()
    worker.close_sockets()
    worker.wait_until_drained()


def serve_visit_in_thread(worker: Worker, visit: Visit) -> None:
    """Serve an admitted connection in a thread of its own, or turn it away where there are no more."""
    service = worker.service
    if not _start(lambda: serve_visit(service, visit)):
        if service.may_complain():
            log.error("%s: no thread can be started: connections are turned away", service.name)
        service.refuse(visit.peer, "connections")
        service.turn_away(visit.socket, visit.endpoint, "connections")
        service.release(visit.peer)


def serve_message_in_thread(worker: Worker, message: UdpMessage, done: Callable[[], object]) -> None:
    """Answer an admitted datagram in a thread of its own, or here where there are no more; then call ``done``."""

    def serve() -> None:
        try:
            worker.service.answer_blocking(message)
        finally:
            done()

    if not _start(serve):
        serve()


def _start(work: Callable[[], None]) -> bool:
    try:
        threading.Thread(target=work, name=f"portside-{next(_numbers)}", daemon=True).start()
    except RuntimeError:  # the kernel gives no more: pids, memory, a cgroup's limit
        return False
    return True
