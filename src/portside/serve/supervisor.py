"""The supervisor: binds everything, forks workers, and keeps the server what it is asked to be.

One process without threads and without an event loop, which never runs a line of the user's code and never waits for
a worker: it selects over signals, channels and the control socket. It judges workers by their exit, not by chat: a
busy one is never killed for being busy.

A start and a reload are the same act, a *roll*: plan the sockets, fork the new workers, and when all of them are
ready let the old ones retire. If one of the new is not born, all of the new go, and the old never knew.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias

from portside.errors import ConnectionLost, LocalError, PortsideError, UsageError
from portside.serve import channel as say
from portside.serve import listening, running
from portside.serve.ledger import SharedLedger, Tally
from portside.serve.lifecycle import Crashes, Identity, Notifier, raise_descriptor_limit
from portside.serve.settings import ServerSettings, ServiceSettings
from portside.serve.signals import SignalInbox, held_back, let_through
from portside.serve.worker import BORN_DEAD, Assignment, die_with_parent, model_module, work

if TYPE_CHECKING:
    from portside.serve.control import ControlServer

log = logging.getLogger("portside")

STOPPED: Final = 0  # exit statuses, the contract's
CRASHING: Final = 4
INTERRUPTED: Final = 130

KILL_GRACE_S: Final = 3.0  # beyond a worker's drain deadline, after which it has to be gone by itself
FORCE_S: Final = 2.0  # how long killed workers are waited for
ASK_S: Final = 2.0  # how long workers may take to answer a question; a busy one is left out of the answer
FORK_RETRY_S: Final = 1.0  # when the machine has no process to give
STALE_ROLL_S: Final = 30.0  # a reload whose workers take longer gives way to the next one

WorkerState: TypeAlias = Literal["starting", "ready", "retiring", "draining"]
Watched: TypeAlias = tuple[str, ...] | None  # files to watch beside code, with --reload
Reread: TypeAlias = Callable[[], ServerSettings]
Told: TypeAlias = Callable[[str | None], None]  # gets None for success, or a sentence


def run(settings: ServerSettings, *, reread: Reread | None = None) -> int:
    """Serve until stopped, and return the exit status: 0 stopped, 4 workers keep crashing, 130 forced.

    ``reread`` returns the settings anew at each reload, or raises what is wrong with them.
    Raises: LocalError when the server could not start; UsageError when what was asked for cannot be meant.
    """
    return Supervisor(settings, reread or (lambda: settings)).run()


@dataclass(eq=False, slots=True)
class WorkerRecord:
    """A worker as the supervisor knows it."""

    pid: int
    service: ServiceSettings
    slot: int
    channel: say.Channel
    ledger: SharedLedger
    ledger_slot: int
    started_s: float
    state: WorkerState = "starting"
    failed: say.Failed | None = None  # what it said of its birth
    is_leaving: bool = False  # its exit is no crash
    roll: Roll | None = None  # the roll it is born in
    asks: set[int] = field(default_factory=set)


@dataclass(eq=False, slots=True)
class Group:
    """A service as it is served now."""

    settings: ServiceSettings
    ledger: SharedLedger
    crashes: Crashes = field(default_factory=Crashes)
    workers: dict[int, WorkerRecord] = field(default_factory=dict)  # by slot


@dataclass(eq=False, slots=True)
class Roll:
    """A start or a reload under way."""

    settings: ServerSettings
    plan: listening.Plan
    is_first: bool
    started_s: float
    groups: dict[str, Group] = field(default_factory=dict)
    waits_for: set[int] = field(default_factory=set)  # pids of workers that are not ready yet
    told: list[Told] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Ask:
    """A question to the workers, and who is told the answer."""

    waits_for: set[int]
    done: Callable[[Ask], None]
    rows: list[tuple[WorkerRecord, say.Row]] = field(default_factory=list)
    found: bool = False
    silent: set[int] = field(default_factory=set)


class Supervisor:
    """See the module. ``run`` is called once."""

    def __init__(
        self,
        settings: ServerSettings,
        reread: Reread,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._clock = clock
        self._notifier = Notifier(os.environ, os.getpid())
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count(1)
        self._phase: Literal["starting", "running", "stopping"] = "starting"
        self._plan = listening.NOTHING
        self._groups: dict[str, Group] = {}
        self._workers: dict[int, WorkerRecord] = {}
        self._roll: Roll | None = None
        self._again: list[Told] | None = None  # a reload asked for while one was under way, and who waits for it
        self._asks: dict[int, Ask] = {}
        self._interrupts = 0
        self._exit_status: int | None = None
        self._leaves_with = STOPPED
        self._failure: PortsideError | None = None
        self._identity = Identity(settings.user, settings.group)
        self._inbox: SignalInbox
        self._control: ControlServer | None = None
        self.started_s = clock()

    # ── the life of it ───────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> int:
        self._inbox = SignalInbox()
        try:
            self._selector.register(self._inbox.fileno(), selectors.EVENT_READ, self._heed_signals)
            raise_descriptor_limit()
            self._start()
            while self._exit_status is None:
                self._turn()
        finally:
            self._clean_up()
        if self._failure is not None:
            raise self._failure
        return self._exit_status

    def _start(self) -> None:
        """Bind everything, become who we shall be, fork the first workers."""
        settings = self._settings
        if not settings.services:
            raise UsageError("there is no service to serve")
        plan = listening.plan(settings.services)
        self._plan = plan  # so that whatever happens now, the sockets are closed and the paths go
        self._open_control(settings)
        if self._identity.is_other:
            if self._identity.user_id is not None:
                for one in plan.all():
                    one.give_to(self._identity.user_id)
            self._identity.take_on()
        for model in {service.model for service in settings.services}:
            model_module(model)  # before the fork: its pages are shared, and a restart is quick
        self._begin_roll(settings, plan, is_first=True, told=[])
        self._watch_over_us()

    def _turn(self) -> None:
        """Wait for the next thing to happen, and deal with it."""
        timeout_s = max(0.0, self._timers[0][0] - self._clock()) if self._timers else None
        for key, _ in self._selector.select(timeout_s):
            self._guarded(key.data)
        while self._timers and self._timers[0][0] <= self._clock():
            self._guarded(heapq.heappop(self._timers)[2])

    def _guarded(self, act: Callable[[], None]) -> None:
        """Whatever goes wrong in one matter must not end the supervision of all others."""
        try:
            act()
        except Exception:
            log.exception("the supervisor failed in %s and goes on", getattr(act, "__qualname__", act))

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self._clock() + seconds, next(self._numbers), act))

    def _clean_up(self) -> None:
        for pid in list(self._workers):
            self._kill(pid)
        self._wait_for_the_killed()
        if self._control is not None:
            self._control.close()
        listening.close(self._plan.all())
        if self._roll is not None:
            listening.close(self._roll.plan.new)
        self._selector.close()
        self._inbox.close()

    def _wait_for_the_killed(self) -> None:
        deadline_s = self._clock() + FORCE_S
        while self._workers and (left_s := deadline_s - self._clock()) > 0:
            self._reap()
            if self._workers:
                self._selector.select(min(left_s, 0.05))

    def _watch_over_us(self) -> None:
        every_s = self._notifier.watchdog_s
        if every_s is not None:
            self._notifier.alive()
            self._after(every_s, self._watch_over_us)

    # ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _heed_signals(self) -> None:
        for number in self._inbox.take():
            match number:
                case signal.SIGTERM:
                    self.stop()
                case signal.SIGINT:
                    self._interrupts += 1
                    if self._interrupts > 1:
                        log.warning("interrupted again: the workers are killed")
                        self._exit_status = INTERRUPTED
                    self.stop()
                case signal.SIGHUP:
                    self.reload()
        self._reap()

    def _reap(self) -> None:
        """Take note of every child that is gone, also of orphans that came to us as process 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            record = self._workers.pop(pid, None)
            if record is not None:
                self._worker_gone(record, os.waitstatus_to_exitcode(status))

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _spawn(
        self, settings: ServiceSettings, slot: int, plan: listening.Plan, ledger: SharedLedger, *, watched: Watched
    ) -> WorkerRecord:
        """Fork one worker. Raises: LocalError when the machine has no process, descriptor or slot to give."""
        ledger_slot = ledger.claim()
        try:
            ours, theirs = say.open_channel()
        except OSError as error:
            ledger.wipe(ledger_slot)
            raise LocalError(f"no descriptors for another worker: {error.strerror}") from error
        parent = os.getpid()
        bounds = plan.bounds(settings, slot)
        with held_back():
            try:
                pid = os.fork()
            except OSError as error:
                ledger.wipe(ledger_slot)
                ours.close()
                theirs.close()
                raise LocalError(f"no process for another worker: {error.strerror}") from error
            if pid == 0:
                assignment = Assignment(settings, bounds, ledger, ledger_slot, theirs, watched)
                self._become_worker(assignment, parent, ours, plan)
        theirs.close()
        record = WorkerRecord(pid, settings, slot, ours, ledger, ledger_slot, self._clock())
        self._workers[pid] = record
        self._selector.register(ours.fileno(), selectors.EVENT_READ, lambda: self._hear(record))
        return record

    def _become_worker(self, assignment: Assignment, parent: int, ours: say.Channel, plan: listening.Plan) -> NoReturn:
        """In the child: let go of everything that is the supervisor's, and work. Never returns."""
        try:
            self._inbox.forget_in_child()
            let_through()
            die_with_parent(parent)
            self._selector.close()
            ours.close()
            for record in self._workers.values():
                record.channel.close()
            if self._control is not None:
                self._control.forget_in_child()
            mine = {bound.socket.fileno() for bound in assignment.bounds}
            for one in (*self._plan.all(), *plan.all()):
                for bound in one.all():
                    if bound.socket.fileno() not in mine:
                        bound.socket.close()
            work(assignment)
        finally:
            os._exit(BORN_DEAD)

    def _kill(self, pid: int) -> None:
        """Kill a worker that has not been reaped yet: its pid cannot be anybody else's."""
        if pid in self._workers:
            os.kill(pid, signal.SIGKILL)

    def _hear(self, record: WorkerRecord) -> None:
        """Read what a worker says. Its silence for ever is told by its exit."""
        try:
            messages = record.channel.receive()
            record.channel.flush()
        except ConnectionLost:
            self._hang_up(record)
            return
        for message in messages:
            self._heed(record, message)

    def _hang_up(self, record: WorkerRecord) -> None:
        if record.channel.fileno() >= 0:
            self._selector.unregister(record.channel.fileno())
            record.channel.close()

    def _heed(self, record: WorkerRecord, message: object) -> None:
        match message:
            case say.Ready():
                if record.state == "starting":
                    record.state = "ready"
                    self._worker_ready(record)
            case say.Failed():
                record.failed = message
            case say.Leaving():
                record.is_leaving = True
                record.state = "draining"
                self._replace(record)
            case say.Changed(files):
                log.info("code has changed: %s", ", ".join(files))
                self.reload()
            case say.Rows(number, rows, more):
                self._take_rows(record, number, rows, more=more)
            case say.Ended(number, found):
                if (ask := self._asks.get(number)) is not None:
                    ask.found = ask.found or found
                    self._answered(number, ask, record.pid)

    def _tell(self, record: WorkerRecord, message: say.ToWorker) -> None:
        if record.channel.fileno() < 0:
            return
        try:
            record.channel.send(message)
        except ConnectionLost:
            self._hang_up(record)

    def _worker_ready(self, record: WorkerRecord) -> None:
        roll = record.roll
        if roll is not None and roll is self._roll:
            roll.waits_for.discard(record.pid)
            if not roll.waits_for:
                self._commit(roll)

    def _worker_gone(self, record: WorkerRecord, status: int) -> None:
        """Put in order what a worker left behind, and decide what its exit means."""
        if record.channel.fileno() >= 0:
            self._hear(record)  # its last words
            self._hang_up(record)
        record.ledger.wipe(record.ledger_slot)
        for number in list(record.asks):
            if (ask := self._asks.get(number)) is not None:
                self._answered(number, ask, record.pid)
        self._close_unused(record.ledger)
        if self._phase == "stopping":
            self._stop_if_alone()
        elif record.roll is not None and record.roll is self._roll:
            self._abort(record.roll, _why_not_born(record, status))
        elif not record.is_leaving and not (record.state == "retiring" and status == 0):
            self._crashed(record, status)

    def _close_unused(self, ledger: SharedLedger) -> None:
        used = any(record.ledger is ledger for record in self._workers.values())
        groups = [*self._groups.values(), *(self._roll.groups.values() if self._roll is not None else ())]
        if not used and all(group.ledger is not ledger for group in groups):
            ledger.close()

    def _crashed(self, record: WorkerRecord, status: int) -> None:
        name = record.service.name
        how = f"{name}: worker {record.pid} {_how(status)}"
        if record.failed is not None:
            how += f": {record.failed.sentence}"
        group = self._groups.get(name)
        if group is None or group.workers.get(record.slot) is not record:
            log.error("%s; it was retiring, its connections are lost", how)
            return
        del group.workers[record.slot]
        delay_s = group.crashes.note(self._clock())
        if delay_s is None:
            log.critical("%s; its workers keep crashing, the server stops", how)
            self.stop(CRASHING)
            return
        log.error("%s; it is replaced%s", how, f" in {delay_s:g} s" if delay_s else "")
        self._after(delay_s, lambda: self._refill(group, record.slot))

    def _replace(self, record: WorkerRecord) -> None:
        group = self._groups.get(record.service.name)
        if group is not None and group.workers.get(record.slot) is record:
            del group.workers[record.slot]
            self._refill(group, record.slot)

    def _refill(self, group: Group, slot: int) -> None:
        """Fork a worker for a slot that has none, unless the service has changed or gone meanwhile."""
        name = group.settings.name
        if self._phase != "running" or self._groups.get(name) is not group or slot in group.workers:
            return
        try:
            group.workers[slot] = self._spawn(
                group.settings, slot, self._plan, group.ledger, watched=self._settings.watched
            )
        except LocalError as error:
            log.error("%s: %s; trying again", name, error)
            self._after(FORK_RETRY_S, lambda: self._refill(group, slot))

    # ── rolls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def reload(self, told: Told | None = None) -> None:
        """Read configuration and code anew, and let new workers take over. ``told`` hears how it went."""
        waiting = [] if told is None else [told]
        if self._phase == "stopping":
            for one in waiting:
                one("the server is stopping")
            return
        if self._roll is not None:
            if self._roll.is_first or self._clock() - self._roll.started_s < STALE_ROLL_S:
                self._again = [*(self._again or ()), *waiting]
                return
            self._abort(self._roll, LocalError("its workers took too long and another reload was asked for"))
        self._notifier.reloading()
        try:
            settings = self._reread()
            if not settings.services:
                raise UsageError("there is no service to serve")
            plan = listening.plan(settings.services, self._plan)
        except Exception as error:
            if not isinstance(error, PortsideError):
                log.exception("reading the configuration failed")
            self._stay(str(error), waiting)
            return
        if (settings.user, settings.group) != (self._settings.user, self._settings.group):
            log.warning("another user or group takes a restart: what is dropped cannot be had back")
        self._begin_roll(settings, plan, is_first=False, told=waiting)

    def _begin_roll(self, settings: ServerSettings, plan: listening.Plan, *, is_first: bool, told: list[Told]) -> None:
        self._roll = roll = Roll(settings, plan, is_first, self._clock(), told=told)
        running.set_services(
            tuple((service.name, endpoint) for service in settings.services for endpoint in plan.endpoints(service))
        )
        try:
            for service in settings.services:
                model_module(service.model)
                roll.groups[service.name] = group = self._new_group(service)
                for slot in range(listening.slots_of(service)):
                    record = self._spawn(service, slot, plan, group.ledger, watched=settings.watched)
                    record.roll = roll
                    group.workers[slot] = record
                    roll.waits_for.add(record.pid)
        except LocalError as error:
            self._abort(roll, error)
        except Exception as error:
            log.exception("forking new workers failed")
            self._abort(roll, LocalError(f"new workers cannot be forked: {error}"))

    def _new_group(self, settings: ServiceSettings) -> Group:
        """Return the service's next group; counts go on where the ledger is large enough for the new limit."""
        present = self._groups.get(settings.name)
        if present is not None and present.ledger.connections >= settings.limits.connections:
            return Group(settings, present.ledger)
        return Group(settings, SharedLedger(settings.limits.connections))

    def _commit(self, roll: Roll) -> None:
        """All new workers are ready: they are the server now, and the old ones retire."""
        old_groups, old_plan = self._groups, self._plan
        self._roll = None
        self._groups, self._plan, self._settings = roll.groups, roll.plan, roll.settings
        for group in roll.groups.values():
            for record in group.workers.values():
                record.roll = None
        for group in old_groups.values():
            for record in group.workers.values():
                self._retire(record)
        for group in old_groups.values():
            self._close_unused(group.ledger)
        kept = set(map(id, roll.plan.all()))
        if not roll.is_first:
            listening.close(one for one in old_plan.all() if id(one) not in kept)
        roll.plan.refit(roll.settings.services)
        self._open_control(roll.settings)
        new = set(map(id, roll.plan.new))
        print_ready(
            f"listening on {endpoint} ({service.what}, {service.model})"
            for service in roll.settings.services
            for listener, asked in zip(roll.plan.by_service[service.name], service.listen, strict=True)
            if id(listener) in new
            for endpoint in (listening.told_as(bound, asked).endpoint for bound in listener.bounds)
        )
        self._phase = "running"
        self._notifier.ready(f"serving {', '.join(roll.groups)}")
        if not roll.is_first:
            log.info("reloaded: new workers have taken over")
        self._finish_roll(roll.told, None)

    def _abort(self, roll: Roll, error: PortsideError) -> None:
        """The new workers are not what was hoped: they go, and the old ones stay. At a start: the server goes."""
        self._roll = None
        for group in roll.groups.values():
            for record in group.workers.values():
                record.roll = None
                record.is_leaving = True
                if record.pid in self._workers:  # the one whose end brought us here is gone already
                    self._kill(record.pid)
        if roll.is_first:
            self._failure = error
            self.stop()
            return
        for group in roll.groups.values():
            self._close_unused(group.ledger)
        listening.close(roll.plan.new)
        running.set_services(
            tuple(
                (group.settings.name, endpoint)
                for group in self._groups.values()
                for endpoint in self._plan.endpoints(group.settings)
            )
        )
        self._stay(str(error), roll.told)

    def _stay(self, why: str, told: list[Told]) -> None:
        log.error("reload failed, the old workers keep running: %s", why)
        self._notifier.ready(f"serving {', '.join(self._groups)}; the last reload failed")
        self._finish_roll(told, why)

    def _finish_roll(self, told: list[Told], why_not: str | None) -> None:
        for one in told:
            one(why_not)
        if self._again is not None and self._phase == "running":
            again, self._again = self._again, None

            self._after(0.0, lambda: self.reload(_telling(again)))

    def _retire(self, record: WorkerRecord) -> None:
        if record.state == "starting":  # it has no connections yet
            record.is_leaving = True
            self._kill(record.pid)
        elif record.state == "ready":
            record.state = "retiring"
            self._tell(record, say.Retire())

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, status: int = STOPPED) -> None:
        """Drain everything and leave with the status. A second call changes nothing."""
        if self._phase == "stopping":
            return
        self._phase = "stopping"
        self._leaves_with = status
        self._notifier.stopping()
        roll = self._roll
        if roll is not None:
            self._roll = None
            listening.close(roll.plan.new)
            for told in roll.told:
                told("the server is stopping")
        listening.close(self._plan.all())
        for record in list(self._workers.values()):
            if record.state == "starting":
                self._kill(record.pid)
            else:
                drain_s = record.service.drain_s
                record.state = "draining"
                self._tell(record, say.Drain(drain_s))
                self._after(drain_s + KILL_GRACE_S, lambda pid=record.pid: self._kill_overdue(pid))  # type: ignore[misc]
        self._stop_if_alone()

    def _kill_overdue(self, pid: int) -> None:
        if pid in self._workers:
            log.warning("worker %d did not end after its drain deadline and is killed", pid)
            self._kill(pid)

    def _stop_if_alone(self) -> None:
        if not self._workers and self._exit_status is None:
            self._exit_status = self._leaves_with

    # ── the operator's questions ─────────────────────────────────────────────────────────────────────────────────────

    def _open_control(self, settings: ServerSettings) -> None:
        """Open the control socket that is asked for, and close one that is not any more. Raises: LocalError."""
        present = self._control.path if self._control is not None else None
        if settings.control == present:
            return
        if self._control is not None:
            self._control.close()
            self._control = None
        if settings.control is not None:
            from portside.serve.control import ControlServer

            try:
                self._control = ControlServer(settings.control, self, self._selector)
                if self._identity.user_id is not None:
                    self._control.give_to(self._identity.user_id)
            except PortsideError:
                if self._phase == "starting":
                    raise
                log.exception("the control socket %s cannot be opened", settings.control)

    def services(self) -> Iterator[dict[str, Any]]:
        """Yield each service as ``ps`` shows it, without its connections."""
        for group in self._groups.values():
            settings, tally = group.settings, group.ledger.tally()
            workers = [record for record in self._workers.values() if record.service.name == settings.name]
            yield {
                "service": settings.name,
                "what": settings.what,
                "model": settings.model,
                "listen": [str(endpoint) for endpoint in self._plan.endpoints(settings)],
                "state": self._state_of(group),
                "workers": [
                    {"pid": record.pid, "state": record.state, "age_s": round(self._clock() - record.started_s, 3)}
                    for record in sorted(workers, key=lambda record: record.pid)
                ],
                "open": group.ledger.total,
                "limit": settings.limits.connections,
                **_totals(tally),
            }

    def _state_of(self, group: Group) -> str:
        if self._phase == "stopping":
            return "draining"
        ready = sum(record.state == "ready" for record in group.workers.values())
        return "ready" if ready == listening.slots_of(group.settings) else "degraded" if ready else "down"

    def ask_connections(self, done: Callable[[Ask], None]) -> None:
        """Have ``done`` called with the rows of all live connections, as far as workers answer in time."""
        self._ask(done, lambda number: say.ListConnections(number, first=True))

    def end_connection(self, identity: str, done: Callable[[Ask], None]) -> None:
        """Have the connection of that id ended, and ``done`` called with whether it was found."""
        self._ask(done, lambda number: say.EndConnection(number, identity))

    def _ask(self, done: Callable[[Ask], None], question: Callable[[int], say.ToWorker]) -> None:
        records = [record for record in self._workers.values() if record.state != "starting"]
        number = next(self._numbers)
        self._asks[number] = Ask({record.pid for record in records}, done)
        for record in records:
            record.asks.add(number)
            self._tell(record, question(number))
        if records:
            self._after(ASK_S, lambda: self._close_ask(number))
        else:
            self._close_ask(number)

    def _take_rows(self, record: WorkerRecord, number: int, rows: Iterable[say.Row], *, more: bool) -> None:
        ask = self._asks.get(number)
        if ask is None:
            return
        ask.rows += [(record, row) for row in rows]
        if more:
            self._tell(record, say.ListConnections(number, first=False))
        else:
            self._answered(number, ask, record.pid)

    def _answered(self, number: int, ask: Ask, pid: int) -> None:
        ask.waits_for.discard(pid)
        if not ask.waits_for or ask.found:
            self._close_ask(number)

    def _close_ask(self, number: int) -> None:
        ask = self._asks.pop(number, None)
        if ask is None:
            return
        ask.silent = ask.waits_for & self._workers.keys()
        for record in self._workers.values():
            record.asks.discard(number)
        ask.done(ask)


