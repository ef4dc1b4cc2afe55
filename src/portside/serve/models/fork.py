"""A process for each connection, and for each datagram (Stevens 30.5).

The worker accepts, counts and keeps house; each child serves one connection and ends. A child is a small worker of
its own: what the supervisor is to the worker, the worker is to its children, over the same kind of channel. The
worker itself has no threads, for only then is every fork safe.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final, NoReturn

from msgspec import structs

from portside import events
from portside.address import Address
from portside.errors import ConnectionLost
from portside.events import EndReason
from portside.net.datagrams import Mailbox, UdpMessage
from portside.serve import channel as say
from portside.serve.capturing import Captures
from portside.serve.failures import crash
from portside.serve.models.accepting import Acceptor, Visit, connect_visit
from portside.serve.models.child import ChildWorker
from portside.serve.models.messages import MESSAGES_AT_ONCE, waiting_messages
from portside.serve.roster import Connections, Page, row_of
from portside.serve.service import BYTES_IN, BYTES_OUT, HANDLER_FAILED, OPEN, OPENED
from portside.serve.signals import held_back, let_through, restore_defaults, wake_through
from portside.serve.tally import Tally
from portside.serve.worker import BORN_DEAD, Worker, die_with_parent, leave

log = logging.getLogger("portside")

Serving = Callable[[ChildWorker], None]

CUT_LATER_S: Final = 1.0  # a child's own drain ends after its worker's, which counts and records those cut off


def run(worker: Worker) -> None:
    """Serve until the worker shall stop and its last child has ended."""
    house = House(worker)
    acceptor = Acceptor(worker, one_at_a_time=False, watched=(house.fileno(),), patience_s=house.patience_s)
    gc.freeze()  # no collection in a child shall touch, and so copy, what it shares with the worker
    worker.ready()
    for arrival in acceptor:
        if isinstance(arrival, Visit):
            house.serve_visit(arrival, acceptor)
        elif isinstance(arrival, Mailbox):
            for message in waiting_messages(worker, arrival):
                house.serve_message(message, acceptor)
        house.keep()
    acceptor.close()
    worker.close_sockets()
    while not worker.drained():
        house.wait()
        house.keep()


@dataclass(eq=False, slots=True)
class Child:
    """A child process and the connection (or datagram) it is for."""

    number: int  # among all of its worker's, in the order of their births
    pid: int
    channel: say.Channel
    peer: Address
    is_message: bool
    row: say.Row | None = None  # how the connection was …
    row_at_s: float = 0.0  # … then
    counted_bytes: tuple[int, int] = 0, 0  # what was counted of its bytes in and out
    tally: Tally | None = None  # what it counted, once it is over
    is_told_to_drain: bool = False


class House(Connections):
    """The worker's children, and everything its single thread does beside accepting."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._service = worker.service
        self._children: dict[int, Child] = {}
        self._by_channel: dict[int, Child] = {}
        self._numbers = itertools.count(1)
        self._messages = 0
        self._due_s = monotonic() + worker.tick_s
        # Deaths of children and signals wake us through a pipe, as bytes nobody has to read one by one.
        self._woken_fd, self._wakes_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        wake_through(self._wakes_fd)
        self._epoll = select.epoll()
        self._epoll.register(self._woken_fd, select.EPOLLIN)
        self._epoll.register(worker.channel_fd, select.EPOLLIN)
        worker.connections = self

    def fileno(self) -> int:
        return self._epoll.fileno()

    # ── keeping house ────────────────────────────────────────────────────────────────────────────────────────────────

    def patience_s(self) -> float:
        """Return the seconds until the next tick is due."""
        self._due_s = min(self._due_s, monotonic() + self._worker.tick_s)  # a drain that has just begun ticks faster
        return max(0.0, self._due_s - monotonic())

    def wait(self) -> None:
        """Wait until there is something to keep."""
        select.select([self._epoll], [], [], self.patience_s())

    def keep(self) -> None:
        """Hear children and the supervisor, bury the dead, tick: whatever is due, and nothing that waits."""
        try:
            self._keep()
        except Exception:
            log.exception("%s: housekeeping failed; it goes on", self._service.name)

    def _keep(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            if descriptor == self._woken_fd:
                self._forget_wakes()
                self._bury()
            elif descriptor == self._worker.channel_fd:
                self._worker.answer()
            elif (child := self._by_channel.get(descriptor)) is not None:
                self._hear(child)
        if monotonic() >= self._due_s:
            self._due_s = monotonic() + self._worker.tick_s
            self._worker.tick()
            self.publish()

    def _forget_wakes(self) -> None:
        try:
            while os.read(self._woken_fd, 4_096):
                pass
        except BlockingIOError:
            pass

    def publish(self) -> None:
        self._service.ledger.put(OPEN, self.count())
        for child in self._children.values():
            if child.row is not None:
                self._count_moved(child, child.row.bytes_in, child.row.bytes_out)

    def _count_moved(self, child: Child, bytes_in: int, bytes_out: int) -> None:
        """Count what the child's connection has moved since it was last counted."""
        counted_in, counted_out = child.counted_bytes
        child.counted_bytes = now_in, now_out = max(bytes_in, counted_in), max(bytes_out, counted_out)
        self._service.ledger.count_all((BYTES_IN, now_in - counted_in), (BYTES_OUT, now_out - counted_out))

    def _hear(self, child: Child) -> None:
        try:
            messages = child.channel.receive()
            child.channel.flush()
        except ConnectionLost:
            self._hang_up(child)
            return
        for message in messages:
            match message:
                case say.Rows(rows=[row]):
                    child.row, child.row_at_s = row, monotonic()
                case say.Over(tally):
                    child.tally = Tally(**tally)
                case say.Seen(sight):
                    self._worker.observer.take(sight)
                case say.CaptureOver(to):
                    self._worker.captures.forget(to)

    def _hang_up(self, child: Child) -> None:
        if self._by_channel.pop(child.channel.fileno(), None) is not None:
            self._epoll.unregister(child.channel.fileno())
            child.channel.close()

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (child := self._children.pop(pid, None)) is not None:
                self._child_gone(child, os.waitstatus_to_exitcode(status))

    def _child_gone(self, child: Child, status: int) -> None:
        service = self._service
        if child.channel.fileno() in self._by_channel:
            self._hear(child)
            self._hang_up(child)
        try:
            if child.tally is None:
                self._lost(child, status)
            else:
                self._count_moved(child, child.tally.bytes_in, child.tally.bytes_out)
                # What is counted here already: when it was forked, and as it moved.
                service.add_tally(replace(child.tally, open=0, opened=0, bytes_in=0, bytes_out=0))
        finally:
            if child.is_message:
                self._messages -= 1
                service.end_work()
            else:
                service.release(child.peer)

    def _lost(self, child: Child, status: int) -> None:
        """A child that did not live to tell how it ended."""
        service = self._service
        how = f"its process was killed by signal {-status}" if status < 0 else f"its process ended with status {status}"
        service.ledger.count(HANDLER_FAILED)
        log.error("%s: the connection of %s is lost: %s", service.name, child.peer, how)
        identity = None if child.row is None else child.row.id
        self._worker.failed(crash(f"the connection is lost: {how}", identity, say.address_json(child.peer)))
        if child.row is not None and events.listening(events.ConnectionClosed):
            row = child.row
            events.emit(
                events.ConnectionClosed(
                    service.name,
                    row.id,
                    say.address_of(row.local),
                    child.peer,
                    row.bytes_in,
                    row.bytes_out,
                    row.age_s,
                    "handler",
                    how,
                )
            )

    # ── as the supervisor asks ───────────────────────────────────────────────────────────────────────────────────────

    def page(self, after: int, limit: int) -> Page:
        behind = [child for child in self._children.values() if child.row is not None and child.number > after]
        first = behind[:limit]  # a dict keeps the order in which they were born
        rows = [row for child in first if (row := _row_now(child)) is not None]
        return rows, first[-1].number if len(behind) > len(first) else None

    def row(self, identity: str) -> say.Row | None:
        child = self._child_with(identity)
        return None if child is None else _row_now(child)

    def watch(self, identity: str) -> None:
        child = self._child_with(identity)
        if child is not None:
            self._tell(child, say.Watch(identity))

    def by_descriptor(self) -> dict[int, str]:
        return {}  # the sockets are their processes' alone

    def _child_with(self, identity: str) -> Child | None:
        found = (child for child in self._children.values() if child.row is not None and child.row.id == identity)
        return next(found, None)

    def end(self, identity: str, why: str, reason: EndReason = "stopped") -> bool:
        child = self._child_with(identity)
        if child is None:
            return False
        self._tell(child, say.EndConnection(0, identity))
        return True

    def capture(self, wanted: say.Capture, captures: Captures) -> None:
        """Have the children do it: those that there are, and those to come, which find it noted."""
        captures.note(wanted)
        for child in list(self._children.values()):
            if not child.is_message:
                self._tell(child, wanted)

    def say_goodbye(self, why: str) -> None:
        left_s = self._worker.drain_left_s
        for child in list(self._children.values()):
            if not child.is_told_to_drain:
                child.is_told_to_drain = True
                self._tell(child, say.Drain(left_s + CUT_LATER_S))

    def count(self) -> int:
        return sum(not child.is_message for child in self._children.values())

    def cut_off(self) -> None:
        for child in list(self._children.values()):
            if child.row is not None:
                self._tell(child, say.EndConnection(0, child.row.id, reason="drained"))

    def _tell(self, child: Child, message: say.ToWorker) -> None:
        try:
            child.channel.send(message)
        except ConnectionLost:
            self._hang_up(child)

    # ── forking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def serve_visit(self, visit: Visit, acceptor: Acceptor) -> None:
        """Fork a child for an admitted connection."""

        def serve(child: ChildWorker) -> None:
            child.close_sockets()
            _converse(child, visit)

        if self._fork(visit.peer, serve, acceptor, is_message=False):
            visit.socket.close()
            self._service.ledger.count(OPENED)
            return
        self._service.refuse(visit.peer, "connections")
        self._service.turn_away(visit.socket, visit.endpoint, "connections")
        self._service.release(visit.peer)

    def serve_message(self, message: UdpMessage, acceptor: Acceptor) -> None:
        """Fork a child for an admitted datagram, once there is room for one more."""
        while self._messages >= MESSAGES_AT_ONCE and not self._worker.stopping.is_set():
            self.wait()  # a flood waits in the kernel's buffer, and is dropped there
            self.keep()
        if self._fork(message.peer, lambda child: child.answer_message(message), acceptor, is_message=True):
            self._messages += 1
            self._service.begin_work()
        else:
            self._service.refuse(message.peer, "datagrams")

    def _fork(self, peer: Address, serve: Serving, acceptor: Acceptor, *, is_message: bool) -> bool:
        """Return whether a child could be forked. In the child, ``serve`` runs and nothing returns."""
        _flush_output()  # what is still in a buffer would be printed by both
        parent = os.getpid()
        try:
            ours, theirs = say.open_channel()
        except OSError as error:
            self._complain(error)
            return False
        with held_back():
            try:
                pid = os.fork()
            except OSError as error:
                self._complain(error)
                ours.close()
                theirs.close()
                return False
            if pid == 0:
                ours.close()
                self._be_the_child(serve, peer=peer, acceptor=acceptor, channel=theirs, parent=parent)
        theirs.close()
        child = Child(next(self._numbers), pid, ours, peer, is_message)
        self._children[pid] = child
        self._by_channel[ours.fileno()] = child
        self._epoll.register(ours.fileno(), select.EPOLLIN)
        return True

    def _complain(self, error: OSError) -> None:
        if self._service.may_complain():
            log.error("%s: no process for another connection: %s", self._service.name, error.strerror)

    def _be_the_child(
        self, serve: Serving, *, peer: Address, acceptor: Acceptor, channel: say.Channel, parent: int
    ) -> NoReturn:
        try:
            restore_defaults()
            worker = ChildWorker(self._worker, channel)
            signal.signal(signal.SIGTERM, lambda *_: worker.note_signal())
            let_through()
            die_with_parent(parent)
            for other in self._by_channel.values():
                other.channel.close()
            self._epoll.close()
            os.close(self._woken_fd)
            os.close(self._wakes_fd)
            self._worker.let_go_in_child()
            acceptor.let_go_in_child()
            ledger = worker.service.count_apart(peer)
            worker.keep_house()
            serve(worker)
            worker.over(ledger.tally())
            leave(0)
        except BaseException:
            log.exception("%s: a child failed", self._service.name)
            raise
        finally:
            leave(BORN_DEAD)


def _row_now(child: Child) -> say.Row | None:
    if child.row is None:
        return None
    return structs.replace(child.row, age_s=round(child.row.age_s + monotonic() - child.row_at_s, 3))


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()


def _converse(child: ChildWorker, visit: Visit) -> None:
    connection = connect_visit(child.service, visit)
    child.service.tls = None  # its files are the worker's to watch
    child.begin_captures()
    if connection is not None:
        child.report(row_of(connection))
        child.service.converse_blocking(connection)
