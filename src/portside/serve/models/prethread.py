"""A pool of threads, each of which accepts and serves one connection after the other (Stevens 30.11 and 30.12)."""

from __future__ import annotations

import threading

from portside.net.datagrams import Mailbox
from portside.serve.models.accepting import Acceptor, Visit, serve_visit
from portside.serve.models.messages import waiting_messages
from portside.serve.worker import Worker


def run(worker: Worker) -> None:
    """Serve with ``pool`` threads until the worker shall stop and their last connections are over."""
    pool = [
        threading.Thread(
            target=_serve,
            args=(worker, Acceptor(worker, one_at_a_time=True)),  # made here: once we are ready, a stop may come
            name=f"portside-{number}",
            daemon=True,
        )
        for number in range(1, worker.service.settings.pool + 1)
    ]
    worker.keep_house()
    for thread in pool:
        thread.start()
    worker.ready()
    for thread in pool:
        thread.join()
    worker.close_sockets()


def _serve(worker: Worker, acceptor: Acceptor) -> None:
    for arrival in acceptor:
        if isinstance(arrival, Visit):
            serve_visit(worker.service, arrival)
        elif isinstance(arrival, Mailbox):
            for message in waiting_messages(worker, arrival):
                worker.service.answer_blocking(message)
    acceptor.close()
