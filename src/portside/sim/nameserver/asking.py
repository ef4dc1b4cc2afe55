"""Questions to one server: over UDP, and over TCP what UDP has no room for. Forged answers find no way in.

Source: RFC 1035 section 4.2, RFC 5452 sections 4 and 9 (what an answer must agree in), RFC 7766 section 5.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeAlias

from portside.errors import MalformedMessage
from portside.sim.clock import Timer
from portside.sim.nameserver.keys import key_of
from portside.sim.ports import ephemeral
from portside.sim.seams import End, Stack, UdpSocket
from portside.wire.dns import DnsMessage, Edns, Question, build_dns, parse_dns

PORT_TRIES: Final = 64

Answers: TypeAlias = list[DnsMessage | None]  # as many as there were questions; None for one that was not answered


def belongs(answer: DnsMessage, query: DnsMessage) -> bool:
    """Return whether an answer is one to this question: RFC 5452 section 9.1. Addresses and ports were looked at."""
    if not answer.is_response or answer.id != query.id or len(answer.questions) != 1:
        return False
    (there,), (here,) = answer.questions, query.questions
    return (key_of(there.name), there.type, there.record_class) == (key_of(here.name), here.type, here.record_class)


def query_for(question: Question, number: int, *, recursion: bool, edns: Edns | None = None) -> DnsMessage:
    """Return the message that asks a question."""
    return DnsMessage(number, (question,), recursion_desired=recursion, edns=edns)


class Exchange:
    """Asks all queries of one server at once, from one socket, whose port is drawn (RFC 5452 section 9.2).

    ``done`` is called once: when each has its answer, when the time is up, or when the server was said not to be
    there. It is never called at once.
    """

    def __init__(  # noqa: PLR0917 -- who asks, what, whom, how long, for whom
        self,
        stack: Stack,
        chance: Random,
        queries: Sequence[DnsMessage],
        server: End,
        timeout_ns: int,
        done: Callable[[Answers], object],
    ) -> None:
        self._stack = stack
        self._queries = queries
        self._server = server
        self._answers: Answers = [None] * len(queries)
        self._done = done
        self._is_over = False
        self._socket: UdpSocket | None = None
        self._streams: dict[int, _Stream] = {}
        self._timer = Timer(stack.scheduler, self._finish)
        self._timer.start(timeout_ns)
        try:
            self._socket = self._open(chance)
            self._socket.connect(server)
            for query in queries:
                self._socket.send(build_dns(query))
        except OSError:
            self._timer.start(0)  # nobody can be asked: no route, or no port

    def _open(self, chance: Random) -> UdpSocket:
        for _ in range(PORT_TRIES):
            try:
                socket: UdpSocket = self._stack.udp.open(self, (0, ephemeral(chance, lambda _: False)))
            except OSError:
                continue
            return socket
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    def received(self, data: bytes, remote: End, local: End) -> None:
        """Take a datagram, which may be forged."""
        try:
            answer = parse_dns(data)
        except MalformedMessage:
            return
        at = next((at for at, query in enumerate(self._queries) if belongs(answer, query)), None)
        if at is None or self._answers[at] is not None or at in self._streams or remote != self._server:
            return
        if answer.is_truncated:
            self._stream(at)
        else:
            self._take(at, answer)

    def _stream(self, at: int) -> None:
        """Ask again over TCP: RFC 2181 section 9 – what was cut off is not to be used."""
        stream = self._streams[at] = _Stream(self._queries[at], lambda answer: self._take(at, answer))
        try:
            stream.connect(self._stack, self._server)
        except OSError:
            self._take(at, None)

    def _take(self, at: int, answer: DnsMessage | None) -> None:
        if self._is_over:
            return
        self._answers[at] = answer
        if answer is None or None not in self._answers:
            self._finish()

    def failed(self, _: OSError) -> None:
        """Hear by ICMP that the server is not there."""
        self._finish()

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
        for stream in self._streams.values():
            stream.end()
        self._done(self._answers)


class _Stream:
    """One question over a connection of its own."""

    def __init__(self, query: DnsMessage, done: Callable[[DnsMessage | None], object]) -> None:
        self._query = query
        self._done = done
        data = build_dns(query)
        self._out = len(data).to_bytes(2) + data
        self._in = bytearray()
        self._is_over = False

    def connect(self, stack: Stack, server: End) -> None:
        """Begin. Raises: OSError."""
        self._connection = stack.tcp.connect(self, server)

    def established(self) -> None:
        self._send()

    def writable(self) -> None:
        self._send()

    def _send(self) -> None:
        try:
            while self._out and (taken := self._connection.send(self._out)):
                self._out = self._out[taken:]
        except OSError:
            self._settle(None)

    def readable(self) -> None:
        while data := self._connection.receive(65_536):
            self._in += data
        if len(self._in) > 1 and len(self._in) >= 2 + (size := int.from_bytes(self._in[:2])):
            try:
                answer = parse_dns(bytes(self._in[2 : 2 + size]))
            except MalformedMessage:
                self._settle(None)
                return
            self._settle(answer if belongs(answer, self._query) else None)
        elif self._connection.has_ended:
            self._settle(None)

    def failed(self, _: OSError) -> None:
        self._is_over, was_over = True, self._is_over
        if not was_over:
            self._done(None)

    def finished(self) -> None:
        """Nothing is left to be done."""

    def _settle(self, answer: DnsMessage | None) -> None:
        self.end()
        self._done(answer)

    def end(self) -> None:
        """Let go of the connection."""
        if not self._is_over:
            self._is_over = True
            self._connection.close()
