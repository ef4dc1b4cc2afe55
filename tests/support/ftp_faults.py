"""Faults in mid-upload: clients, workers and whole servers killed at pseudo-random moments, and what must then hold.

Whatever is killed, and whenever: a name holds the whole old content or the whole new one; what was acknowledged by
226 is the new one; and what a server shows on the same directory afterwards is what is there.
"""

from __future__ import annotations

import ftplib
import io
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support import peers
from support.ftp import Site, fetched
from support.processes import is_alive, kill, session_of
from support.server import Server
from support.waiting import wait_until

VICTIMS = ("client", "worker", "server")
NAMES = ("a", "b c", "ü", "d.bin")
SIZE_BYTES_MAX = 2_000_000
PIECE_BYTES = 50_000
# How long a kill waits after the last byte before it: much shorter and much longer than a server needs to finish.
DELAY_S_LEAST, DELAY_S_MOST = 1e-5, 3e-2
# How long a client uploads at least. Killed within a few milliseconds over plain FTP, on a machine that is busy, it may
# still pass for one that was done: how long the server waits to see more is in proportion.
CLIENT_LIVES_S = 0.1
# A supervisor whose workers crash five times within half a minute gives up, as it should.
WORKERS_KILLED_MAX = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """One upload and the kill that meets it: ``delay_s`` after so many bytes of it, or after its end."""

    number: int
    victim: str
    name: str
    content: bytes
    sent_bytes: int
    delay_s: float

    @property
    def is_past_the_end(self) -> bool:
        return self.sent_bytes == len(self.content)

    def __str__(self) -> str:
        moment = f"after {self.sent_bytes} of {len(self.content)} bytes and {self.delay_s * 1e3:.2f} ms"
        return f"fault {self.number}: {self.victim} killed {moment} of {self.name!r}"


