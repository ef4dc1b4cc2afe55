"""Packets of a running server's own connections, as its workers tell what these carry: asked for, merged, made.

The workers call us, at an abstract unix address that is ours alone, and say a token that only the server's control
socket was told. What they tell is put in the order of its times, within a short window.
"""

from __future__ import annotations

import heapq
import itertools
import secrets
import select
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final

from portside.address import Endpoint
from portside.cli.capture_wire import Stop
from portside.cli.control import ANSWER_S, connect_to_server
from portside.errors import MalformedMessage
from portside.net.sockets import Socket, accept_nowait, bind
from portside.observe.capture import STOOD, CapturedConnection, captured_datagram, interface_of
from portside.serve import control as server
from portside.serve.channel import address_of
from portside.serve.tapped import TOKEN_BYTES, Flow, Kind, Record, RecordReader
from portside.wire.captured import CapturedPacket

WINDOW_NS: Final = 300_000_000  # how long what one worker tells waits for what another tells of times before it
READY_S: Final = 2.0  # how long workers may take until they listen
TURN_S: Final = 0.1
READ_BYTES: Final = 1 << 18
LAST_S: Final = 0.2  # what was told before the end is on its way for so long at most


class Call:
    """A worker that has called, or a child of one; ``feed`` is told what it says."""

    def __init__(self, sock: Socket, token: str) -> None:
        self.socket = sock
        self._token = token.encode()
        self._said = bytearray()
        self._reader = RecordReader()
        self._is_known = False
        self.conversations: dict[int, tuple[Flow, CapturedConnection | None, int]] = {}
        self.at_ns = 0

    def feed(self, data: bytes) -> Iterator[Record]:
        """Yield the records that are whole by now. Raises: MalformedMessage for what is no worker's."""
        if not self._is_known:
            self._said += data
            if len(self._said) < TOKEN_BYTES:
                return
            if not secrets.compare_digest(bytes(self._said[:TOKEN_BYTES]), self._token):
                raise MalformedMessage("capture: whoever calls does not know the token")
            self._is_known = True
            data = bytes(self._said[TOKEN_BYTES:])
        yield from self._reader.feed(data)


