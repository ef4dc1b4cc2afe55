"""A worker: one process that serves one service under one model, and what it hears from its supervisor.

The process is forked by the supervisor and runs ``work``, which never returns. It loads the battery (so that a reload
gets new code), runs the model, and leaves with ``os._exit``: nothing of the supervisor's that it inherited is undone.
"""

from __future__ import annotations

import importlib
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn

from portside.errors import ConnectionLost, PortsideError, UsageError
from portside.net.sockets import Bound
from portside.serve import channel as say
from portside.serve import running
from portside.serve.capturing import Captures
from portside.serve.descriptors import OpenFiles
from portside.serve.observing import BLIND, Observe, Observer, Sight
from portside.serve.roster import Connections, LiveConnections
from portside.serve.service import CUT_OFF, Service
from portside.serve.settings import ServiceSettings
from portside.serve.sweeper import TICK_S, Sweeper
from portside.serve.tallying import count_events
from portside.serve.watching import Watches

if TYPE_CHECKING:
    from portside.net.tls import ServerTls
    from portside.serve.counters import SharedCounters
    from portside.serve.ledger import SharedLedger

log = logging.getLogger("portside")

DRAIN_TICK_S: Final = 0.1  # how often a draining worker looks for connections that wait for input, to say goodbye
BACKLOG_BYTES_MAX: Final = 262_144  # beyond it the supervisor is not told of failures any more: it counts them anyway
CUT_GRACE_S: Final = 0.5  # what a handler has left to put things in order after its connection was cut off

BORN_DEAD: Final = 70  # exit statuses of a worker, for the supervisor's records; 0 is an end that was asked for
ORPHANED: Final = 71

SHUTDOWN_WORDS: Final = "the server is shutting down"
OPERATOR_WORDS: Final = "closed by the operator"

MODEL_MODULES: Final = {"prefork": "iterative"}  # a pool of processes that each run it


