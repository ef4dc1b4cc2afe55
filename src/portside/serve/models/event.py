"""An event loop for all connections of a worker (Stevens 30, "non-blocking I/O"; here with a coroutine for each).

Sockets that accept are readers of the loop; an accepted connection goes onto the lane, where its handler starts at
once. What has to wait before that (a PROXY header, a TLS handshake) is a task of its own. A plain ``def`` handler
cannot share a loop: its connection goes to a thread, as under the thread model.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final

from portside.address import Address, from_sockaddr
from portside.contracts import Life
from portside.errors import LocalError, OutOfDescriptors, PortsideError
from portside.net.datagrams import Mailbox
from portside.net.event import EventConnection
from portside.net.event_network import EventNetwork
from portside.net.loops import new_event_loop, settle_heap
from portside.net.proxy_protocol import take_header_nowait
from portside.net.sockets import Bound, Socket, accept_nowait
from portside.serve.models.accepting import Visit
from portside.serve.models.messages import MESSAGES_AT_ONCE, waiting_messages
from portside.serve.models.thread import serve_message_in_thread, serve_visit_in_thread
from portside.serve.service import HANDSHAKE_S, PROXY_HEADER_S
from portside.serve.worker import Worker

log = logging.getLogger("portside")

ACCEPTS_MAX: Final = 64  # in one turn: those who are connected already want a turn too
ACCEPT_PAUSE_S: Final = 0.1  # without descriptors, or with a socket that fails, before the next try
LAST_WORDS_S: Final = 0.5  # what connections that have just been closed get to reach their peers, when the worker ends


def run(worker: Worker) -> None:
    """Serve until the worker shall stop and the last connection is over."""
    settle_heap()
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_EventModel(worker, loop).serve())
    finally:
        loop.close()


class _EventModel:
    """One worker on its loop."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._service = worker.service
        self._loop = loop
        self._network = EventNetwork(loop)
        self._context: Context = copy_context()  # every handler starts from the state of affairs at listen
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly
        self._messages = 0
        self._headers_awaited = 0  # of proxies: not yet through the gate, and bounded on their own
        self._has_stopped = False
        self._is_draining = False
        self._drained = loop.create_future()

    async def serve(self) -> None:
        self._service.on_release = self._note_release
        self._loop.add_reader(self._worker.channel_fd, self._answer)
        self._loop.add_reader(self._worker.stop_fd, self._stop_accepting)
        self._tick()
        life = self._service.battery.life
        if life is None or await self._begin_life(life):
            await self._serve()
        if life is not None:
            await self._finish_life(life)
        self._network.close()

    async def _serve(self) -> None:
        if not self._has_stopped:
            for bound in self._worker.bounds:
                self._watch(bound)
        gc.freeze()  # what is loaded now stays: no collection need look at it again
        self._worker.ready()
        await self._drained
        await self._network.lane.wait_until_let_go(LAST_WORDS_S)

    async def _begin_life(self, life: Life) -> bool:
        """Return whether the battery is ready to serve; False if it shall stop before that. Raises: what it raises."""
        beginning = asyncio.ensure_future(life.begin())
        await asyncio.wait((beginning, self._drained), return_when=asyncio.FIRST_COMPLETED)
        if not beginning.done():
            beginning.cancel()
            await asyncio.wait((beginning,))
            return False
        beginning.result()
        return True

    async def _finish_life(self, life: Life) -> None:
        try:
            async with asyncio.timeout(max(LAST_WORDS_S, self._worker.drain_left_s)):
                await life.finish()
        except TimeoutError:
            log.warning("%s: what is to be done at its end took too long, and was given up", self._service.name)
        except Exception:
            log.exception("%s: what is to be done at its end failed", self._service.name)

    def _answer(self) -> None:
        tick_s = self._worker.tick_s
        self._worker.answer()
        self._tell_of_drain()
        if self._worker.tick_s < tick_s:  # a drain that has just begun ticks faster
            self._next_tick.cancel()
            self._tick()
        if self._worker.stopping.is_set():
            self._stop_accepting()

    def _tick(self) -> None:
        self._next_tick = self._loop.call_later(self._worker.tick_s, self._tick)
        try:
            self._worker.tick()
        except Exception:
            log.exception("%s: housekeeping failed; it goes on", self._service.name)
        self._tell_of_drain()
        self._note_drained()

    def _tell_of_drain(self) -> None:
        life = self._service.battery.life
        if life is not None and self._worker.is_draining and not self._is_draining:
            self._is_draining = True
            life.drain()

    # ── accepting ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self, bound: Bound) -> None:
        if bound.endpoint.is_datagram:
            mailbox = Mailbox(bound.socket, self._service.answer_guard)
            self._loop.add_reader(bound.socket.fileno(), self._take_messages, mailbox, bound)
        else:
            self._loop.add_reader(bound.socket.fileno(), self._accept, bound)

    def _pause(self, bound: Bound) -> None:
        self._loop.remove_reader(bound.socket.fileno())
        self._loop.call_later(ACCEPT_PAUSE_S, self._resume, bound)

    def _resume(self, bound: Bound) -> None:
        if not self._worker.stopping.is_set():
            self._watch(bound)

    def _accept(self, bound: Bound) -> None:
        if self._worker.stopping.is_set():
            return  # reported in the same turn as the stop: it is for the worker that comes after us
        for _ in range(ACCEPTS_MAX):
            try:
                accepted = accept_nowait(bound.socket)
            except OutOfDescriptors as error:
                if self._service.shed(bound, error):
                    continue
                self._pause(bound)
                return
            except LocalError:
                log.exception("%s: accepting on %s failed", self._service.name, bound.endpoint)
                self._pause(bound)
                return
            if accepted is None:
                return
            sock, sockaddr = accepted
            peer = from_sockaddr(sockaddr)
            if not self._service.is_proxy(peer):
                self._welcome(sock, peer, bound)
            elif self._headers_awaited >= self._service.settings.limits.connections:
                self._service.refuse(peer, "connections")
                self._service.turn_away(sock, bound.endpoint, "connections")
            else:
                self._headers_awaited += 1
                self._service.begin_work()
                self._begin(self._welcome_from_proxy(sock, peer, bound))

    def _stop_accepting(self) -> None:
        if self._has_stopped:
            return
        self._has_stopped = True
        self._loop.remove_reader(self._worker.stop_fd)
        for bound in self._worker.bounds:
            self._loop.remove_reader(bound.socket.fileno())
        self._worker.close_sockets()
        if self._service.battery.life is not None:
            self._service.battery.life.retire()
        self._note_drained()

    def _note_release(self) -> None:
        if self._worker.stopping.is_set():
            self._loop.call_soon_threadsafe(self._note_drained)  # a plain handler's thread may have released it

    def _note_drained(self) -> None:
        if self._worker.stopping.is_set() and not self._has_stopped:
            self._stop_accepting()  # before the loop says so: whoever is accepted now would be reset
        if self._worker.drained() and not self._drained.done():
            self._drained.set_result(None)

    # ── from accept to the handler ───────────────────────────────────────────────────────────────────────────────────

    def _welcome(self, sock: Socket, peer: Address, bound: Bound) -> None:
        """Let the connection through the gate, and on its way to its handler."""
        limit = self._service.admit(peer)
        if limit is not None:
            self._service.turn_away(sock, bound.endpoint, limit)
        elif self._service.has_plain_handler:
            serve_visit_in_thread(self._worker, Visit(sock, peer, bound.endpoint))
        elif self._service.is_tls(bound.endpoint):
            self._begin(self._welcome_sealed(sock, peer))
        else:
            connection = self._adopt(sock, peer)
            if connection is not None:
                self._start(connection)

    def _adopt(self, sock: Socket, peer: Address) -> EventConnection | None:
        """Return the admitted connection on the lane; None, its place given back, if the kernel has no room for it."""
        try:
            return self._network.adopt(sock, peer=peer)
        except OSError as error:
            log.error("%s: a connection cannot be watched: %s", self._service.name, error.strerror)
            sock.close()
            self._service.release(peer)
            return None

    async def _welcome_from_proxy(self, sock: Socket, proxy: Address, bound: Bound) -> None:
        try:
            source = await self._take_header(sock, proxy)
            if source is not None:
                self._welcome(sock, source, bound)
        finally:
            self._headers_awaited -= 1
            self._service.end_work()

    async def _take_header(self, sock: Socket, proxy: Address) -> Address | None:
        """Return the real client of a connection from a trusted proxy, or close it and return None."""
        sock.setblocking(False)
        taken = bytearray()
        try:
            async with asyncio.timeout(PROXY_HEADER_S):
                while (header := take_header_nowait(sock, taken)) is None:
                    await self._readable(sock)
        except (PortsideError, TimeoutError) as error:
            said = f"no whole PROXY header within {PROXY_HEADER_S:g} s" if isinstance(error, TimeoutError) else error
            log.debug("%s: closed the connection of %s: %s", self._service.name, proxy, said)
            self._service.refuse(proxy, "proxy")
            sock.close()
            return None
        return header.source or proxy

    async def _readable(self, sock: Socket) -> None:
        readable = self._loop.create_future()
        self._loop.add_reader(sock.fileno(), _set, readable)
        try:
            await readable
        finally:
            self._loop.remove_reader(sock.fileno())

    async def _welcome_sealed(self, sock: Socket, peer: Address) -> None:
        assert self._service.tls is not None
        connection = self._adopt(sock, peer)
        if connection is None:
            return
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await connection.start_tls(self._service.tls.context)
        except Exception as error:  # whatever it was, the place must be given back
            said = (
                TimeoutError(f"no TLS handshake within {HANDSHAKE_S:g} s") if isinstance(error, TimeoutError) else error
            )
            connection.finish()
            self._service.failed_handshake(connection, said)
            return
        self._start(connection)

    def _start(self, connection: EventConnection) -> None:
        self._service.opened(connection)
        connection.start(self._service.handle(connection), self._finished, self._context)

    def _finished(self, connection: EventConnection, error: BaseException | None) -> None:
        connection.finish()
        self._service.closed(connection, error)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._note_drained()

    # ── datagrams ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_messages(self, mailbox: Mailbox, bound: Bound) -> None:
        if self._messages >= MESSAGES_AT_ONCE:  # after a pause there may be no room yet
            self._pause(bound)
            return
        for message in waiting_messages(self._worker, mailbox):
            self._messages += 1
            if self._service.has_plain_message_handler:
                serve_message_in_thread(self._worker, message, partial(self._loop.call_soon_threadsafe, self._answered))
            else:
                self._begin(self._answer_message(message))
        if self._messages >= MESSAGES_AT_ONCE:
            self._pause(bound)

    async def _answer_message(self, message: Any) -> None:
        try:
            await self._service.answer(message)
        finally:
            self._answered()

    def _answered(self) -> None:
        self._messages -= 1


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
