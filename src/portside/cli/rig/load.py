"""Runs a load generator against one server for one slice of time.

There are two, with the same options and the same answer: ``load.c``, compiled when it is wanted, and ``python_load``
for where no compiler is. The one in C is faster than any server it is put to. The other is not: with it the CPU of the
server tells something, and its speed is a lower bound.
"""

from __future__ import annotations

import json
import resource
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from portside.cli.rig import machine
from portside.cli.rig.servers import SOURCE, NotAvailable, Server, environment
from portside.errors import LocalError

GRACE_S: Final = 30.0  # a generator gives up by itself after 10 s without progress; this is for one that does not
COMPILE_S_MAX: Final = 120.0
COMPILERS: Final = ("gcc", "cc", "clang")

# In the wheel it lies beside this file, in a checkout with the other benchmarks.
_SOURCES: Final = (Path(__file__).with_name("load.c"), SOURCE.parent / "benchmarks" / "c" / "load.c")


class LoadFailed(LocalError):
    """The generator itself could not do its work; the sentence is what it said."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice gave.

    ``server_share`` and ``load_share`` are the parts of their core's time that both used; ``others_share`` is the part
    of both cores' time that anyone else used.
    """

    requests: int = 0
    requests_per_s: float = 0.0
    cpu_us_per_request: float = 0.0
    user_us_per_request: float = 0.0
    p50_us: float = 0.0
    p99_us: float = 0.0
    errors: int = 0
    first_error: str = ""
    server_share: float = 0.0
    load_share: float = 0.0
    others_share: float = 0.0
    memory_bytes: int = 0  # before the first connection
    memory_bytes_per_connection: float = 0.0


# ── the generators ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Generator:
    """A program that loads servers, and on how many cores it can."""

    command: tuple[str, ...]
    language: str
    uses_all_cores: bool


def python_generator() -> Generator:
    """Return the generator that needs nothing but this Python."""
    return Generator((sys.executable, "-m", "portside.cli.rig.python_load"), "Python", uses_all_cores=True)


def c_generator(folder: Path) -> Generator:
    """Return the generator in C, compiled into the folder. Raises: NotAvailable without its source or a compiler."""
    source = next(filter(Path.exists, _SOURCES), None)
    if source is None:
        raise NotAvailable("the load generator in C is not part of this installation")
    return Generator((str(compile_c(source, folder)),), "C", uses_all_cores=False)


def compile_c(source: Path, folder: Path, *more: str) -> Path:
    """Return the program made of a C file, in that folder; ``more`` are its other files and its libraries.

    Raises: NotAvailable.
    """
    program = folder / source.stem
    compiler = next(filter(shutil.which, COMPILERS), None)
    if compiler is None:
        raise NotAvailable("there is no C compiler")
    compile_with([compiler, "-O2", "-std=c11", "-o", str(program), str(source), *more])
    return program


def compile_with(command: list[str]) -> None:
    """Run a compiler; what it says about a failure becomes the reason not to measure. Raises: NotAvailable."""
    if shutil.which(command[0]) is None:
        raise NotAvailable(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_S_MAX, check=False)
    if done.returncode:
        raise NotAvailable(f"{command[0]} failed: {done.stderr.strip()[-200:]}")


# ── a slice ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Load:
    """A generator, where it runs, and what holds for all of its runs."""

    generator: Generator
    cores: machine.Cores
    congestion: str | None

    def run(self, server: Server, mode: str, *, connections: int, size: int, **more: float) -> Slice:
        """Load the server, and return what came out.

        Units: ``more`` are options of the generator, as seconds, warmup, hold, rate, sources.
        Raises: LoadFailed.
        """
        memory_before = server.memory_bytes() if mode == "idle" else 0
        before, run_s = self._clocks(server), _run_s_max(connections, more)
        process = self._start(server, {"mode": mode, "connections": connections, "size": size, **more})
        try:
            memory_after = _memory_while_held(process, server, run_s) if mode == "idle" else 0
            output, complaints = process.communicate(timeout=GRACE_S + run_s)
        except subprocess.TimeoutExpired:
            raise LoadFailed("the load generator did not end in time") from None
        finally:
            process.kill()
            process.communicate()
        if process.returncode:
            raise LoadFailed(f"the load generator failed: {complaints.decode(errors='replace').strip()}")
        each = (memory_after - memory_before) / connections
        return _build_slice(json.loads(output), self._clocks(server) - before, memory_before, each)

    def _start(self, server: Server, options: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        command = [*self.generator.command, "--port", str(server.port)]
        if self.congestion:
            command += ["--congestion", self.congestion]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        with machine.on_core(*(self.cores.others if self.generator.uses_all_cores else (self.cores.load,))):
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())

    def _clocks(self, server: Server) -> Clocks:
        ended_children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return Clocks(
            wall_s=time.monotonic(),
            server=server.cpu(),
            load_s=ended_children.ru_utime + ended_children.ru_stime,
            cores_s=machine.busy_s(self.cores.server) + machine.busy_s(self.cores.load),
        )


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds that passed, and seconds of CPU that the server, the load and both cores spent."""

    wall_s: float
    server: machine.Cpu
    load_s: float
    cores_s: float

    def __sub__(self, earlier: Clocks) -> Clocks:
        """Return what passed since then."""
        return Clocks(
            self.wall_s - earlier.wall_s,
            self.server - earlier.server,
            self.load_s - earlier.load_s,
            self.cores_s - earlier.cores_s,
        )

    def others_share(self) -> float:
        """Return the part of two cores' time that others used."""
        return max(0.0, (self.cores_s - self.server.total_s() - self.load_s) / (2 * self.wall_s))


def _build_slice(told: dict[str, Any], used: Clocks, memory_bytes: int, memory_bytes_per_connection: float) -> Slice:
    """Join what the generator told with what the clocks say.

    The server's time covers the warm-up and the orderly end too, so it is divided by all requests, not only by those
    in the window that the rate is taken from.
    """
    requests = max(1, told["requests_total"])
    return Slice(
        requests=told["requests"],
        requests_per_s=told["requests_per_s"],
        cpu_us_per_request=used.server.total_s() / requests * 1e6,
        user_us_per_request=used.server.user_s / requests * 1e6,
        p50_us=told["p50_us"],
        p99_us=told["p99_us"],
        errors=told["errors"],
        first_error=told["first_error"],
        server_share=used.server.total_s() / used.wall_s,
        load_share=used.load_s / used.wall_s,
        others_share=used.others_share(),
        memory_bytes=memory_bytes,
        memory_bytes_per_connection=memory_bytes_per_connection,
    )


def _run_s_max(connections: int, options: Mapping[str, float]) -> float:
    """Return how long the generator may take when all goes well."""
    opening_s = connections / options["rate"] if "rate" in options else 0.0
    return opening_s + sum(options.get(name, 0.0) for name in ("seconds", "warmup", "hold"))


def _memory_while_held(process: subprocess.Popen[bytes], server: Server, run_s: float) -> int:
    """Wait until the generator says that it holds its connections; return the server's memory then."""
    assert process.stderr is not None
    readable, _, _ = select.select([process.stderr], [], [], GRACE_S + run_s)
    if not readable:
        raise LoadFailed("the connections were not open in time")
    process.stderr.readline()
    return server.memory_bytes()
