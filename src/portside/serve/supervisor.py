"""The supervisor: binds everything, forks workers, and keeps the server what it is asked to be.

One process without threads and without an event loop, which never runs a line of the user's code and never waits for
a worker: it selects over signals, channels and the control socket. It judges workers by their exit, not by chat: a
busy one is never killed for being busy.

A start and a reload are the same act, a *roll*: plan the sockets, fork the new workers, and when all of them are
ready let the old ones retire. If one of the new is not born, all of the new go, and the old never knew.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from portside.errors import LocalError, PortsideError, UsageError
from portside.net.sockets import Bound
from portside.serve import channel as say
from portside.serve import listening, running
from portside.serve.counters import SharedCounters
from portside.serve.inquiries import row_of_service, shown_usage
from portside.serve.ledger import SharedLedger
from portside.serve.lifecycle import Identity, Notifier, raise_descriptor_limit
from portside.serve.observing import Observe
from portside.serve.records import Group, Roll, Told, WorkerRecord, how, why_not_born
from portside.serve.settings import ServerSettings, ServiceSettings
from portside.serve.signals import SignalInbox, let_through
from portside.serve.turns import Turns
from portside.serve.worker import model_module
from portside.serve.workforce import Workforce

if TYPE_CHECKING:
    from portside.serve.control import ControlServer

log = logging.getLogger("portside")

STOPPED: Final = 0  # exit statuses, the contract's
CRASHING: Final = 4
INTERRUPTED: Final = 130

KILL_GRACE_S: Final = 3.0  # beyond a worker's drain deadline, after which it has to be gone by itself
FORCE_S: Final = 2.0  # how long killed workers are waited for
FORK_RETRY_S: Final = 1.0  # when the machine has no process to give
STALE_ROLL_S: Final = 30.0  # a reload whose workers take longer gives way to the next one

Reread: TypeAlias = Callable[[], ServerSettings]


def run(
    settings: ServerSettings,
    *,
    reread: Reread | None = None,
    observe: Observe | None = None,
    ends_process: bool = False,
) -> int:
    """Serve until stopped, and return the exit status: 0 stopped, 4 workers keep crashing, 130 forced.

    ``reread`` returns the settings anew at each reload, or raises what is wrong with them. ``observe`` makes what keeps
    in mind in each worker what is said, as long as there is a control socket to ask for it. ``ends_process``: nothing
    comes behind it, so that signals to end are heard no more once it has ended.
    Raises: LocalError when the server could not start; UsageError when what was asked for cannot be meant.
    """
    return Supervisor(settings, reread or (lambda: settings), observe, ends_process=ends_process).run()


class Supervisor:
    """See the module. ``run`` is called once."""

    def __init__(
        self,
        settings: ServerSettings,
        reread: Reread,
        observe: Observe | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        ends_process: bool = False,
    ) -> None:
        self._settings = settings
        self._ends_process = ends_process
        self._reread = reread
        self._observe = observe
        self._clock = clock
        self._notifier = Notifier(os.environ, os.getpid())
        self._turns = Turns(clock)
        self._phase: Literal["starting", "running", "stopping"] = "starting"
        self._plan = listening.NOTHING
        self._groups: dict[str, Group] = {}
        self._force = Workforce(self._turns, self, clock)
        self._roll: Roll | None = None
        self._again: list[Told] | None = None  # a reload asked for while one was under way, and who waits for it
        self.inquiries = self._force.inquiries
        self.failures = self._force.failures
        self.captures = self._force.captures
        self._interrupts = 0
        self._exit_status: int | None = None
        self._leaves_with = STOPPED
        self._failure: PortsideError | None = None
        self._identity = Identity(settings.user, settings.group)
        self._inbox: SignalInbox
        self._control: ControlServer | None = None
        self.started_s = clock()
        self.started_at = datetime.now(UTC)

    # ── the life of it ───────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> int:
        self._inbox = SignalInbox()
        try:
            self._turns.watch(self._inbox.fileno(), self._heed_signals)
            raise_descriptor_limit()
            self._start()
            while self._exit_status is None:
                self._turns.turn()
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

    def _clean_up(self) -> None:
        for pid in list(self._force.workers):
            self._force.kill(pid)
        self._wait_for_the_killed()
        if self._control is not None:
            self._control.close()
        listening.close(self._plan.all())
        if self._roll is not None:
            listening.close(self._roll.plan.new)
        self._turns.close()
        self._inbox.close(for_good=self._ends_process)

    def _wait_for_the_killed(self) -> None:
        deadline_s = self._clock() + FORCE_S
        while self._force.workers and (left_s := deadline_s - self._clock()) > 0:
            self._force.reap()
            if self._force.workers:
                self._turns.pause(min(left_s, 0.05))

    def _watch_over_us(self) -> None:
        every_s = self._notifier.watchdog_s
        if every_s is not None:
            self._notifier.alive()
            self._turns.after(every_s, self._watch_over_us)

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
        self._force.reap()

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _spawn(self, group: Group, slot: int, plan: listening.Plan, server: ServerSettings) -> WorkerRecord:
        """Fork one worker. Raises: LocalError when the machine has no process, descriptor or slot to give."""
        settings = group.settings
        bounds = plan.bounds(settings, slot)
        return self._force.spawn(
            settings,
            slot,
            bounds=bounds,
            ledger=group.ledger,
            counters=group.counters,
            watched=server.watched,
            observe=self._observe if server.control is not None else None,
            let_go=lambda: self._let_go_in_child(bounds, plan),
        )

    def _let_go_in_child(self, mine: tuple[Bound, ...], plan: listening.Plan) -> None:
        """In a worker just forked: its own sockets are all of ours that it keeps."""
        self._inbox.forget_in_child()
        let_through()
        self._turns.close()
        self._force.forget_in_child()
        if self._control is not None:
            self._control.forget_in_child()
        kept = {bound.socket.fileno() for bound in mine}
        for one in (*self._plan.all(), *plan.all()):
            for bound in one.all():
                if bound.socket.fileno() not in kept:
                    bound.socket.close()

    def worker_ready(self, record: WorkerRecord) -> None:
        roll = record.roll
        if roll is not None and roll is self._roll:
            roll.waits_for.discard(record.pid)
            if not roll.waits_for:
                self._commit(roll)

    def worker_gone(self, record: WorkerRecord, status: int) -> None:
        """Decide what the exit of a worker means."""
        self._close_unused(record)
        if self._phase == "stopping":
            self._stop_if_alone()
        elif record.roll is not None and record.roll is self._roll:
            self._abort(record.roll, why_not_born(record, status))
        elif not record.is_leaving and not (record.state == "retiring" and status == 0):
            self._crashed(record, status)

    def _close_unused(self, owner: Group | WorkerRecord) -> None:
        """Let go of the memory of a worker or a group that is gone, if nobody else shares it."""
        others: list[Group | WorkerRecord] = [*self._force.workers.values(), *self._groups.values()]
        if self._roll is not None:
            others += self._roll.groups.values()
        if all(other.ledger is not owner.ledger for other in others):
            owner.ledger.close()
        if all(other.counters is not owner.counters for other in others):
            owner.counters.close()

    def _crashed(self, record: WorkerRecord, status: int) -> None:
        name = record.service.name
        what = f"{name}: worker {record.pid} {how(status)}"
        if record.failed is not None:
            what += f": {record.failed.sentence}"
        self.failures.add_crash(record, what)
        group = self._groups.get(name)
        if group is None or group.workers.get(record.slot) is not record:
            log.error("%s; it was retiring, its connections are lost", what)
            return
        del group.workers[record.slot]
        delay_s = group.crashes.note(self._clock())
        if delay_s is None:
            log.critical("%s; its workers keep crashing, the server stops", what)
            self.stop(CRASHING)
            return
        log.error("%s; it is replaced%s", what, f" in {delay_s:g} s" if delay_s else "")
        self._turns.after(delay_s, lambda: self._refill(group, record.slot))

    def worker_leaving(self, record: WorkerRecord) -> None:
        group = self._groups.get(record.service.name)
        if group is not None and group.workers.get(record.slot) is record:
            del group.workers[record.slot]
            self._refill(group, record.slot)

    def code_changed(self, files: list[str]) -> None:
        log.info("code has changed: %s", ", ".join(files))
        self.reload()

    def _refill(self, group: Group, slot: int) -> None:
        """Fork a worker for a slot that has none, unless the service has changed or gone meanwhile."""
        name = group.settings.name
        if self._phase != "running" or self._groups.get(name) is not group or slot in group.workers:
            return
        try:
            group.workers[slot] = self._spawn(group, slot, self._plan, self._settings)
        except LocalError as error:
            log.error("%s: %s; trying again", name, error)
            self._turns.after(FORK_RETRY_S, lambda: self._refill(group, slot))

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
                    record = self._spawn(group, slot, plan, settings)
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
        counters = SharedCounters() if present is None else present.counters
        if present is not None and present.ledger.connections >= settings.limits.connections:
            return Group(settings, present.ledger, counters)
        return Group(settings, SharedLedger(settings.limits.connections), counters)

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
            self._close_unused(group)
        kept = set(map(id, roll.plan.all()))
        if not roll.is_first:
            listening.close(one for one in old_plan.all() if id(one) not in kept)
        roll.plan.refit(roll.settings.services)
        self._open_control(roll.settings)
        listening.print_ready(
            f"listening on {endpoint} ({service.what}, {service.model})"
            for service in roll.settings.services
            for endpoint in roll.plan.endpoints(service, only_new=True)
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
                if record.pid in self._force.workers:  # the one whose end brought us here is gone already
                    self._force.kill(record.pid)
        if roll.is_first:
            self._failure = error
            self.stop()
            return
        for group in roll.groups.values():
            self._close_unused(group)
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

            self._turns.after(0.0, lambda: self.reload(_telling(again)))

    def _retire(self, record: WorkerRecord) -> None:
        if record.state == "starting":  # it has no connections yet
            record.is_leaving = True
            self._force.kill(record.pid)
        elif record.state == "ready":
            record.state = "retiring"
            record.tell(say.Retire())

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
        for record in list(self._force.workers.values()):
            if record.state == "starting":
                self._force.kill(record.pid)
            else:
                drain_s = record.service.drain_s
                record.state = "draining"
                record.tell(say.Drain(drain_s))
                self._turns.after(drain_s + KILL_GRACE_S, lambda pid=record.pid: self._kill_overdue(pid))  # type: ignore[misc]
        self._stop_if_alone()

    def _kill_overdue(self, pid: int) -> None:
        if pid in self._force.workers:
            log.warning("worker %d did not end after its drain deadline and is killed", pid)
            self._force.kill(pid)

    def _stop_if_alone(self) -> None:
        if not self._force.workers and self._exit_status is None:
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
                self._control = ControlServer(settings.control, self, self._turns.selector)
                if self._identity.user_id is not None:
                    self._control.give_to(self._identity.user_id)
            except PortsideError:
                if self._phase == "starting":
                    raise
                log.exception("the control socket %s cannot be opened", settings.control)

    def health(self) -> dict[str, Any]:
        """Return the state of the server; it is ready while every service has a worker and nothing stops it."""
        states = [self._state_of(group) for group in self._groups.values()]
        is_ready = self._phase == "running" and all(state in ("ready", "degraded") for state in states)
        return {"state": self._phase, "ready": is_ready}

    def stats(self) -> dict[str, Any]:
        """Return what there is to count: of the supervisor itself, and of each service."""
        return {
            "version": str(sys.modules["portside"].__version__),
            "pid": os.getpid(),
            **self.health(),
            "started_at": self.started_at.isoformat(timespec="milliseconds"),
            "up_s": round(self._clock() - self.started_s, 3),
            **shown_usage(os.getpid()),
            "services": list(self.services(detailed=True)),
        }

    def services(self, *, detailed: bool = False) -> Iterator[dict[str, Any]]:
        """Yield each service as ``ps`` shows it, without its connections; ``detailed`` with all that is counted."""
        for group in self._groups.values():
            name = group.settings.name
            yield row_of_service(
                group,
                endpoints=self._plan.endpoints(group.settings),
                state=self._state_of(group),
                workers=[record for record in self._force.workers.values() if record.service.name == name],
                now_s=self._clock(),
                detailed=detailed,
            )
        # Services that a reload took away, as long as somebody is still with their old workers.
        for leaving in self._leaving().values():
            group = Group(leaving[0].service, leaving[0].ledger, leaving[0].counters)
            yield row_of_service(
                group, endpoints=(), state="retiring", workers=leaving, now_s=self._clock(), detailed=detailed
            )

    def _leaving(self) -> dict[str, list[WorkerRecord]]:
        leaving: dict[str, list[WorkerRecord]] = {}
        for record in self._force.workers.values():
            if record.service.name not in self._groups and record.state in ("retiring", "draining"):
                leaving.setdefault(record.service.name, []).append(record)
        return leaving

    def _state_of(self, group: Group) -> str:
        if self._phase == "stopping":
            return "draining"
        ready = sum(record.state == "ready" for record in group.workers.values())
        return "ready" if ready == listening.slots_of(group.settings) else "degraded" if ready else "down"


def _telling(several: list[Told]) -> Told:
    def tell(why_not: str | None) -> None:
        for told in several:
            told(why_not)

    return tell