def model_module(model: str) -> Any:
    """Return the module whose ``run`` serves under the model."""
    return importlib.import_module(f"portside.serve.models.{MODEL_MODULES.get(model, model)}")


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the supervisor gives a worker at its birth."""

    settings: ServiceSettings
    bounds: tuple[Bound, ...]
    ledger: SharedLedger
    ledger_slot: int
    counters: SharedCounters
    channel: say.Channel
    watched: tuple[str, ...] | None = None  # with --reload: files to watch beside the code that is imported
    observe: Observe | None = None  # where somebody may ask: makes what keeps in mind what is said


class Worker:
    """What a model gets: the service, its sockets, and when to stop.

    A model calls ``ready`` once it accepts, polls ``stop_fd`` beside its sockets and stops accepting when that is
    readable, and returns from ``run`` when ``drained()``. Meanwhile it has ``answer`` called whenever
    ``channel_fd`` is readable and ``tick`` every ``tick_s`` seconds: from its loop, or by ``keep_house`` in a thread.
    """

    def __init__(
        self,
        service: Service,
        bounds: Sequence[Bound],
        channel: say.Channel,
        *,
        watched: tuple[str, ...] | None = None,
        observer: Observer = BLIND,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.service = service
        self.bounds = bounds
        self.sweeper = Sweeper(service, clock)
        self.observer = observer
        self.stopping = threading.Event()
        self.stop_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watches = Watches(observer, clock)
        self.connections: Connections = LiveConnections(service, self._watches)
        self._open_files = OpenFiles(self.connections.by_descriptor)
        self.captures = Captures(service.name, self._capture_over)
        self._channel = channel
        self._channel_lock = threading.Lock()
        self._clock = clock
        self._deadline_s: float | None = None  # when a drain cuts off what is left
        self._cut_at_s: float | None = None
        self._is_told_to_go = False
        self._released = threading.Condition()
        service.on_release = self._note_release
        self._code = CodeWatch(watched) if watched is not None else None

    # ── for the model ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def model(self) -> str:
        return self.service.settings.model

    def ready(self) -> None:
        """Tell the supervisor that connections are accepted from now on."""
        if self._code is not None:
            self._code.look()
        self._say(say.Ready())

    @property
    def channel_fd(self) -> int:
        return self._channel.fileno()

    @property
    def tick_s(self) -> float:
        return TICK_S if self._deadline_s is None else DRAIN_TICK_S

    @property
    def drain_left_s(self) -> float:
        """The seconds until a drain cuts off what is left; the service's whole drain time before one has begun."""
        if self._deadline_s is None:
            return self.service.settings.drain_s
        return max(0.0, self._deadline_s - self._clock())

    def let_go_in_child(self) -> None:
        """In a forked child: the supervisor's channel and the worker's stop are not its own."""
        self._channel.close()
        os.close(self.stop_fd)

    @property
    def is_draining(self) -> bool:
        """Whether the server stops, and not only this worker in favour of a newer one."""
        return self._deadline_s is not None

    def drained(self) -> bool:
        """Whether accepting has stopped and every connection is over: the model may return."""
        return self.stopping.is_set() and self.service.places <= 0

    def answer(self) -> None:
        """Do what the supervisor says. Ends the process when there is no supervisor any more."""
        try:
            messages = self._channel.receive()
        except ConnectionLost:
            leave(ORPHANED)
        for message in messages:
            self._heed(message)

    def tick(self) -> None:
        """What is due about once a second: the sweep, the drain, files that changed."""
        self.sweeper.tick()
        self._watches.tick()
        self._open_files.look_anew()
        self.connections.look_anew()
        if self._is_told_to_go and self._deadline_s is None:
            self.drain(self.service.settings.drain_s)
            self._say(say.Leaving())
        if self._deadline_s is not None:
            self._drain_step()
        self._watch_certificates()
        if self._code is not None and not self.stopping.is_set() and (changed := self._code.look()):
            self._say(say.Changed(changed))
        if self._channel.backlog_bytes:
            with self._channel_lock:
                self._quietly(self._channel.flush)

    def keep_house(self) -> None:
        """Answer and tick in a thread of their own, for models whose main thread is with a handler."""
        threading.Thread(target=self._keep_house, name="portside-house", daemon=True).start()

    def _keep_house(self) -> None:
        readable = select.poll()
        readable.register(self.channel_fd, select.POLLIN)
        due_s = self._clock() + self.tick_s
        was_stopping = False
        while True:
            try:
                due_s = min(due_s, self._clock() + self.tick_s)  # a drain that has just begun ticks faster
                if readable.poll(max(0.0, due_s - self._clock()) * 1_000):
                    self.answer()
                    if self.is_draining:
                        self._close_listeners()
                if self._clock() >= due_s:
                    if was_stopping:
                        self._close_listeners()  # by now nobody is about to accept whom they were woken for
                    was_stopping = self.stopping.is_set()
                    due_s = self._clock() + self.tick_s
                    self.tick()
            except Exception:
                log.exception("%s: housekeeping failed; it goes on", self.service.name)

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def retire(self) -> None:
        """Accept no more and keep the connections until they end: a newer worker has taken over."""
        self._stop_accepting()

    def drain(self, deadline_s: float) -> None:
        """Accept no more, say goodbye to those who wait for input, cut off what is left after ``deadline_s``."""
        at_s = self._clock() + deadline_s
        self._deadline_s = at_s if self._deadline_s is None else min(self._deadline_s, at_s)
        self._stop_accepting()

    def note_signal(self) -> None:
        """A TERM of this worker's own: at the next tick it goes as in a stop, and the supervisor replaces it.

        Called by a signal handler, in the middle of anything: so it takes no lock.
        """
        self._is_told_to_go = True

    def close_sockets(self) -> None:
        """Let go of this process' listening sockets; the supervisor's stay as long as it wants."""
        for bound in self.bounds:
            bound.socket.close()

    def _close_listeners(self) -> None:
        """Refuse whoever comes, also while the main thread is with a handler; a datagram may be answered still."""
        for bound in self.bounds:
            if not bound.endpoint.is_datagram:
                bound.socket.close()

    def wait_until_drained(self) -> None:
        """Return when the last connection is over: for the main thread of models with threads."""
        with self._released:
            while not self.drained():
                self._released.wait()

    def _note_release(self) -> None:
        if self.stopping.is_set():
            with self._released:
                self._released.notify_all()

    def _stop_accepting(self) -> None:
        if not self.stopping.is_set():
            self.stopping.set()
            os.eventfd_write(self.stop_fd, 1)
            self._note_release()

    def _drain_step(self) -> None:
        assert self._deadline_s is not None
        left_s = self._deadline_s - self._clock()
        if left_s > 0:
            self.connections.say_goodbye(SHUTDOWN_WORDS)
            return
        if self._cut_at_s is None:
            self._cut_at_s = self._clock()
            # First the record: once the last connection is over, the main thread may leave with the process.
            if count := self.connections.count():
                self.service.ledger.count(CUT_OFF, count)
                log.warning(
                    "%s: the drain deadline cut off %d connection%s", self.service.name, count, "s" * (count != 1)
                )
            self.connections.cut_off()
        if self._clock() - self._cut_at_s > CUT_GRACE_S:
            flush_log()
            leave(0)  # a handler that does not come back must not hold up the stop

    # ── the supervisor's questions ───────────────────────────────────────────────────────────────────────────────────

    def _heed(self, message: object) -> None:
        match message:
            case say.Retire():
                self.retire()
            case say.Drain(deadline_s):
                self.drain(deadline_s)
                self._drain_step()
            case say.ListConnections(ask, after, limit):
                if not after:
                    self.connections.publish()  # the counters shall agree with the rows
                self._say(say.Rows(ask, *self.connections.page(after, limit)))
            case say.ListDescriptors(ask, after, limit):
                self._say(say.Descriptors(ask, *self._open_files.page(after, limit)))
            case say.ShowConversation(ask, identity, after, limit):
                if not self.service.battery.speaks and self.observer is not BLIND:
                    self.connections.watch(identity)
                found = self.observer.conversation(identity, after, limit)
                self._say(say.Conversation(ask, found, self.connections.row(identity)))
            case say.Watch(identity):
                self.connections.watch(identity)
            case say.Capture():
                self.service.on_open = self.captures.add  # before the list is made of those there are: none is missed
                self.connections.capture(message, self.captures)
                self._note_captures()
            case say.EndConnection(ask, identity, reason):
                words = OPERATOR_WORDS if reason == "stopped" else SHUTDOWN_WORDS
                self._say(say.Ended(ask, self.connections.end(identity, words, reason)))

    def _note_captures(self) -> None:
        """Have connections that begin told to captures, as long as there are any."""
        self.service.on_open = self.captures.add if self.captures else None

    def _capture_over(self, capture: say.Capture) -> None:
        self._note_captures()
        self._say(say.CaptureOver(capture.to))

    def failed(self, failure: Sight) -> None:
        """Tell the supervisor what the observer saw of a handler's failure, unless it has enough to hear already."""
        if self._channel.backlog_bytes < BACKLOG_BYTES_MAX:
            self._say(say.HandlerFailed(failure))

    def _say(self, message: say.FromWorker) -> None:
        with self._channel_lock:
            self._quietly(lambda: self._channel.send(message))

    def _quietly(self, act: Callable[[], None]) -> None:
        try:
            act()
        except ConnectionLost:
            leave(ORPHANED)

    def _watch_certificates(self) -> None:
        tls = self.service.tls
        if tls is None:
            return
        try:
            if tls.changed():
                tls.reload()
                log.info("%s: the certificate files have changed and were read anew", self.service.name)
        except (PortsideError, OSError) as error:
            log.error("%s: the certificate files have changed, but the old ones stay: %s", self.service.name, error)


