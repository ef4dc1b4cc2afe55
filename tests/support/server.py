"""A real server: ``python -m portside …`` in a process of its own, read without blocking and stopped by pid."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portside.address import Endpoint, parse_endpoint
from support.processes import children_of, kill, session_of
from support.waiting import WITHIN_S, wait_until

ROOT = Path(__file__).parents[2]
_READY = re.compile(r"listening on (?P<url>\S+) \((?P<what>.*), (?P<model>\w+)\)")
COMMAND = (sys.executable, "-m", "portside")
_OURS = ("PORTSIDE_", "LISTEN_", "NOTIFY_SOCKET", "PORT=", "NO_COLOR")


@dataclass(frozen=True, slots=True)
class Ready:
    """What a ready line says: ``listening on tcp://127.0.0.1:43211 (echo, event)``."""

    url: str
    what: str
    model: str

    @property
    def endpoint(self) -> Endpoint:
        return parse_endpoint(self.url)

    @property
    def port(self) -> int:
        port = self.endpoint.port
        assert port, f"{self.url} has no port"
        return port

    @property
    def host(self) -> str:
        host = self.endpoint.host
        assert host, f"{self.url} has no host"
        return {"::": "::1", "0.0.0.0": "127.0.0.1"}.get(host, host)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process' environment without what Portside reads, and with ``extra``; a path of it goes in front."""
    added = dict(extra or {})
    kept = {name: value for name, value in os.environ.items() if not f"{name}=".startswith(_OURS)}
    path = [added.pop("PYTHONPATH", ""), str(ROOT / "src"), kept.get("PYTHONPATH", "")]
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, path)), **added}


def portside(*arguments: str, timeout_s: float = WITHIN_S, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it said. ``env`` adds to the environment, ``input`` is its stdin."""
    options["env"] = environment(options.get("env"))
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        **options,
    )


class Server:
    """A running ``portside run``, ``serve`` or ``up``. Its session is its own, so that leaked children are found."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        *,
        prefix: tuple[str, ...] = (),
        command: tuple[str, ...] = COMMAND,
        **options: Any,
    ) -> None:
        options["env"] = environment(options.get("env"))
        options.setdefault("stdin", subprocess.DEVNULL)
        self.arguments = arguments
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [*prefix, *command, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            **options,
        )
        self._reader = threading.Thread(target=self._read, name=f"stderr of {self.process.pid}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    # ── what it said ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        """Everything on stderr so far."""
        return "\n".join(self.lines)

    @property
    def ready(self) -> list[Ready]:
        """The ready lines so far, in their order."""
        return [Ready(**match.groupdict()) for line in list(self.lines) if (match := _READY.fullmatch(line))]

    def at(self, what: str | None = None, scheme: str | None = None) -> Ready:
        """Return the first ready line, of that battery or handler, with that scheme."""
        for ready in self.ready:
            if what in (None, ready.what) and scheme in (None, ready.endpoint.scheme):
                return ready
        raise AssertionError(f"no ready line for {what or 'anything'} over {scheme or 'anything'}:\n{self.said}")

    @property
    def port(self) -> int:
        """The port of the first ready line."""
        return self.at().port

    @property
    def records(self) -> list[dict[str, Any]]:
        """The log records so far; a server whose stderr is not a terminal logs JSON."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def wait_for(self, fact: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> Any:
        """Return the first true value of ``fact()``, asked again with each line on stderr; fails when that ends."""
        with self._changed:
            found = self._changed.wait_for(lambda: fact() or (self._ended and "ended"), within_s)
        value = fact()
        why = "stderr ended" if found else f"not within {within_s:g} s"
        assert value, f"no {what} ({why}) from portside {' '.join(self.arguments)}:\n{self.said}"
        return value

    def wait_until_ready(self, count: int = 1) -> None:
        """Return when so many ready lines have come."""
        self.wait_for(lambda: len(self.ready) >= count, f"{count} ready lines")

    def wait_for_line(self, part: str) -> str:
        """Return the first line that holds ``part``."""
        return str(
            self.wait_for(lambda: next((line for line in self.lines if part in line), ""), f"line with {part!r}")
        )

    def wait_for_record(self, **fields: Any) -> dict[str, Any]:
        """Return the first log record that has these fields."""

        def matching() -> dict[str, Any] | None:
            return next((one for one in self.records if fields.items() <= one.items()), None)

        record: dict[str, Any] = self.wait_for(matching, f"record with {fields}")
        return record

    # ── what is done to it ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def children(self) -> list[int]:
        """The pids of the supervisor's running children: its workers."""
        return children_of(self.pid)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, within_s: float = WITHIN_S) -> int:
        """Return the exit status, and know all of stderr."""
        try:
            status = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within_s:g} s:\n{self.said}") from None
        self._reader.join(within_s)
        return status

    def stop(self) -> int:
        """Ask it to end, and return the exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def assert_nothing_left(self) -> None:
        """Fail if a process of its session outlives it."""
        wait_until(lambda: not session_of(self.pid), f"the end of {session_of(self.pid)} after {self.arguments}")

    def destroy(self) -> None:
        """Leave nothing behind, whatever happened."""
        for pid in [one.pid for one in session_of(self.pid)]:
            kill(pid)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(WITHIN_S)
