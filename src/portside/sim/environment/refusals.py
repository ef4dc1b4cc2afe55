"""What a program on a host cannot have, as it would leave the simulation: it is refused by name, with advice."""

from __future__ import annotations

import os
import subprocess
import sys
from asyncio import BaseEventLoop
from collections.abc import Callable, Iterator
from functools import wraps
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, Final

from portside.sim import threads
from portside.sim.environment.escape import Escape
from portside.sim.environment.replacing import Dispatcher, Replacement
from portside.sim.here import here

NO_PROCESS: Final = "there are no processes; start another program as a coroutine with host.spawn"
NO_LOOP: Final = "the host has its loop already; await there, or spawn a coroutine with host.spawn"
NO_RESOLVER: Final = "it asks real servers; use the loop's getaddrinfo (with aiohttp: its ThreadedResolver)"

PROCESSES: Final = (  # os.popen, os.spawn…, pty and subprocess are made of these
    *("fork", "forkpty", "system", "posix_spawn", "posix_spawnp"),
    *("execv", "execve", "execl", "execle", "execlp", "execlpe", "execvp", "execvpe"),
)


class Processes(Dispatcher):
    """The functions of ``os`` that start programs, put in below."""

    GLOBAL_NAME = "processes"


def _refused(what: str, real: Callable[..., Any], instead: str) -> Callable[..., Any]:
    """Return the function or method that does what the real one does, and does not on a host."""

    @wraps(real)
    def refuse(*arguments: Any, **more: Any) -> Any:
        machine = here.machine
        if machine is not None:
            raise Escape(machine.name, what, instead)
        return real(*arguments, **more)

    return refuse


def _process(name: str) -> Callable[..., Any]:
    refuse = _refused(f"os.{name}", getattr(os, name), NO_PROCESS)

    def start(_: Processes, *arguments: Any, **more: Any) -> Any:
        return refuse(*arguments, **more)

    start.__name__ = name
    start.__qualname__ = f"Processes.{name}"
    return start


for _name in PROCESSES:
    if hasattr(os, _name):
        setattr(Processes, _name, _process(_name))

processes: Final = Processes()

_start_thread: Final = Thread.start


@wraps(_start_thread)
def start_thread(thread: Thread) -> None:
    """Start a thread: one of a host's programs runs in step with the world (``portside.sim.threads``)."""
    machine = here.machine
    if machine is None:
        _start_thread(thread)
    else:
        threads.start(machine, thread)


def refuse_native_resolver() -> None:
    """Refuse c-ares, on which aiodns stands, once it is loaded."""
    channel: Any = getattr(sys.modules.get("pycares"), "Channel", None)
    if channel is not None and not hasattr(channel.__init__, "__wrapped__"):
        channel.__init__ = _refused("pycares.Channel", channel.__init__, NO_RESOLVER)


def replacements() -> Iterator[Replacement]:
    """Yield what takes the place of the functions that start processes."""
    yield from processes.replacing(os, *PROCESSES)


def install() -> None:
    """Refuse what classes offer. They stay the classes they are."""
    _refuse_method(subprocess.Popen, "__init__", "subprocess.Popen", NO_PROCESS)
    _refuse_method(BaseProcess, "start", "multiprocessing.Process.start", NO_PROCESS)
    _refuse_method(BaseEventLoop, "run_forever", "a real event loop", NO_LOOP)
    setattr(Thread, "start", start_thread)  # noqa: B010 -- to the type checker a method is not to be replaced
    refuse_native_resolver()


def _refuse_method(kind: type, name: str, what: str, instead: str) -> None:
    setattr(kind, name, _refused(what, getattr(kind, name), instead))