@dataclass(slots=True)
class FaultRun:
    """Faults on the files of one directory. ``start`` starts a server on it, ``seed`` decides what happens when.

    ``victims`` take turns; ``curl`` are options of the client that is one of them.
    """

    start: Callable[[], Server]
    home: Path
    seed: int
    victims: tuple[str, ...] = VICTIMS
    curl: tuple[str, ...] = ()
    outcomes: dict[str, int] = field(default_factory=dict)  # "worker: old" and the like, to how often
    _site: Site = field(init=False)
    _random: random.Random = field(init=False)
    _held: dict[str, bytes] = field(default_factory=dict)  # what each name is known to hold
    _sessions: int = 0  # that this server was asked for
    _workers_killed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._begin()

    def run(self, count: int) -> None:
        """Let so many faults happen. Fails at the first that leaves something wrong, and says which it was."""
        for number in range(count):
            self._meet(self._next(number))
        self._check_that_nothing_is_left()

    def _begin(self) -> None:
        self._site = Site(self.start(), self.home)
        self._sessions = self._workers_killed = 0

    def _next(self, number: int) -> Fault:
        content = self._random.randbytes(self._random.randrange(SIZE_BYTES_MAX))
        # Half of the moments are past the last byte: there the server finishes, renames and answers.
        sent_bytes = self._random.choice([len(content), self._random.randint(0, len(content))])
        return Fault(
            number=number,
            victim=self.victims[number % len(self.victims)],
            name=self._random.choice(NAMES),
            content=content,
            sent_bytes=sent_bytes,
            delay_s=DELAY_S_LEAST * (DELAY_S_MOST / DELAY_S_LEAST) ** self._random.random(),
        )

    def _meet(self, fault: Fault) -> None:
        meet = {"client": self._kill_client, "worker": self._kill_worker, "server": self._kill_server}
        acknowledged = meet[fault.victim](fault)
        self._check(fault, acknowledged)

    # ── the three kills ──────────────────────────────────────────────────────────────────────────────────────────────

    def _kill_client(self, fault: Fault) -> bool:
        """Kill curl, which is fed by us; return False, for the dead have heard no acknowledgement."""
        self._sessions += 1
        curl = [peers.program("curl"), "--silent", "--verbose", *self.curl, "--upload-file", "-"]
        with subprocess.Popen(
            [*curl, self._site.url(fault.name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as client:
            assert client.stdin is not None
            assert client.stderr is not None
            begun = any(line.startswith(b"< 150 ") for line in client.stderr)
            assert begun, fault
            half_bytes = fault.sent_bytes // 2
            client.stdin.write(fault.content[:half_bytes])
            client.stdin.flush()
            let_pass(CLIENT_LIVES_S)
            client.stdin.write(fault.content[half_bytes : fault.sent_bytes])
            client.stdin.flush()
            if fault.is_past_the_end:
                client.stdin.close()
            let_pass(fault.delay_s)
            client.kill()
        self._wait_for_records("connection", self._sessions, fault)  # it has nothing more to do with any of them
        return False

    def _kill_worker(self, fault: Fault) -> bool:
        """Kill a process of the server other than its supervisor; return whether the upload was acknowledged."""
        server = self._site.server

        def strike() -> None:
            pid = self._random.choice(sorted(one.pid for one in session_of(server.pid)))
            kill(pid)
            wait_until(lambda: not is_alive(pid), f"the end of {pid}")

        acknowledged = self._upload(fault, strike)
        self._workers_killed += 1
        if self._workers_killed == WORKERS_KILLED_MAX:
            assert server.stop() == 0, server.said
            self._begin()
        return acknowledged

    def _kill_server(self, fault: Fault) -> bool:
        """Kill all processes of the server, and start another; return whether the upload was acknowledged."""
        server = self._site.server

        def strike() -> None:
            # The supervisor first: it would replace its workers, or end them with more care.
            for pid in [server.pid, *(one.pid for one in session_of(server.pid))]:
                kill(pid)

        acknowledged = self._upload(fault, strike)
        assert server.wait() == -signal.SIGKILL
        server.assert_nothing_left()
        self._begin()
        return acknowledged

    def _upload(self, fault: Fault, strike: Callable[[], None]) -> bool:
        """Upload with ``strike()`` in the middle; return whether 226 came all the same."""
        self._sessions += 1
        try:
            with self._site.ftplib() as ftp:
                ftp.voidcmd("TYPE I")
                with ftp.transfercmd(f"STOR {fault.name}") as connection:
                    connection.sendall(fault.content[: fault.sent_bytes])
                    if not fault.is_past_the_end:
                        let_pass(fault.delay_s)
                        strike()
                        for at in range(fault.sent_bytes, len(fault.content), PIECE_BYTES):
                            connection.sendall(fault.content[at : at + PIECE_BYTES])
                if fault.is_past_the_end:
                    let_pass(fault.delay_s)
                    strike()
                return ftp.voidresp().startswith("226")
        except (OSError, EOFError, ftplib.error_temp):
            return False

    def _wait_for_records(self, event: str, count: int, fault: Fault) -> None:
        """Return when the server has told so many of such events."""
        self._site.server.wait_for(lambda: self._records(event) >= count, f"{count} records of a {event} at {fault}")

    def _records(self, event: str) -> int:
        return sum(one.get("event") == event for one in self._site.server.records)

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────────

    def _check(self, fault: Fault, acknowledged: bool) -> None:
        held = self._site.contents()
        old, now = self._held.get(fault.name), held.get(fault.name)
        assert now in ({fault.content} if acknowledged else {fault.content, old}), (
            f"{fault}: {'acknowledged, ' if acknowledged else ''}{told(now)}, not {told(old)} or {told(fault.content)}"
        )
        others = {name: content for name, content in held.items() if name != fault.name}
        assert others == {name: content for name, content in self._held.items() if name != fault.name}, fault
        self._held = held
        self._count(fault, acknowledged, is_new=now == fault.content)
        self._check_what_is_shown(fault)

    def _check_what_is_shown(self, fault: Fault) -> None:
        self._sessions += 1
        with self._site.ftplib() as ftp:
            assert set(ftp.nlst("-a")) - {".", ".."} == set(self._held), fault
            sizes = {name: int(facts["size"]) for name, facts in ftp.mlsd() if facts["type"] == "file"}
            assert sizes == {name: len(content) for name, content in self._held.items()}, fault
            if fault.name in self._held:
                assert fetched(ftp, fault.name) == self._held[fault.name], fault

    def _check_that_nothing_is_left(self) -> None:
        """What comes whole under a name takes away what was left of those that did not."""
        with self._site.ftplib() as ftp:
            for name in NAMES:
                ftp.storbinary(f"STOR {name}", io.BytesIO(name.encode()))
        left = {name: (self.home / name).read_bytes() for name in os.listdir(self.home)}
        assert left == {name: name.encode() for name in NAMES}

    def _count(self, fault: Fault, acknowledged: bool, *, is_new: bool) -> None:
        outcome = f"{fault.victim}: {'acknowledged' if acknowledged else 'new' if is_new else 'old'}"
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


def let_pass(delay_s: float) -> None:
    """Let others run for a moment, at whose end whatever they do is cut off: shorter than a sleep can be."""
    until_s = time.monotonic() + delay_s
    while time.monotonic() < until_s:
        os.sched_yield()


def told(content: bytes | None) -> str:
    """Return what is known of a file in a few words."""
    return "no file" if content is None else f"{len(content)} bytes {content[:8].hex()}…"
