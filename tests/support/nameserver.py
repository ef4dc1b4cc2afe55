"""Small name servers for tests: on loopback, over UDP and TCP, saying what the test wants said."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from textwrap import dedent
from types import TracebackType
from typing import Literal, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone
from dns.message import Message

Transport = Literal["udp", "tcp"]
Answer = Callable[[Message, Transport], Message | bytes | None]
"""What to say to a question: a message, any bytes, or None for silence."""


@dataclass
class NameServers:
    """Name servers on several loopback addresses with one port, as referrals cannot name ports.

    ``asked`` has each question in order: address of the server, name, type, transport.
    """

    answers: dict[str, Answer]
    asked: list[tuple[str, str, str, Transport]] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._sockets = self._open()
        self._stop, stopped = socket.socketpair()
        for closing in (self._stop, stopped, *self._sockets):
            self._stack.enter_context(closing)
        self._thread = threading.Thread(target=self._serve, args=(stopped,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.send(b"x")
        self._thread.join()
        self._stack.close()

    def _open(self) -> list[socket.socket]:
        """Return a UDP and a TCP socket for each address, all on the same free port."""
        for _ in range(100):
            with ExitStack() as stack:
                port = 0
                sockets = []
                try:
                    for address in self.answers:
                        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                            family = socket.AF_INET6 if ":" in address else socket.AF_INET
                            sock = stack.enter_context(socket.socket(family, kind))
                            sock.bind((address, port))
                            port = sock.getsockname()[1]
                            if kind == socket.SOCK_STREAM:
                                sock.listen()
                            sockets.append(sock)
                except OSError:
                    continue  # somebody has the port on another address
                stack.pop_all()
                self.port = port
                return sockets
        raise AssertionError("no port is free on all addresses")

    def _serve(self, stopped: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([stopped, *self._sockets], [], [])
            if stopped in ready:
                return
            for sock in ready:
                answer = self.answers[sock.getsockname()[0]]
                if sock.type == socket.SOCK_DGRAM:
                    data, peer = sock.recvfrom(65_535)
                    said = self._say(sock, answer, data, "udp")
                    if said is not None:
                        sock.sendto(said, peer)
                else:
                    self._serve_stream(sock, answer)

    def _serve_stream(self, listener: socket.socket, answer: Answer) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            length = int.from_bytes(stream.read(2), "big")
            said = self._say(listener, answer, stream.read(length), "tcp")
            if said is not None:
                connection.sendall(len(said).to_bytes(2, "big") + said)

    def _say(self, sock: socket.socket, answer: Answer, data: bytes, transport: Transport) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        address = sock.getsockname()[0]
        self.asked.append((address, question.name.to_text(), dns.rdatatype.to_text(question.rdtype), transport))
        said = answer(query, transport)
        return said.to_wire() if isinstance(said, Message) else said


def zone(origin: str, text: str) -> Answer:
    """Return an authoritative server of the zone in this master file: it answers, refers, or denies."""
    found = dns.zone.from_text(dedent(text), origin, relativize=False, check_origin=False)
    apex = dns.name.from_text(origin)

    def answer(query: Message, transport: Transport) -> Message:
        reply = dns.message.make_response(query)
        name, rdtype = query.question[0].name, query.question[0].rdtype
        cut = name
        cuts = []
        while cut not in {apex, dns.name.root}:
            cuts.append(cut)
            cut = cut.parent()
        for cut in reversed(cuts):
            servers = found.get_rrset(cut, dns.rdatatype.NS)
            if servers is not None:
                reply.authority.append(servers)
                for server in servers:
                    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
                        glue = found.get_rrset(server.target, kind)
                        if glue is not None:
                            reply.additional.append(glue)
                return reply
        reply.flags |= dns.flags.AA
        node = found.get_node(name)
        if node is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            return reply
        for rdataset in node.rdatasets:
            if rdtype in {rdataset.rdtype, dns.rdatatype.ANY} or rdataset.rdtype == dns.rdatatype.CNAME:
                rrset = found.get_rrset(name, rdataset.rdtype)
                assert rrset is not None
                reply.answer.append(rrset)
        return reply

    return answer


def status(code: str) -> Answer:
    """Return a server that says nothing but this code."""

    def answer(query: Message, transport: Transport) -> Message:
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.from_text(code))
        return reply

    return answer


def silence(query: Message, transport: Transport) -> None:
    """Say nothing."""


def referring(zone_name: str, servers: Sequence[tuple[str, str | None]]) -> Answer:
    """Return a server that refers every question to the zone's servers, with the addresses given as glue."""

    def answer(query: Message, transport: Transport) -> Message:
        reply = dns.message.make_response(query)
        reply.authority.append(dns.rrset.from_text(zone_name, 60, "IN", "NS", *(name for name, _ in servers)))
        for name, address in servers:
            if address:
                reply.additional.append(dns.rrset.from_text(name, 60, "IN", "A", address))
        return reply

    return answer
