"""What would leave the simulation is refused on a host, and works outside."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from portside.errors import PortsideError
from portside.sim import environment
from portside.sim.environment import Escape

from .conftest import FakeMachine

On = Callable[[FakeMachine], Any]

PROCESSES: dict[str, Callable[[], object]] = {
    "subprocess.Popen": lambda: subprocess.run(["true"], check=False),
    "os.fork": lambda: os.fork(),  # noqa: PLW0108 -- looked up when it is called: that is what is replaced
    "os.system": lambda: os.system("true"),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "os.execv": lambda: os.execv("/bin/true", ["true"]),
    "multiprocessing.Process.start": lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
}


@pytest.mark.parametrize("what", PROCESSES)
def test_processes_are_refused_by_name(alice: FakeMachine, on: On, what: str) -> None:
    with on(alice), pytest.raises(Escape, match=r"host\.spawn") as refused:
        PROCESSES[what]()
    assert refused.value.what == what
    assert refused.value.host == "alice"
    assert isinstance(refused.value, PortsideError)
    assert isinstance(refused.value, RuntimeError)


def test_a_real_loop_is_refused(alice: FakeMachine, on: On) -> None:
    loop = asyncio.new_event_loop()
    try:
        with on(alice), pytest.raises(Escape, match="a real event loop"):
            loop.run_forever()
        assert loop.run_until_complete(asyncio.sleep(0, "outside")) == "outside"
    finally:
        loop.close()


def test_a_native_resolver_that_comes_later_is_refused(
    alice: FakeMachine, on: On, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Channel:
        pass

    module = ModuleType("pycares")
    module.Channel = Channel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycares", module)
    environment.install()
    environment.install()
    Channel()
    with on(alice), pytest.raises(Escape, match="getaddrinfo"):
        Channel()


def test_polling_descriptors_goes_on_working(alice: FakeMachine, on: On) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"x")
        with on(alice):
            assert select.select([reader], [], [], 0)[0] == [reader]
    finally:
        os.close(reader)
        os.close(writer)


def test_outside_processes_and_threads_start() -> None:
    assert subprocess.run([sys.executable, "-c", ""], check=False, timeout=60).returncode == 0
    seen: list[int] = []
    thread = threading.Thread(target=seen.append, args=(1,))
    thread.start()
    thread.join()
    assert seen == [1]
