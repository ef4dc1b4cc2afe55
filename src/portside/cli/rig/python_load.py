"""The load generator for machines without a C compiler: ``python -m portside.cli.rig.python_load --help``.

It does what ``load.c`` does, with the same options and the same JSON line at the end, in a process for each core it may
use. The modes:

    echo    a connection sends a message, waits for the whole echo, and sends the next
    short   connect, one message, its echo, half-close, read to the end, close; again
    idle    open the connections at a rate, echo once on each, hold them, echo once more, close

Every echo is compared with its message. A connection always ends in order, by half-close and reading to the end.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import random
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from portside.address import InternetAddress
from portside.net.sockets import IPPROTO_TCP, SHUT_WR, Socket, connect_nowait, open_stream, pending_error

READ_BYTES: Final = 256 * 1024
WINDOWS: Final = 4093  # messages are windows into one pool of random bytes, so that a stale echo does not pass
_TCP_NODELAY: Final = 1  # tcp(7)
_TCP_CONGESTION: Final = 13
_LATENCIES_MAX: Final = 20_000  # kept per process, a sample of them all


@dataclass(slots=True)
class Tally:
    """What one process has counted: requests in the window and in all, a sample of their seconds, what failed."""

    requests: int = 0
    requests_total: int = 0
    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    opened: int = 0
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("connect", "lost", "mismatch", "timeout"), 0))
    first_error: str = ""

    def add(self, other: Tally) -> None:
        """Take in what another process has counted beside us."""
        self.requests += other.requests
        self.requests_total += other.requests_total
        self.seconds = max(self.seconds, other.seconds)
        self.latencies_s += other.latencies_s
        self.opened += other.opened
        self.first_error = self.first_error or other.first_error
        for kind, count in other.errors.items():
            self.errors[kind] += count

    def report(self, options: argparse.Namespace) -> dict[str, Any]:
        """Return it under the names that load.c has."""
        ordered = sorted(self.latencies_s) or [0.0]
        microseconds = {
            f"p{percent}_us": ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1e6
            for percent in (50, 90, 99)
        }
        return {
            "mode": options.mode,
            "connections": options.connections,
            "size": options.size,
            "opened": self.opened,
            "requests": self.requests,
            "requests_total": self.requests_total,
            "seconds": self.seconds,
            "requests_per_s": self.requests / self.seconds if self.seconds else 0.0,
            "bytes": self.requests * options.size,
            "errors": sum(self.errors.values()),
            **{f"errors_{kind}": count for kind, count in self.errors.items()},
            "first_error": self.first_error,
            **microseconds,
            "max_us": ordered[-1] * 1e6,
        }


class Visitor:
    """One connection: what it does next when its socket is ready."""

    __slots__ = ("_got", "_load", "_message", "_sent", "_state", "began_s", "messages", "sock")

    def __init__(self, load: Visitors) -> None:
        self._load = load
        self._state: Callable[[], None] = self._connected
        self._message = memoryview(b"")
        self._got = bytearray()
        self._sent = self.messages = 0
        self.began_s = time.perf_counter()
        self.sock: Socket = open_stream(load.target)
        self.sock.setsockopt(IPPROTO_TCP, _TCP_NODELAY, 1)
        if load.options.congestion:
            self.sock.setsockopt(IPPROTO_TCP, _TCP_CONGESTION, load.options.congestion.encode())

    def connect(self, source: str | None) -> None:
        """Begin to connect, from that address if one is given. Raises: OSError."""
        if source is not None:
            self.sock.bind((source, 0))
        connect_nowait(self.sock, self._load.target)
        self._load.watch(self, select.EPOLLOUT)

    def begin_message(self) -> None:
        """Send the next message; the echo is waited for."""
        self._message = self._load.message()
        self._got.clear()
        self._sent = 0
        self.messages += 1
        self._state = self._receive
        self._send()

    def half_close(self) -> None:
        """Say that nothing more comes, and wait for the end."""
        self._state = self._end
        self._load.rewatch(self, select.EPOLLIN)
        self.sock.shutdown(SHUT_WR)

    def ready(self, events: int) -> None:
        """Do what the socket is ready for."""
        try:
            if events & select.EPOLLOUT and self._state == self._receive:
                self._send()
            if self._state != self._receive or events & ~select.EPOLLOUT:
                self._state()
        except BlockingIOError:
            pass
        except OSError as error:
            self._load.failed(self, "lost" if self.messages else "connect", error.strerror or str(error))

    def _connected(self) -> None:
        error = pending_error(self.sock)
        if error is not None:
            raise error
        self._load.rewatch(self, select.EPOLLIN)
        self._load.connected(self)

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._sent += self.sock.send(self._message[self._sent :])
        more = select.EPOLLOUT if self._sent < len(self._message) else 0
        self._load.rewatch(self, select.EPOLLIN | more)

    def _receive(self) -> None:
        data = self.sock.recv(READ_BYTES)
        if not data:
            self._load.failed(self, "lost", "the server closed the connection")
            return
        self._got += data
        if len(self._got) < len(self._message):
            return
        if self._got == self._message:
            self._load.echoed(self)
        else:
            self._load.failed(self, "mismatch", "the echo differs from the message")

    def _end(self) -> None:
        if self.sock.recv(READ_BYTES):
            self._load.failed(self, "mismatch", "bytes came that nobody had sent")
        else:
            self._load.ended(self)


class Visitors:
    """The connections of one process, and their run."""

    def __init__(self, options: argparse.Namespace, connections: int, number: int) -> None:
        self.options = options
        self.target = InternetAddress(options.host, options.port)
        self.tally = Tally()
        self._wanted = connections
        self._random = random.Random(number)
        self._pool = memoryview(self._random.randbytes(options.size + WINDOWS))
        self._epoll = select.epoll()
        self._live: dict[int, Visitor] = {}
        self._watched: dict[int, int] = {}
        self._held: list[Visitor] = []
        self._counts = self._starts = False

    # ── what visitors ask and tell ───────────────────────────────────────────────────────────────────────────────────

    def message(self) -> memoryview:
        """Return the next message."""
        place = self._random.randrange(WINDOWS)
        return self._pool[place : place + self.options.size]

    def watch(self, visitor: Visitor, events: int) -> None:
        descriptor = visitor.sock.fileno()
        self._epoll.register(descriptor, events)
        self._watched[descriptor] = events
        self._live[descriptor] = visitor

    def rewatch(self, visitor: Visitor, events: int) -> None:
        descriptor = visitor.sock.fileno()
        if self._watched[descriptor] != events:
            self._epoll.modify(descriptor, events)
            self._watched[descriptor] = events

    def connected(self, visitor: Visitor) -> None:
        if self.options.mode == "echo" and not self._starts:
            self._held.append(visitor)
        else:
            visitor.begin_message()

    def echoed(self, visitor: Visitor) -> None:
        """The whole message came back: what now depends on the mode."""
        if self.options.mode == "short":
            visitor.half_close()
            return
        self._note(visitor)
        if self.options.mode == "echo" and self._starts:
            visitor.began_s = time.perf_counter()
            visitor.begin_message()
        elif self.options.mode == "idle" and visitor.messages == 1:
            self._held.append(visitor)
        else:
            visitor.half_close()

    def ended(self, visitor: Visitor) -> None:
        """The server ended the connection after we did, as it should."""
        if self.options.mode == "short":
            self._note(visitor)
        self._forget(visitor)
        if self.options.mode == "short" and self._starts:
            self._open()

    def failed(self, visitor: Visitor, kind: str, what: str) -> None:
        self.tally.errors[kind] += 1
        self.tally.first_error = self.tally.first_error or what
        self._forget(visitor)

    def _forget(self, visitor: Visitor) -> None:
        descriptor = visitor.sock.fileno()
        self._live.pop(descriptor, None)
        self._watched.pop(descriptor, None)
        if visitor in self._held:
            self._held.remove(visitor)
        visitor.sock.close()

    def _note(self, visitor: Visitor) -> None:
        self.tally.requests_total += 1
        if not self._counts:
            return
        self.tally.requests += 1
        latency_s, kept = time.perf_counter() - visitor.began_s, self.tally.latencies_s
        if len(kept) < _LATENCIES_MAX:
            kept.append(latency_s)
        elif (place := self._random.randrange(self.tally.requests)) < _LATENCIES_MAX:
            kept[place] = latency_s  # each of them stays with the same chance

    def _open(self) -> None:
        visitor = Visitor(self)
        # Source addresses 127.0.0.1 and up: each has ports of its own, so that they never run out.
        sources = self.options.sources
        source = f"127.0.0.{1 + self.tally.opened % sources}" if sources > 1 else None
        self.tally.opened += 1
        try:
            visitor.connect(source)
        except OSError as error:
            self.failed(visitor, "connect", error.strerror or str(error))

    # ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, say_holding: Callable[[int], None]) -> Tally:
        """Run the mode to its end. ``say_holding`` is told, in the mode idle, how many connections are held."""
        if self.options.mode == "idle":
            self._run_idle(say_holding)
        else:
            self._run_window()
        self._end_all()
        return self.tally

    def _run_window(self) -> None:
        if self.options.mode == "echo":
            self._open_all(rate=0.0)
        self._starts = True
        if self.options.mode == "echo":
            self._begin_all()
        else:
            for _ in range(self._wanted):
                self._open()
        self._turn_for(self.options.warmup)
        self._counts, began_s = True, time.perf_counter()
        self._turn_for(self.options.seconds)
        self.tally.seconds = time.perf_counter() - began_s
        self._counts = self._starts = False

    def _run_idle(self, say_holding: Callable[[int], None]) -> None:
        self._counts, began_s = True, time.perf_counter()
        self._open_all(rate=self.options.rate)
        self.tally.seconds = time.perf_counter() - began_s
        self._counts = False
        say_holding(len(self._held))
        self._turn_for(self.options.hold)
        self._begin_all()

    def _open_all(self, rate: float) -> None:
        """Open all connections, at that many a second if it is not 0, and wait until each is held or has failed."""
        began_s = last_s = time.perf_counter()
        while self.tally.opened < self._wanted or len(self._held) < len(self._live):
            now_s = time.perf_counter()
            due = (now_s - began_s) * rate + 1 if rate else self._wanted
            while self.tally.opened < min(due, self._wanted):
                self._open()
                last_s = now_s
            if self.tally.opened == self._wanted and now_s > last_s + self.options.timeout:
                return
            self._turn(0.001 if self.tally.opened < self._wanted else 0.1)

    def _begin_all(self) -> None:
        held, self._held = self._held, []
        for visitor in held:
            visitor.began_s = time.perf_counter()
            visitor.begin_message()

    def _end_all(self) -> None:
        """Let every connection come to its end in order; what is left after the timeout is an error."""
        held, self._held = self._held, []
        for visitor in held:
            visitor.half_close()
        self._turn_for(self.options.timeout)
        for visitor in list(self._live.values()):
            self.failed(visitor, "timeout", "no end within the timeout")
        self._epoll.close()

    def _turn_for(self, seconds: float) -> None:
        until_s = time.perf_counter() + seconds
        while self._live and (left_s := until_s - time.perf_counter()) > 0:
            self._turn(left_s)

    def _turn(self, patience_s: float) -> None:
        for descriptor, events in self._epoll.poll(patience_s):
            if (visitor := self._live.get(descriptor)) is not None:
                visitor.ready(events)


# ── several processes ────────────────────────────────────────────────────────────────────────────────────────────────


def run(options: argparse.Namespace, say: Callable[[str], None]) -> Tally:
    """Run the load in a process for each core we may use, and return what all have counted."""
    processes = min(len(os.sched_getaffinity(0)), options.connections)
    shares = [len(range(number, options.connections, processes)) for number in range(processes)]
    options.rate /= processes
    pipes = [_fork(options, share, number) for number, share in enumerate(shares)]
    holding, total = [], Tally()
    streams = [os.fdopen(pipe, encoding="utf-8") for pipe in pipes]
    if options.mode == "idle":
        holding = [int(stream.readline() or 0) for stream in streams]
        say(f"holding {sum(holding)}")
    for stream in streams:
        with stream:
            told = stream.read()
        if not told:
            raise ChildProcessError("a process of the load generator ended without a word")
        total.add(Tally(**json.loads(told)))
    for _ in pipes:
        os.wait()
    return total


def _fork(options: argparse.Namespace, connections: int, number: int) -> int:
    """Start one process of the load; return a descriptor to read from: how many it holds (idle), then its tally."""
    reads, writes = os.pipe()
    if os.fork():
        os.close(writes)
        return reads
    status = 1
    try:
        with os.fdopen(writes, "w", encoding="utf-8") as answers:
            tally = Visitors(options, connections, number).run(lambda held: print(held, file=answers, flush=True))
            json.dump({name: getattr(tally, name) for name in Tally.__slots__}, answers)
        status = 0
    finally:
        os._exit(status)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options, or end with status 2 and a sentence."""
    parser = argparse.ArgumentParser(prog="python_load", description="Load an echo server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mode", choices=("echo", "short", "idle"), default="echo")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--size", type=int, default=64, help="bytes of a message")
    parser.add_argument("--seconds", type=float, default=1.0, help="the window that is measured")
    parser.add_argument("--warmup", type=float, default=0.1, help="seconds before it")
    parser.add_argument("--rate", type=float, default=0.0, help="connections a second in the mode idle; 0: at once")
    parser.add_argument("--hold", type=float, default=1.0, help="seconds that idle connections are held")
    parser.add_argument("--sources", type=int, default=1, help="addresses to come from, 127.0.0.1 and up")
    parser.add_argument("--congestion", help="congestion control of our sockets")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds without progress until it is an error")
    parser.add_argument("--verify", type=int, default=1, help="for load.c only: here every echo is compared")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Return the exit status; one line of JSON goes to stdout."""
    options = parse_arguments(arguments)

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    try:
        total = run(options, say)
    except OSError as error:
        say(f"{error.strerror or error}" if error.errno != errno.EMFILE else "too few file descriptors")
        return 1
    sys.stdout.write(json.dumps(total.report(options)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
