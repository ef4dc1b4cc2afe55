"""The transports of a server of names: UDP, and TCP with several questions on a connection (RFC 7766)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from portside.errors import MalformedMessage
from portside.sim.addresses import ANY
from portside.sim.clock import SECOND, Timer
from portside.sim.seams import End, Stack, TcpConnection, UdpSocket
from portside.wire.dns import EDNS_UDP_BYTES, FORMAT_ERROR, UDP_BYTES_MAX, DnsMessage, build_dns, parse_dns
from portside.wire.dns_names import MESSAGE_BYTES_MAX

PORT: Final = 53
BACKLOG: Final = 128
IDLE_NS: Final = 10 * SECOND  # RFC 7766 section 6.2.3: a few seconds


class Answerer(Protocol):
    """Whoever knows the answers."""

    def ask(self, query: DnsMessage, remote: End, reply: Callable[[DnsMessage], object]) -> None:
        """Answer a query: call ``reply`` once, at once or later, or never."""


def encode_reply(message: DnsMessage, bytes_max: int) -> bytes:
    """Return an answer's bytes, cut to what fits. A referral that loses its glue says so, or it would lead nowhere:
    RFC 9471 section 3.1.
    """
    data = build_dns(message, bytes_max=bytes_max)
    is_referral = not message.answers and not message.is_authoritative and bool(message.additional)
    if is_referral and not parse_dns(data).additional:
        data = build_dns(replace(message, is_truncated=True), bytes_max=bytes_max)
    return data


def _open_query(data: bytes) -> DnsMessage | None:
    """Return a query, or the answer to what is none but has a header; None for what is not to be answered."""
    if len(data) < 12 or data[2] & 0x80:
        return None  # never answer an answer, or two servers would do so for ever
    try:
        return parse_dns(data)
    except MalformedMessage:
        opcode = data[2] >> 3 & 0xF
        return DnsMessage(int.from_bytes(data[:2]), is_response=True, opcode=opcode, rcode=FORMAT_ERROR)


class Service:
    """A server of names at a port of a host. ``queries`` counts what was asked, malformed or not."""

    def __init__(self, stack: Stack, answerer: Answerer, port: int) -> None:
        self.queries = 0
        self.answerer = answerer
        self.stack = stack
        self._port = port
        # An answer comes from the address that was asked (RFC 2181 section 4): each has a socket, made when needed.
        self._sockets: dict[int, UdpSocket] = {ANY: stack.udp.open(self, (ANY, port), reuse=True)}
        self._talks: dict[_Talk, None] = {}
        self._listener = stack.tcp.listen((ANY, port), BACKLOG, self._accept)

    def close(self) -> None:
        """Serve no more."""
        for socket in self._sockets.values():
            socket.close()
        self._listener.close()
        for talk in list(self._talks):
            talk.end()

    # ── UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def received(self, data: bytes, remote: End, local: End) -> None:
        """Take a datagram."""
        if local[0] not in self._sockets:
            self._sockets[local[0]] = self.stack.udp.open(self, (local[0], self._port), reuse=True)
        socket = self._sockets[local[0]]
        query = _open_query(data)
        if query is None:
            return
        asked = UDP_BYTES_MAX if query.edns is None else query.edns.udp_bytes
        bytes_max = max(UDP_BYTES_MAX, min(asked, EDNS_UDP_BYTES))
        self._ask(query, remote, lambda reply: self._send(socket, encode_reply(reply, bytes_max), remote))

    def _ask(self, query: DnsMessage, remote: End, reply: Callable[[DnsMessage], object]) -> None:
        self.queries += 1
        if query.is_response:
            reply(query)
        else:
            self.answerer.ask(query, remote, reply)

    @staticmethod
    def _send(socket: UdpSocket, data: bytes, remote: End) -> None:
        try:
            socket.send(data, remote)
        except OSError:
            return  # no way back, or closed meanwhile: whoever asked will ask again

    def failed(self, error: OSError) -> None:
        """Hear that an answer did not arrive."""

    # ── TCP ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _accept(self) -> None:
        while (connection := self._listener.accept()) is not None:
            talk = _Talk(self, connection)
            self._talks[talk] = None
            connection.user = talk
            if connection.readable_bytes or connection.has_ended:
                talk.readable()

    def ask_for(self, talk: _Talk, query: DnsMessage) -> None:
        """Ask what came over a connection."""
        self._ask(query, talk.connection.remote, talk.answer)

    def forget(self, talk: _Talk) -> None:
        """Take note that a connection is gone."""
        self._talks.pop(talk, None)


class _Talk:
    """One connection: questions are taken as they come, and answered as soon as the answer is there (6.2.1.1)."""

    def __init__(self, service: Service, connection: TcpConnection) -> None:
        self.connection = connection
        self._service = service
        self._in, self._out = bytearray(), bytearray()
        self._open = 0  # questions without an answer yet
        self._is_over = False
        self._idle = Timer(service.stack.scheduler, self.end)
        self._idle.start(IDLE_NS)

    def established(self) -> None:
        """Nothing is to be done: it was, before it was accepted."""

    def readable(self) -> None:
        """Take what has come."""
        while data := self.connection.receive(MESSAGE_BYTES_MAX):
            self._in += data
        while len(self._in) > 1 and len(self._in) >= 2 + (size := int.from_bytes(self._in[:2])):
            query = _open_query(bytes(self._in[2 : 2 + size]))
            del self._in[: 2 + size]
            if query is None:
                self.end()
                return
            self._idle.start(IDLE_NS)
            self._open += 1
            self._service.ask_for(self, query)
        self._end_if_done()

    def answer(self, reply: DnsMessage) -> None:
        """Send an answer."""
        if self._is_over:
            return
        data = encode_reply(reply, MESSAGE_BYTES_MAX)
        self._open -= 1
        self._out += len(data).to_bytes(2) + data
        self.writable()

    def writable(self) -> None:
        """Send as much as there is room for."""
        try:
            while self._out and (taken := self.connection.send(self._out)):
                del self._out[:taken]
        except OSError:
            self.end()
            return
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self.connection.has_ended and not self._open and not self._out:
            self.end()

    def end(self) -> None:
        """Close, once."""
        if not self._is_over:
            self._is_over = True
            self._idle.cancel()
            self._service.forget(self)
            self.connection.close()

    def failed(self, _: OSError) -> None:
        """Hear that the connection is gone."""
        self._is_over = True
        self._idle.cancel()
        self._service.forget(self)

    def finished(self) -> None:
        """Nothing is left to be done."""


def serve(stack: Stack, answerer: Answerer, port: int = PORT) -> Service:
    """Serve names at a host, over UDP and TCP. Raises: OSError EADDRINUSE."""
    return Service(stack, answerer, port)
