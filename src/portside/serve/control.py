"""The control socket: what an operator may ask of a running server, one JSON object a line.

Opt-in, a unix path of mode 0600. Each request gets one line back: ``{"ok": …}`` or ``{"error": "sentence"}``. Answers
come as they are known, and not in the order of their questions: a request may have an ``id``, which its answer repeats.

    {"do": "list"}                    the services, each with its workers, counters and live connections
    {"do": "stats"}                   the server, and the services without connections; no worker is asked
    {"do": "health"}                  whether it serves: the supervisor's state, and whether it is ready
    {"do": "connections"}             a page of each worker's live connections
    {"do": "sockets"}                 a page of each worker's open files
    {"do": "conversation", "connection": ID}
                                      what was said over a connection, see ``serve.observing``
    {"do": "errors"}                  the failures of handlers of late
    {"do": "capture", "service": NAME, "to": PATH, "token": HEX}
                                      have what its connections carry told to whoever listens at the unix address, see
                                      ``serve.tapped``; of one with ``connection``, of some peers with ``peers``
    {"do": "reload"}                  answered when the new workers have taken over, or have not
    {"do": "stop"}                    answered at once; the socket closes when the server is gone
    {"do": "end", "connection": ID}   end one connection

Pages are asked for with ``after``, what the page before gave as its ``after``, and ``limit``, how many at most; for
connections and sockets also with ``worker`` or ``service``. Conversations and errors are numbered by ``seq``, and
``after`` is the last number that is known already.
"""

from __future__ import annotations

import logging
import os
import selectors
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any, Final, Protocol, TypeAlias

import msgspec

from portside.address import Endpoint
from portside.errors import OutOfDescriptors, PortsideError, UsageError
from portside.net.sockets import Socket, accept_nowait, bind, give_to, remove_path
from portside.serve import channel as say
from portside.serve.asked_captures import AskedCaptures
from portside.serve.failures import Failures
from portside.serve.inquiries import Ask, Inquiries
from portside.serve.records import WorkerRecord

log = logging.getLogger("portside")

MODE: Final = 0o600
REQUEST_BYTES_MAX: Final = 65_536
ANSWER_BYTES_MAX: Final = 1_048_576  # a client that does not take so much is not listened to until it does
UNANSWERED_MAX: Final = 64  # nor one that has so many questions open
CLIENTS_MAX: Final = 64


class Request(msgspec.Struct):
    """One line from a client."""

    do: str
    id: int | str | None = None
    connection: str | None = None
    service: str | None = None
    worker: int | None = None
    after: int | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    to: str | None = None
    token: str | None = None
    peers: list[str] = msgspec.field(default_factory=list)

    def wants(self, record: WorkerRecord) -> bool:
        """Return whether the worker is one of those that are asked about."""
        return self.worker in (None, record.pid) and self.service in (None, record.service.name)


Reply: TypeAlias = Callable[[dict[str, Any]], None]


class Conductor(Protocol):
    """The supervisor, as the control socket uses it."""

    def services(self) -> Iterator[dict[str, Any]]: ...
    def health(self) -> dict[str, Any]: ...
    def stats(self) -> dict[str, Any]: ...
    @property
    def inquiries(self) -> Inquiries: ...
    @property
    def failures(self) -> Failures: ...
    @property
    def captures(self) -> AskedCaptures: ...
    def reload(self, told: Callable[[str | None], None] | None = None) -> None: ...
    def stop(self, status: int = 0) -> None: ...


