"""The loop of one host. One scheduler runs the steps of all of them; a loop has no turn of its own.

Written from ``AbstractEventLoop``: there is no selector below, and nothing that waits. Whenever a step of another
host's loop comes, ``here.enter`` makes that host and its loop the running ones.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from asyncio import AbstractEventLoop, Future, Handle, Task, TimerHandle
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from portside.sim import threads
from portside.sim.generators import take_generators
from portside.sim.here import Machine, enter, here
from portside.sim.loop import addrinfo
from portside.sim.loop.opening import Opening
from portside.sim.sockets import SimSocket

if TYPE_CHECKING:
    from portside.sim.unix import UnixNames

SECOND: Final = 1_000_000_000
TASKS_KEPT: Final = 64
AWAITS_WHILE_CLOSING: Final = 100


class _Soon(Handle):
    """A handle that does not ask its loop whether it is in debug mode: there is one for every step of a program."""

    __slots__ = ()

    def __init__(self, callback: Any, args: Any, loop: SimLoop, context: contextvars.Context | None) -> None:
        if loop._debug:
            super().__init__(callback, args, loop, context)
            return
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


_Loop: Any = AbstractEventLoop  # whose annotations are generic over what each callback takes


class SimLoop(Opening, _Loop):  # type: ignore[misc]
    """An event loop on a simulated host. ``halt`` is a crash: no step of it comes any more."""

    def __init__(self, machine: Machine, unix_names: UnixNames) -> None:
        self.machine = machine
        self.scheduler = machine.scheduler
        self.unix_names = unix_names
        self.is_halted = False
        self.is_ending = False  # programs clean up, and what goes wrong meanwhile is told to nobody
        self._is_closed = False
        self._debug = False
        self._context = contextvars.Context()
        self._task_factory: Any = None
        self._exception_handler: Any = None
        self._tasks: dict[Task[Any], None] = {}
        self._tasks_most = TASKS_KEPT
        self._kept: dict[Any, None] = {}
        self._signals: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self._executor: Any = None

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Handle:
        handle = _Soon(callback, args, self, context)
        self.scheduler.ready.append((self._run, handle))
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> TimerHandle:
        handle = TimerHandle(when, callback, args, self, context)
        handle._scheduled = True  # type: ignore[attr-defined]
        # A nanosecond more than its time: who looks at the clock then, and arms again while it is not due, never ends.
        due_ns = self.machine.clock.world_ns(math.ceil(when * SECOND)) + 1
        self.scheduler.at(max(due_ns, self.scheduler.now), self._run, handle)
        return handle

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        self.scheduler.cancelled(_is_cancelled)

    def _run(self, handle: Handle) -> None:
        if handle._cancelled or self.is_halted:
            return
        if here.machine is not self.machine:
            enter(self.machine)
        handle._run()

    def step(self, callback: Callable[[], object]) -> None:
        """Call this soon, in the one context that everything which comes from the network shares."""
        self.scheduler.ready.append((self._run_step, callback))

    def _run_step(self, callback: Callable[[], object]) -> None:
        if self.is_halted:
            return
        if here.machine is not self.machine:
            enter(self.machine)
        try:
            self._context.run(callback)
        except Exception as error:
            self._tell("Fatal error: protocol call failed.", error)

    def guard(self, callback: Callable[[], object], transport: object) -> None:
        """Call this now; what it raises is told, and stops nobody."""
        try:
            callback()
        except Exception as error:
            self._tell("protocol call failed", error, transport=transport)

    def time(self) -> float:
        return self.machine.clock.monotonic_ns() / SECOND

    # ── tasks and futures ────────────────────────────────────────────────────────────────────────────────────────────

    def create_future(self) -> Future[Any]:
        return Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **more: Any) -> Task[Any]:
        if self._task_factory is not None:
            task: Task[Any] = self._task_factory(self, coro, **_given(name=name, context=context), **more)
        else:
            task = Task(coro, loop=self, name=name, context=context, **more)
        if len(self._tasks) >= self._tasks_most:
            self._tasks = {one: None for one in self._tasks if not one.done()}
            self._tasks_most = 2 * len(self._tasks) + TASKS_KEPT
        self._tasks[task] = None
        # A world may be left while programs run in it.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        return task

    def tasks(self) -> list[Task[Any]]:
        """Return the tasks that have not ended, in the order in which they began."""
        return [task for task in self._tasks if not task.done()]

    def set_task_factory(self, factory: Any) -> None:
        if factory is not None and not callable(factory):
            raise TypeError("task factory must be a callable or None")
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        return self._task_factory

    def keep(self, thing: Any) -> None:
        """Hold on to something that nobody else may: a transport, until it is closed."""
        self._kept[thing] = None

    def let_go(self, thing: Any) -> None:
        self._kept.pop(thing, None)

    # ── exceptions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def set_exception_handler(self, handler: Any) -> None:
        self._exception_handler = handler

    def get_exception_handler(self) -> Any:
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        asyncio.BaseEventLoop.default_exception_handler(self, context)

    _current_handle = None  # what the default handler looks at in debug mode

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.is_halted or self.is_ending:
            return
        if self._exception_handler is None:
            self.default_exception_handler(context)
            return
        try:
            self._exception_handler(self, context)
        except Exception as error:
            told = {"message": "Unhandled error in exception handler", "exception": error, "context": context}
            self.default_exception_handler(told)

    def _tell(self, message: str, error: BaseException, **more: object) -> None:
        self.call_exception_handler({"message": message, "exception": error, **more})

    # ── running: the world does it ───────────────────────────────────────────────────────────────────────────────────

    def run_forever(self) -> None:
        raise RuntimeError("this loop is run by its world: await what is to be run, or start it with host.spawn")

    def run_until_complete(self, future: Any) -> Any:
        if isinstance(future, Coroutine):
            future.close()
        self.run_forever()

    def stop(self) -> None:
        raise RuntimeError("this loop is run by its world, which ends with the coroutine given to World.run")

    def is_running(self) -> bool:
        return not self.is_halted and not self._is_closed

    def is_closed(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        raise RuntimeError("this loop is its world's to close")

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled

    async def shutdown_asyncgens(self) -> None:
        for generator in take_generators(self):
            try:
                await generator.aclose()
            except Exception as error:
                message = f"an error occurred during closing of asynchronous generator {generator!r}"
                self.call_exception_handler({"message": message, "exception": error, "asyncgen": generator})

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Let the pool end that was set, if any: without one, no threads wait for work."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    # ── a crash, and the end ─────────────────────────────────────────────────────────────────────────────────────────

    def halt(self) -> None:
        """Run no step any more. What was running is kept, so that nothing of it wakes up when memory is collected."""
        self.is_halted = True

    def bury(self) -> None:
        """Close what was running when it was halted: coroutines one by one, in the order in which they began."""
        for thing in self._kept:
            thing.abandon()  # first: a stream that is let go while its transport is open complains
        self._kept.clear()
        for task in self.tasks():
            _close(task.get_coro())
        self._tasks.clear()
        self._is_closed = True

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        return await addrinfo.look_up(self.machine, host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        return await addrinfo.name_of(self.machine, sockaddr, flags)

    # ── threads and signals ──────────────────────────────────────────────────────────────────────────────────────────

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run blocking code in a thread of the host, in step with the world: one of the executor's, if one is given."""
        executor = self._executor if executor is None else executor
        if executor is not None and "ProcessPool" in type(executor).__name__:
            raise NotImplementedError("a simulated host has no processes: run it in a thread")
        if executor is not None:
            loop: Any = self
            return asyncio.wrap_future(executor.submit(func, *args), loop=loop)
        future = self.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        threads.run_blocking(self.machine, lambda: func(*args), lambda *told: self.step(lambda: done(*told)))
        return future

    def set_default_executor(self, executor: Any) -> None:
        self._executor = executor

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:
        self._signals[sig] = (callback, args)

    def remove_signal_handler(self, sig: int) -> bool:
        return self._signals.pop(sig, None) is not None

    def signal(self, sig: int) -> bool:
        """Send a signal to the programs of the host; return whether any handles it."""
        found = self._signals.get(sig)
        if found is not None:
            self.call_soon(found[0], *found[1])
        return found is not None

    # ── what there is not ────────────────────────────────────────────────────────────────────────────────────────────

    async def subprocess_exec(self, *args: Any, **more: Any) -> Any:
        raise NotImplementedError("a simulated host has no processes: spawn a coroutine on a host instead")

    subprocess_shell = subprocess_exec
    connect_read_pipe = connect_write_pipe = subprocess_exec

    def view(self, of: Any, family: int | None = None) -> SimSocket:
        """Return a socket object for something of the stack, as ``get_extra_info("socket")`` gives it."""
        return SimSocket.of(self.machine, of, family)


def _close(coroutine: Any) -> None:
    """Close a coroutine, however often it awaits something on its way out: nothing will come to it any more."""
    for _ in range(AWAITS_WHILE_CLOSING):
        try:
            coroutine.close()
        except Exception as error:  # what its finally does needs a loop, or a network, or it awaits yet again
            error.__traceback__ = None
        else:
            return


def _is_cancelled(entry: tuple[int, int, Any, Any]) -> bool:
    return isinstance(entry[3], TimerHandle) and entry[3].cancelled()


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