# ── code that changed on disk ────────────────────────────────────────────────────────────────────────────────────────


class CodeWatch:
    """Notices for ``--reload`` that source files of imported modules have changed, or one of the files named.

    Installed packages are left out.
    """

    def __init__(self, files: Sequence[str] = ()) -> None:
        self._files = tuple(os.path.abspath(file) for file in files)
        self._seen: dict[str, int] = {}
        self._left_out = (sys.base_prefix + os.sep, sys.prefix + os.sep, os.path.dirname(os.path.dirname(__file__)))

    def look(self) -> list[str]:
        """Return the files that changed since the last look; modules imported since then are only noted."""
        changed = []
        for path in (*self._files, *self._code()):
            try:
                stamp = os.stat(path).st_mtime_ns
            except OSError:
                stamp = -1
            if self._seen.setdefault(path, stamp) != stamp:
                self._seen[path] = stamp
                changed.append(path)
        return changed

    def _code(self) -> Iterator[str]:
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str) and not path.startswith(self._left_out):
                yield path


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────────────


def work(assignment: Assignment) -> NoReturn:
    """Be the worker, in the process that was just forked for it."""
    status = BORN_DEAD
    try:
        status = _work(assignment)
    except BaseException:
        log.exception("%s: the worker failed", assignment.settings.name)
    finally:
        flush_log()
        leave(status)