class ControlServer:
    """Listens on the path and serves clients on the supervisor's selector. Nothing here waits for a client."""

    def __init__(self, path: str, conductor: Conductor, selector: selectors.BaseSelector) -> None:
        """Listen. Raises: AddressInUse when another server answers there; NotPermitted; LocalError."""
        self.path = path
        self._conductor = conductor
        self._selector = selector
        self._bound = bind(Endpoint("unix", path=path, mode=MODE))[0]
        self._clients: set[Client] = set()
        selector.register(self._bound.socket, selectors.EVENT_READ, self._accept)

    def give_to(self, user_id: int) -> None:
        """Make the user that the server becomes the owner of the path."""
        give_to(self._bound, user_id)
        with suppress(OSError):
            os.chown(self.path, user_id, -1)

    def close(self) -> None:
        for client in list(self._clients):
            client.close()
        with suppress(KeyError, ValueError):
            self._selector.unregister(self._bound.socket)
        remove_path(self._bound)
        self._bound.socket.close()

    def forget_in_child(self) -> None:
        """In a forked worker: the descriptors only."""
        self._bound.socket.close()
        for client in self._clients:
            client.socket.close()

    def _accept(self) -> None:
        try:
            accepted = accept_nowait(self._bound.socket)
        except OutOfDescriptors as error:
            log.error("the control socket cannot accept: %s", error)
            return
        if accepted is None:
            return
        sock, _ = accepted
        if len(self._clients) >= CLIENTS_MAX:
            sock.close()
            return
        self._clients.add(Client(sock, self))

    def forget(self, client: Client) -> None:
        self._clients.discard(client)

    @property
    def selector(self) -> selectors.BaseSelector:
        return self._selector

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, line: bytes, reply: Callable[[dict[str, Any], Any], None]) -> None:
        """Do what the line asks, and give the answer, now or when it is known, with the request's id."""
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.MsgspecError as error:
            reply({"error": f"not a request: {error}"}, None)
            return
        self._heed(request, lambda answer: reply(answer, request.id))

    def _heed(self, request: Request, reply: Reply) -> None:
        conductor = self._conductor
        match request.do:
            case "list":
                conductor.inquiries.list_connections(lambda answers: reply({"ok": self._listing(answers)}))
            case "stats":
                reply({"ok": conductor.stats()})
            case "health":
                reply({"ok": conductor.health()})
            case "errors":
                reply({"ok": {"errors": conductor.failures.newer_than(request.after or 0)}})
            case "connections" | "sockets":
                self._ask_for_pages(request, reply)
            case "conversation" if request.connection:
                self._ask_for_conversation(request, request.connection, reply)
            case "capture" if request.service and request.to and request.token:
                wanted = say.Capture(request.to, request.token, request.connection, request.peers)
                reply(self._begin_capture(request.service, wanted))
            case "reload":
                conductor.reload(lambda why: reply({"ok": None} if why is None else {"error": why}))
            case "stop":
                reply({"ok": None})
                conductor.stop()
            case "end" if request.connection:
                identity = request.connection
                conductor.inquiries.end_connection(identity, lambda answers: reply(_end_answer(identity, answers)))
            case _:
                reply({"error": f"unknown request {request.do!r}"})

    def _begin_capture(self, service: str, wanted: say.Capture) -> dict[str, Any]:
        try:
            return {"ok": {"workers": self._conductor.captures.begin(service, wanted)}}
        except UsageError as error:
            return {"error": str(error)}

    def _ask_for_pages(self, request: Request, reply: Reply) -> None:
        def question(number: int) -> say.ToWorker:
            if request.do == "connections":
                limit = min(request.limit or say.ROWS_A_PAGE, say.ROWS_A_PAGE)
                return say.ListConnections(number, request.after or 0, limit)
            limit = min(request.limit or say.DESCRIPTORS_A_PAGE, say.DESCRIPTORS_A_PAGE)
            return say.ListDescriptors(number, -1 if request.after is None else request.after, limit)

        self._conductor.inquiries.ask(
            question, lambda answers: reply({"ok": _pages(request.do, answers)}), wanted=request.wants
        )

    def _ask_for_conversation(self, request: Request, identity: str, reply: Reply) -> None:
        limit = min(request.limit or say.WORDS_A_PAGE, say.WORDS_A_PAGE)
        self._conductor.inquiries.ask(
            lambda number: say.ShowConversation(number, identity, request.after or 0, limit),
            lambda answers: reply(_conversation_answer(identity, answers)),
        )

    def _listing(self, answers: Ask) -> list[dict[str, Any]]:
        services = list(self._conductor.services())
        connections: dict[str, list[dict[str, Any]]] = {service["service"]: [] for service in services}
        for record, row in answers.rows:
            if record.service.name in connections:
                connections[record.service.name].append({**msgspec.to_builtins(row), "worker": record.pid})
        for service in services:
            service["connections"] = connections[service["service"]]
            for worker in service["workers"]:
                worker["answers"] = worker["pid"] not in answers.silent
        return services


def _pages(what: str, answers: Ask) -> dict[str, Any]:
    return {
        "workers": [
            {
                "pid": record.pid,
                "service": record.service.name,
                what: msgspec.to_builtins(answer.rows),
                "after": answer.after,
            }
            for record, answer in sorted(answers.answers, key=lambda pair: pair[0].pid)
            if isinstance(answer, say.Rows | say.Descriptors)
        ],
        "silent": sorted(answers.silent),
    }


