"""Runs the load generator against one server for one slice of time."""

from __future__ import annotations

import json
import resource
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
from servers import Server

GRACE_S = 30.0  # the generator gives up by itself after 10 s without progress; this is for one that does not


class LoadFailed(Exception):
    """The generator itself could not do its work; the sentence is what it said."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice gave.

    ``server_share`` and ``load_share`` are the parts of their core's time that both used;
    ``others_share`` is the part of both cores' time that anyone else used.
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
    memory_bytes_per_connection: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """The compiled generator, and what holds for all of its runs."""

    program: Path
    cores: machine.Cores
    congestion: str | None

    def run(self, server: Server, mode: str, *, connections: int, size: int, **more: float) -> Slice:
        """Load the server, and return what came out.

        Units: ``more`` are options of the generator, as seconds, warmup, hold, rate, sources.
        """
        memory_before = server.memory_bytes() if mode == "idle" else 0
        before, run_s = self.clocks(server), run_s_max(connections, more)
        process = self.start(server, {"mode": mode, "connections": connections, "size": size, **more})
        try:
            memory_after = memory_while_held(process, server, run_s) if mode == "idle" else 0
            output, complaints = process.communicate(timeout=GRACE_S + run_s)
        except subprocess.TimeoutExpired:
            raise LoadFailed("the load generator did not end in time") from None
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise LoadFailed(complaints.decode().strip())
        told = json.loads(output)
        memory = (memory_after - memory_before) / connections
        return build_slice(told, self.clocks(server) - before, memory)

    def start(self, server: Server, options: dict[str, Any]) -> subprocess.Popen[bytes]:
        """Start the generator on its core."""
        command = [str(self.program), "--port", str(server.port)]
        if self.congestion:
            command += ["--congestion", self.congestion]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        with machine.on_core(self.cores.load):
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def clocks(self, server: Server) -> Clocks:
        """Return the clocks that a slice is measured by."""
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


def build_slice(told: dict[str, Any], used: Clocks, memory_bytes_per_connection: float) -> Slice:
    """Join what the generator told with what the clocks say.

    The server's time covers the warm-up and the orderly end too, so it is divided by all requests,
    not only by those in the window that the rate is taken from.
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
        memory_bytes_per_connection=memory_bytes_per_connection,
    )


def run_s_max(connections: int, options: dict[str, float]) -> float:
    """Return how long the generator may take when all goes well."""
    opening_s = connections / options["rate"] if "rate" in options else 0.0
    return opening_s + sum(options.get(name, 0.0) for name in ("seconds", "warmup", "hold"))


def memory_while_held(process: subprocess.Popen[bytes], server: Server, run_s: float) -> int:
    """Wait until the generator says that it holds its connections; return the server's memory then."""
    assert process.stderr is not None
    readable, _, _ = select.select([process.stderr], [], [], GRACE_S + run_s)
    if not readable:
        raise LoadFailed("the connections were not open in time")
    process.stderr.readline()
    return server.memory_bytes()
