"""Several files at once: each of N seats has a session of its own, and takes the next job when its last is done.

What may pass is tried again, after 1 s, 2 s, 4 s …: a connection that broke, a silence, a server that is busy. What
a server refuses for good is that file's end and not the others'; a server that cannot be reached, or lets nobody in,
is the end of all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from portside.cli.progress import Progress
from portside.cli.transfer_files import Done, HttpRefused, Manner, Mismatch
from portside.contracts import Network
from portside.errors import ConnectionLost, EndOfStream, NetworkError, PortsideError, UsageError
from portside.protocols.ftp.client import Incomplete, Leaving, LoginRefused, Refused

PAUSE_S_MAX: Final = 60.0

Result = TypeVar("Result")

Server: TypeAlias = Any
"""Who is connected to: the URL of a server, of whatever scheme."""

Act = Callable[[Any, Manner], Awaitable[Done]]
Connect = Callable[[Network, Server], Awaitable["Session"]]


class Session(Protocol):
    """A client's session with a server; what else it can do, its jobs know."""

    async def quit(self) -> None:
        """Say goodbye."""

    def close(self) -> None:
        """Leave without a word."""


class Connector(Protocol):
    """What was asked for on the command line, and how sessions are begun."""

    async def connect(self, network: Network, url: Server, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Job:
    """A file to carry. ``resumes_itself``: what a broken attempt of this call left behind can be built on."""

    server: Server
    source: str
    target: str
    act: Act
    resumes_itself: bool = False
    can_repeat: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: it is done, or why not."""

    job: Job
    done: Done | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How jobs are carried out."""

    parallel: int = 1
    retries: int = 0
    resume: bool = False
    verify: bool = False


class _NoSession(Exception):
    """There is no session with the server."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


class Runner:
    """Carries out jobs. ``tell`` hears of each as it ends."""

    def __init__(
        self, network: Network, wishes: Connector, plan: Plan, progress: Progress, tell: Callable[[Outcome], None]
    ) -> None:
        self._network = network
        self._connect = wishes.connect
        self._plan = plan
        self._progress = progress
        self._tell = tell
        self._has_connected = False

    async def run(self, jobs: Iterable[Job]) -> bool:
        """Carry out the jobs, and return whether all went well.

        Raises: what kept us from having a session at all.
        """
        waiting = iter(jobs)
        seats = [asyncio.ensure_future(self._sit(waiting)) for _ in range(self._plan.parallel)]
        try:
            return all(await asyncio.gather(*seats))
        finally:
            for seat in seats:
                seat.cancel()
            await asyncio.gather(*seats, return_exceptions=True)

    async def _sit(self, waiting: Iterator[Job]) -> bool:
        went_well = True
        seat = Seat(self._network, self._open)
        try:
            for job in waiting:
                outcome = await self._outcome(seat, job)
                went_well = went_well and outcome.error is None
                self._tell(outcome)
            await seat.leave()
        finally:
            seat.drop()
        return went_well

    async def visit(self, server: Server, act: Callable[[Any], Awaitable[Result]], *, can_repeat: bool) -> Result:
        """Do something with a session that is not one file's: look at a tree, make directories.

        Raises: what it raises; what kept us from having a session.
        """
        seat = Seat(self._network, self._open)

        async def once(client: Any, failures: int) -> Result:
            return await act(client)

        try:
            result = await self._attempts(seat, server, once, can_repeat=can_repeat)
            await seat.leave()
        except _NoSession as no_session:
            raise no_session.why from None
        finally:
            seat.drop()
        return result

    async def _outcome(self, seat: Seat, job: Job) -> Outcome:
        async def once(client: Any, failures: int) -> Done:
            resume = self._plan.resume or (failures > 0 and job.resumes_itself)
            manner = Manner(self._network, self._progress, resume=resume, verify=self._plan.verify)
            return await job.act(client, manner)

        try:
            return Outcome(job, done=await self._attempts(seat, job.server, once, can_repeat=job.can_repeat))
        except _NoSession as no_session:
            raise no_session.why from None
        except (PortsideError, TimeoutError, OSError) as error:
            return Outcome(job, error=error)

    async def _attempts(
        self, seat: Seat, server: Server, act: Callable[[Any, int], Awaitable[Result]], *, can_repeat: bool
    ) -> Result:
        failures = 0
        while True:
            try:
                return await act(await seat.client_for(server), failures)
            except (PortsideError, TimeoutError, OSError, _NoSession) as error:
                cause = error.why if isinstance(error, _NoSession) else error
                if not isinstance(cause, Refused | HttpRefused) or isinstance(cause, Leaving):
                    seat.drop()
                failures += 1
                if failures > self._plan.retries or not (can_repeat and self._may_pass(cause)):
                    raise
            pause_s = min(2.0 ** (failures - 1), PAUSE_S_MAX)
            self._progress.say(f"{cause}; trying again in {pause_s:g} s ({failures} of {self._plan.retries})")
            await self._network.sleep(pause_s)

    async def _open(self, network: Network, url: Server) -> Session:
        client: Session = await self._connect(network, url)
        self._has_connected = True
        return client

    def _may_pass(self, error: Exception) -> bool:
        """Tell whether the same may go well in a moment."""
        match error:
            case LoginRefused():
                return False
            case Refused() | HttpRefused():
                return error.is_temporary
            case NetworkError():  # a name that nobody knows and a port where nobody listens are mostly typed wrong
                return self._has_connected
        return isinstance(error, TimeoutError | ConnectionLost | EndOfStream | Incomplete | Mismatch)


class Seat:
    """One session at a time, kept from job to job as long as the server is the same."""

    def __init__(self, network: Network, connect: Connect) -> None:
        self._network = network
        self._connect = connect
        self._client: Session | None = None
        self._server: Server | None = None

    async def client_for(self, server: Server) -> Session:
        """Return a session with the server. Raises: _NoSession."""
        if self._client is not None and self._server == server:
            return self._client
        await self.leave()
        try:
            self._client = await self._connect(self._network, server)
        except (PortsideError, TimeoutError) as error:
            raise _NoSession(error) from error
        self._server = server
        return self._client

    async def leave(self) -> None:
        """Say goodbye, if there is anybody to say it to."""
        client, self._client = self._client, None
        if client is not None:
            await client.quit()

    def drop(self) -> None:
        """Leave without a word."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(PortsideError):
                client.close()


def unique_targets(targets: Iterable[str]) -> None:
    """Raise UsageError when two files would be written to one."""
    seen: set[str] = set()
    for target in targets:
        if target in seen:
            raise UsageError(f"two files would both become {target}")
        seen.add(target)