def _conversation_answer(identity: str, answers: Ask) -> dict[str, Any]:
    if answers.found:
        record, answer = answers.answers[-1]
        assert isinstance(answer, say.Conversation)
        found = answer.found or {"messages": [], "lost": 0, "ended": None}
        return {
            "ok": {
                "connection": identity,
                "service": record.service.name,
                "worker": record.pid,
                "row": None if found["ended"] else msgspec.to_builtins(answer.row),
                **found,
            }
        }
    return _not_found(identity, answers)


def _end_answer(identity: str, answers: Ask) -> dict[str, Any]:
    return {"ok": None} if answers.found else _not_found(identity, answers)


def _not_found(identity: str, answers: Ask) -> dict[str, Any]:
    if answers.silent:
        return {
            "error": f"no answer from worker {', '.join(map(str, sorted(answers.silent)))}, which may have {identity}"
        }
    return {"error": f"there is no connection {identity}"}


class Client:
    """One client of the control socket."""

    def __init__(self, sock: Socket, server: ControlServer) -> None:
        sock.setblocking(False)
        self.socket = sock
        self._server = server
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._unanswered = 0
        self._is_heeding = False
        self._is_closed = False
        server.selector.register(sock, selectors.EVENT_READ, self._move)

    def _reply(self, answer: dict[str, Any], identity: int | str | None) -> None:
        self._unanswered -= 1
        if not self._is_closed:
            self._outgoing += msgspec.json.encode(answer if identity is None else {"id": identity, **answer}) + b"\n"
            self._flush()
            self._heed()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._server.selector.unregister(self.socket)
            self.socket.close()
            self._server.forget(self)

    def _move(self) -> None:
        """Read requests and send answers, as far as either goes."""
        self._flush()
        if self._is_closed:
            return
        self._heed()
        if self._is_full:
            return
        try:
            data = self.socket.recv(REQUEST_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._incoming += data
        self._heed()
        if not data or (b"\n" not in self._incoming and len(self._incoming) > REQUEST_BYTES_MAX):
            self.close()

    @property
    def _is_full(self) -> bool:
        """Whether there is so much for it to take that no more is asked for."""
        return len(self._outgoing) > ANSWER_BYTES_MAX

    def _heed(self) -> None:
        """Answer the requests that have come."""
        if self._is_heeding:
            return  # an answer that is known at once calls us from within
        self._is_heeding = True
        try:
            while not self._is_closed and not self._is_full and b"\n" in self._incoming:
                line, _, rest = self._incoming.partition(b"\n")
                self._incoming = rest
                self._unanswered += 1
                if self._unanswered > UNANSWERED_MAX:
                    self._reply({"error": "so many questions at once are too many"}, None)
                else:
                    self._server.answer(bytes(line), self._reply)
        finally:
            self._is_heeding = False

    def _flush(self) -> None:
        try:
            while self._outgoing:
                sent = self.socket.send(self._outgoing)
                del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        events = (0 if self._is_full else selectors.EVENT_READ) | (selectors.EVENT_WRITE if self._outgoing else 0)
        self._server.selector.modify(self.socket, events, self._move)


# ── the other side ───────────────────────────────────────────────────────────────────────────────────────────────────


def ask(sock: Socket, request: dict[str, Any]) -> Any:
    """Send a request over a connected blocking socket and return what ``ok`` holds.

    Raises: ControlRefused with the server's sentence; ControlLost when the server goes away before it answers.
    """
    try:
        sock.sendall(msgspec.json.encode(request) + b"\n")
        answer = bytearray()
        while not answer.endswith(b"\n"):
            data = sock.recv(REQUEST_BYTES_MAX)
            if not data:
                raise ControlLost("the server went away before it answered")
            answer += data
    except OSError as error:
        raise ControlLost(f"the control socket broke: {error.strerror or error}") from error
    decoded = msgspec.json.decode(answer)
    if "error" in decoded:
        raise ControlRefused(decoded["error"])
    return decoded["ok"]


def wait_until_gone(sock: Socket) -> None:
    """Return when the server has closed the connection: it is gone."""
    with suppress(OSError):
        while sock.recv(REQUEST_BYTES_MAX):
            pass


class ControlRefused(PortsideError):
    """The running server says why it does not do what it was asked."""


class ControlLost(PortsideError):
    """The running server went away."""
