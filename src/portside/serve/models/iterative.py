"""One connection after the other, in the worker itself (Stevens 30.5); ``prefork`` is a pool of these (30.6 to 30.9).

While a handler runs the others wait in the listening sockets' queues; under ``prefork`` another process takes them.
"""

from __future__ import annotations

from portside.net.datagrams import Mailbox
from portside.serve.models.accepting import Acceptor, Visit, serve_visit
from portside.serve.models.messages import waiting_messages
from portside.serve.worker import Worker


def run(worker: Worker) -> None:
    """Serve until the worker shall stop."""
    acceptor = Acceptor(worker, one_at_a_time=True)
    worker.keep_house()
    worker.ready()
    for arrival in acceptor:
        if isinstance(arrival, Visit):
            serve_visit(worker.service, arrival)
        elif isinstance(arrival, Mailbox):
            for message in waiting_messages(worker, arrival):
                worker.service.answer_blocking(message)
    acceptor.close()
    worker.close_sockets()