def flush_log() -> None:
    """Have the log say what it still holds back, such as how many a limit turned away."""
    for handler in logging.getLogger().handlers:
        with suppress(Exception):  # somebody's own handler must not keep the process
            handler.flush()


def _work(assignment: Assignment) -> int:
    settings, channel = assignment.settings, assignment.channel
    assignment.ledger.join(assignment.ledger_slot)
    try:
        tls = tls_of(settings)
        running.set_given(running.Given(settings.name, tls, assignment.counters))
        service = Service(settings, _load(settings), assignment.ledger, tls=tls)
    except Exception as error:
        channel.send(say.Failed(isinstance(error, UsageError), _sentence(error)))
        return BORN_DEAD
    observer = BLIND if assignment.observe is None else assignment.observe()
    worker = Worker(service, assignment.bounds, channel, watched=assignment.watched, observer=observer)
    observer.begin(worker.failed)
    count_events(service)
    signal.signal(signal.SIGTERM, lambda *_: worker.note_signal())
    try:
        model_module(settings.model).run(worker)
    except PortsideError as error:
        channel.send(say.Failed(isinstance(error, UsageError), str(error)))
        return BORN_DEAD
    worker.captures.finish()
    return 0 if worker.stopping.is_set() else BORN_DEAD


def _load(settings: ServiceSettings) -> Any:
    """Return the battery. Raises: UsageError for whatever goes wrong in the user's module at its import."""
    try:
        return settings.load()
    except PortsideError:
        raise
    except Exception as error:
        log.exception("%s: %s cannot be loaded", settings.name, settings.what)
        raise UsageError(f"{settings.what} cannot be loaded: {_sentence(error)}") from error


def tls_of(settings: ServiceSettings) -> ServerTls | None:
    """Return the TLS of a service that has certificates or a TLS endpoint. Raises: UsageError, NotPermitted."""
    if not any(endpoint.scheme == "tls" for endpoint in settings.listen) and not settings.tls.wanted:
        return None
    from portside.net.tls import server_context

    tls = settings.tls
    return server_context(tls.certificates, client_ca=tls.client_ca, alpn=tls.alpn, self_signed=tls.self_signed)


def _sentence(error: BaseException) -> str:
    if isinstance(error, PortsideError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies. Source: prctl(2), PR_SET_PDEATHSIG.

    It comes too late if the parent died in between, and not at all where there is no prctl: the channel's end is the
    other way we notice, and the certain one as long as any thread of ours can run.
    """
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (ImportError, OSError, AttributeError):
        return
    if os.getppid() != parent:
        leave(ORPHANED)


def leave(status: int) -> NoReturn:
    """End this process at once, with what it has printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(status)