class ServiceCapture:
    """The packets of one service's connections. Close it, or use it in a with statement."""

    def __init__(self, control: str | None, service: str, *, connection: str | None, peers: tuple[str, ...]) -> None:
        """Ask the server. Raises: UsageError, NetworkError, ControlRefused, LocalError."""
        token = secrets.token_hex(TOKEN_BYTES // 2)
        path = f"@portside-capture-{secrets.token_hex(16)}"
        self.lost_bytes = 0
        self._ready = 0  # processes that miss nothing
        self._token = token
        self._interface = interface_of(service)
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, Call, Record]] = []
        self._calls: dict[int, Call] = {}
        self._control = connect_to_server(control)
        self._bound = bind(Endpoint("unix", path=path))[0]
        try:
            self._bound.socket.setblocking(False)
            self._control.settimeout(ANSWER_S)
            request = {"do": "capture", "service": service, "to": path, "token": token, "peers": list(peers)}
            asked = server.ask(self._control, request if connection is None else {**request, "connection": connection})
        except BaseException:
            self.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._bound.socket, select.POLLIN)
        self._poll.register(self._control, select.POLLIN)
        self._wait_for(asked["workers"])

    def _wait_for(self, workers: int) -> None:
        """Return when so many processes have said that they miss nothing; one that is too busy is not waited for."""
        until_s = time.monotonic() + READY_S
        while self._ready < workers and (left_s := until_s - time.monotonic()) > 0:
            self._turn(left_s)

    def close(self) -> None:
        """Listen no more: the workers notice, and take their taps away."""
        for sock in (self._control, self._bound.socket, *(call.socket for call in self._calls.values())):
            sock.close()

    def __enter__(self) -> ServiceCapture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def batches(self, stop: Stop, *, seconds: float | None) -> Iterator[list[CapturedPacket]]:
        """Yield packets as they come, until the time is over, ``stop`` says so, or the server is gone."""
        deadline_s = None if seconds is None else time.monotonic() + seconds
        self._poll.register(stop, select.POLLIN)
        while not stop.signals and not (self._is_over or (deadline_s is not None and time.monotonic() >= deadline_s)):
            left_s = TURN_S if deadline_s is None else min(TURN_S, max(0.0, deadline_s - time.monotonic()))
            self._turn(left_s)
            if packets := self._due(time.time_ns() - WINDOW_NS):
                yield packets
        self._poll.unregister(stop)
        until_s = time.monotonic() + LAST_S
        while self._calls and (left_s := until_s - time.monotonic()) > 0:
            self._turn(left_s)
        yield self._due(None)

    @property
    def _is_over(self) -> bool:
        return not self._calls and self._control.fileno() < 0

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self, timeout_s: float) -> None:
        for descriptor, _ in self._poll.poll(timeout_s * 1_000):
            if descriptor == self._bound.socket.fileno():
                self._accept()
            elif descriptor == self._control.fileno():
                self._poll.unregister(descriptor)  # it has said all it had to say: the server goes
                self._control.close()
            elif (call := self._calls.get(descriptor)) is not None:
                self._hear(descriptor, call)

    def _accept(self) -> None:
        accepted = accept_nowait(self._bound.socket)
        if accepted is not None:
            sock = accepted[0]
            sock.setblocking(False)
            self._calls[sock.fileno()] = Call(sock, self._token)
            self._poll.register(sock, select.POLLIN)

    def _hear(self, descriptor: int, call: Call) -> None:
        try:
            data = call.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            for record in call.feed(data):
                self._ready += record.kind == Kind.READY
                call.at_ns = max(call.at_ns, record.at_ns)  # its own order stays
                heapq.heappush(self._waiting, (call.at_ns, next(self._order), call, record))
        except MalformedMessage:
            data = b""
        if not data:
            self._poll.unregister(descriptor)
            self._calls.pop(descriptor).socket.close()

    # ── making packets ───────────────────────────────────────────────────────────────────────────────────────────────

    def _due(self, until_ns: int | None) -> list[CapturedPacket]:
        packets: list[CapturedPacket] = []
        while self._waiting and (until_ns is None or self._waiting[0][0] <= until_ns):
            _, _, call, record = heapq.heappop(self._waiting)
            with suppress(MalformedMessage, ValueError):
                packets += self._packets(call, record)
        return packets

    def _packets(self, call: Call, record: Record) -> list[CapturedPacket]:
        """Return the packets that a record makes. Raises: MalformedMessage, ValueError for what no worker says."""
        if record.kind == Kind.OPENED:
            return self._opened(call, record)
        flow, conversation, number = call.conversations.get(record.flow, (None, None, 0))
        if flow is None:
            return []
        if conversation is None:
            packet = captured_datagram(
                number,
                self._interface,
                local=address_of(flow.local),
                peer=address_of(flow.peer),
                way="in" if record.kind == Kind.IN else "out",
                data=record.data,
                at_ns=record.at_ns,
            )
            return [packet]
        packets = self._told(conversation, record)
        if conversation.is_over:
            del call.conversations[record.flow]
        return packets

    def _opened(self, call: Call, record: Record) -> list[CapturedPacket]:
        flow, number = record.opened, next(self._numbers)
        if flow.is_datagram:
            call.conversations[record.flow] = flow, None, number
            return []
        told = f"connection {flow.id}" + (f", opened by {flow.of}" if flow.of is not None else "")
        told += f", {flow.tls} taken off" if flow.tls is not None else ""
        conversation = CapturedConnection(
            number,
            self._interface,
            address_of(flow.local),
            address_of(flow.peer),
            comments=(told, STOOD) if flow.has_stood else (told,),
        )
        call.conversations[record.flow] = flow, conversation, number
        return conversation.opened(record.at_ns)

    def _told(self, conversation: CapturedConnection, record: Record) -> list[CapturedPacket]:
        match record.kind:
            case Kind.IN:
                return conversation.moved("in", record.data, record.at_ns)
            case Kind.OUT:
                return conversation.moved("out", record.data, record.at_ns)
            case Kind.IN_ENDED:
                return conversation.ended("in", record.at_ns)
            case Kind.OUT_ENDED:
                return conversation.ended("out", record.at_ns)
            case Kind.IN_RESET:
                return conversation.reset("in", record.at_ns)
            case Kind.OUT_RESET:
                return conversation.reset("out", record.at_ns)
            case Kind.IN_LOST | Kind.OUT_LOST:
                self.lost_bytes += record.lost_bytes
                conversation.lost("in" if record.kind == Kind.IN_LOST else "out", record.lost_bytes)
        return []