def _telling(several: list[Told]) -> Told:
    def tell(why_not: str | None) -> None:
        for told in several:
            told(why_not)

    return tell


def print_ready(lines: Iterable[str]) -> None:
    """Tell people, and whoever started us, where we listen: on stderr, each line whole."""
    text = "".join(f"{line}\n" for line in lines)
    if text and sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _totals(tally: Tally) -> dict[str, Any]:
    return {
        "opened": tally.opened,
        "datagrams": tally.datagrams,
        "bytes_in": tally.bytes_in + tally.live_bytes_in,
        "bytes_out": tally.bytes_out + tally.live_bytes_out,
        "handler_failed": tally.handler_failed,
        "ended_idle": tally.ended_idle,
        "ended_life": tally.ended_life,
        "cut_off": tally.cut_off,
        "limits_hit": {
            "connections": tally.limit_connections,
            "per_ip": tally.limit_per_ip,
            "accept_rate": tally.limit_accept_rate,
            "datagrams": tally.limit_datagrams,
            "denied": tally.limit_denied,
            "amplification": tally.limit_amplification,
            "proxy": tally.limit_proxy,
        },
    }


def _why_not_born(record: WorkerRecord, status: int) -> PortsideError:
    """Return what the start or reload fails with when one of its workers is gone."""
    if record.failed is not None:
        kind = UsageError if record.failed.usage else LocalError
        return kind(record.failed.sentence)
    return LocalError(f"{record.service.name}: a worker died before it was ready: it {_how(status)}")


def _how(status: int) -> str:
    """Return how a process ended, for a sentence."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
