"""Runs ``c/ftp_load.c`` against one FTP server for one slice."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portside.cli.rig import machine
from portside.cli.rig.load import Clocks, LoadFailed, compile_c
from portside.cli.rig.servers import Server, environment, start, stop_process

C = Path(__file__).resolve().parent / "c"
TLS_LIBRARIES = ("-pthread", "-lssl", "-lcrypto")
# The generator gives up by itself after 20 s without a byte; this is for a server that is merely slow.
STEP_S_MAX = 150.0
FILES_S_MAX = 120.0

Options = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice gave.

    ``memory_bytes`` is what the server's processes took more than before, with all sessions still there. The shares
    are as in the slices of echo servers.
    """

    operations: int = 0
    bytes: int = 0
    seconds: float = 0.0
    errors: int = 0
    first_error: str = ""
    cipher: str = ""
    cpu_s: float = 0.0
    memory_bytes: int = 0
    server_share: float = 0.0
    load_share: float = 0.0
    others_share: float = 0.0


def compile_generator(folder: Path) -> Path:
    """Return the generator, compiled into the folder. Raises: NotAvailable."""
    others = (str(C / f"ftp_{name}.c") for name in ("session", "stream", "content"))
    return compile_c(C / "ftp_load.c", folder, *others, *TLS_LIBRARIES)


# Of nice(1). To the scheduler a session of processes is one (sched(7), autogroup), so it is set for all of them.
LAST, FIRST = 19, -20


def give_precedence(pid: int, nice: int) -> None:
    """Set how the session that the process is in stands to all others on its core, where there is such a thing."""
    with contextlib.suppress(OSError):
        (machine.PROC / str(pid) / "autogroup").write_text(str(nice))


@contextlib.contextmanager
def kept_awake(cores: machine.Cores, folder: Path) -> Iterator[tuple[int, ...]]:
    """Keep both cores from sleeping meanwhile; the program that does is compiled into the folder."""
    program = compile_c(C / "ftp_awake.c", folder)
    with contextlib.ExitStack() as stack, tempfile.TemporaryFile() as said:
        processes = [start([str(program)], core, stderr=said) for core in {cores.server, cores.load}]
        for process in processes:
            stack.callback(stop_process, process)
            give_precedence(process.pid, LAST)
        yield tuple(process.pid for process in processes)


@dataclass(frozen=True, slots=True)
class Load:
    """The generator, where it runs, and the files it knows: ``root`` is what every server serves."""

    generator: Path
    cores: machine.Cores
    congestion: str | None
    root: Path
    awake: tuple[int, ...] = ()  # processes that keep the cores from sleeping, and take no time from anybody
    is_urgent: bool = False  # goes before everybody else's work

    def make_files(self, folder: str, *, files: int, size: int) -> None:
        """Write files that the generator will know again. Raises: LoadFailed, as when the disk is full."""
        (self.root / folder).mkdir(exist_ok=True)
        command = self._command({"mode": "make", "folder": folder, "files": files, "size": size})
        done = subprocess.run(command, capture_output=True, text=True, timeout=FILES_S_MAX, check=False)
        if done.returncode:
            raise LoadFailed(f"no files to measure with: {done.stderr.strip()}")

    def run(self, server: Server, options: Options) -> Slice:
        """Load the server, and return what came out. Raises: LoadFailed."""
        congestion: Options = {"congestion": self.congestion} if self.congestion else {}
        command = self._command({**options, **congestion, "port": server.port})
        with machine.on_core(self.cores.load):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                start_new_session=True,
            )
        try:
            _wait_for(process, "ready")
            if self.is_urgent:
                for pid in (process.pid, *machine.process_tree(server.process.pid)):
                    give_precedence(pid, FIRST)  # some have a session for each visitor
            memory, before = server.memory_bytes(), self._clocks(server, process)
            _go_on(process)
            _wait_for(process, "done")
            used, memory = self._clocks(server, process) - before, server.memory_bytes() - memory
            _go_on(process)
            output, complaints = process.communicate(timeout=STEP_S_MAX)
        except subprocess.TimeoutExpired:
            raise LoadFailed("the load generator did not end in time") from None
        finally:
            process.kill()
            process.communicate()
        if process.returncode:
            raise LoadFailed(f"the load generator failed: {complaints.decode(errors='replace').strip()}")
        return build_slice(json.loads(output), used, memory)

    def _command(self, options: Options) -> list[str]:
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return [str(self.generator), "--root", str(self.root), *words]

    def _clocks(self, server: Server, process: subprocess.Popen[bytes]) -> Clocks:
        return Clocks(
            wall_s=time.monotonic(),
            server=server.cpu(),
            load_s=machine.cpu(process.pid).total_s(),
            cores_s=self._busy_s(),
        )

    def _busy_s(self) -> float:
        busy_s = sum(map(machine.busy_s, {self.cores.server, self.cores.load}))
        return busy_s - sum(machine.cpu(pid).total_s() for pid in self.awake)


def build_slice(told: dict[str, Any], used: Clocks, memory_bytes: int) -> Slice:
    """Join what the generator told with what the clocks say."""
    wall_s = used.wall_s or 1e-9
    return Slice(
        **told,
        cpu_s=used.server.total_s(),
        memory_bytes=memory_bytes,
        server_share=used.server.total_s() / wall_s,
        load_share=used.load_s / wall_s,
        others_share=used.others_share(),
    )


def _wait_for(process: subprocess.Popen[bytes], word: str) -> None:
    """Read the word that the generator says next; it says nothing more until it is told to go on."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], STEP_S_MAX)
    if not readable:
        raise LoadFailed(f"the load generator was not {word} in time")
    if process.stdout.readline().decode().strip() != word:
        _, complaints = process.communicate()
        raise LoadFailed(f"the load generator failed: {complaints.decode(errors='replace').strip()}")


def _go_on(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended, and what it says next tells why
        process.stdin.write(b"\n")
        process.stdin.flush()
