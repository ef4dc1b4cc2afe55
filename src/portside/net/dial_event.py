"""Connecting by RFC 8305 under an event loop: the race of ``net.dial``, driven by a loop's writers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from portside.address import Address, Endpoint, InternetAddress
from portside.errors import PortsideError
from portside.net.dial import ATTEMPT_DELAY_S, Attempts, Race, known_targets, targets_of, too_late
from portside.net.sockets import Socket


async def connect_event(
    loop: asyncio.AbstractEventLoop,
    endpoint: Endpoint,
    timeout_s: float | None = None,
    *,
    addresses: Sequence[Address] | None = None,
    delay_s: float = ATTEMPT_DELAY_S,
    local: InternetAddress | None = None,
) -> Socket:
    """Return a connected socket that does not block, as ``connect_blocking`` does, without blocking the loop.

    It works on any loop with ``add_writer``, also for abstract unix sockets, which uvloop's own connect cannot reach.
    Cancelling it closes every attempt.
    """
    deadline_s = math.inf if timeout_s is None else loop.time() + timeout_s
    if addresses is None:
        addresses = known_targets(endpoint) or await _look_up(loop, endpoint, timeout_s)
    attempts = Attempts(endpoint, Race(addresses, loop.time(), delay_s), local)
    return await _EventDial(loop, attempts, timeout_s, deadline_s).run()


async def _look_up(loop: asyncio.AbstractEventLoop, endpoint: Endpoint, timeout_s: float | None) -> Sequence[Address]:
    looking = loop.run_in_executor(None, targets_of, endpoint)
    try:
        await asyncio.wait((looking,), timeout=timeout_s)
        if not looking.done():
            raise too_late(endpoint, timeout_s, ((endpoint.host, "the name servers have not answered"),))
        return looking.result()
    finally:
        looking.cancel()


class _EventDial:
    """One race on a loop: a writer per attempt, and one timer for the next attempt or the end of the time."""

    __slots__ = ("_attempts", "_deadline_s", "_done", "_loop", "_timeout_s", "_timer", "_writers")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, attempts: Attempts, timeout_s: float | None, deadline_s: float
    ) -> None:
        self._loop, self._attempts = loop, attempts
        self._timeout_s, self._deadline_s = timeout_s, deadline_s
        self._done: asyncio.Future[Socket] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._writers: set[Socket] = set()

    async def run(self) -> Socket:
        try:
            self._step()
            return await self._done
        except BaseException:
            # Cancelled between the winner's arrival and our turn: nobody would ever close it.
            if self._done.done() and not self._done.cancelled() and self._done.exception() is None:
                self._done.result().close()
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for sock in self._writers:
                self._loop.remove_writer(sock)
            self._attempts.close()

    def _step(self) -> None:
        """Start what is due, and come back when the next is."""
        if self._done.done():
            return
        now_s = self._loop.time()
        try:
            if now_s >= self._deadline_s:
                raise self._attempts.out_of_time(self._timeout_s)
            waiting, winner = self._attempts.begin(now_s)
        except (PortsideError, TimeoutError) as error:
            self._done.set_exception(error)
            return
        if winner is not None:
            self._done.set_result(winner)
            return
        for sock in waiting:
            self._loop.add_writer(sock, self._on_writable, sock)
            self._writers.add(sock)
        next_s = self._attempts.race.next_s
        until_s = min(self._deadline_s, math.inf if next_s is None else next_s)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if until_s == math.inf else self._loop.call_at(until_s, self._step)

    def _on_writable(self, sock: Socket) -> None:
        self._writers.discard(sock)
        self._loop.remove_writer(sock)
        if self._done.done():
            return
        try:
            winner = self._attempts.settle(sock, self._loop.time())
        except PortsideError as error:
            self._done.set_exception(error)
            return
        if winner is not None:
            self._done.set_result(winner)
        else:
            self._step()
