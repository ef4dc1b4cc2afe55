"""The control socket: what an operator may ask of a running server, one JSON object a line.

Opt-in, a unix path of mode 0600. Each request gets one line back: ``{"ok": …}`` or ``{"error": "sentence"}``.

    {"do": "list"}                    the services, each with its workers, counters and live connections
    {"do": "stats"}                   the same without connections; no worker is asked
    {"do": "reload"}                  answered when the new workers have taken over, or have not
    {"do": "stop"}                    answered at once; the socket closes when the server is gone
    {"do": "end", "connection": ID}   end one connection
"""

from __future__ import annotations

import logging
import os
import selectors
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec

from portside.address import Endpoint
from portside.errors import OutOfDescriptors, PortsideError
from portside.net.sockets import Socket, accept_nowait, bind, give_to, remove_path
from portside.serve.inquiries import Ask, Inquiries

log = logging.getLogger("portside")

MODE: Final = 0o600
REQUEST_BYTES_MAX: Final = 65_536
CLIENTS_MAX: Final = 64


class Request(msgspec.Struct):
    """One line from a client."""

    do: str
    connection: str | None = None


class Conductor(Protocol):
    """The supervisor, as the control socket uses it."""

    def services(self) -> Iterator[dict[str, Any]]: ...
    @property
    def inquiries(self) -> Inquiries: ...
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

    def answer(self, client: Client, line: bytes) -> None:
        """Do what the line asks, and send the answer, now or when it is known."""
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.MsgspecError as error:
            client.send({"error": f"not a request: {error}"})
            return
        conductor = self._conductor
        match request.do:
            case "list":
                conductor.inquiries.list_connections(lambda answers: client.send({"ok": self._listing(answers)}))
            case "stats":
                client.send({"ok": list(conductor.services())})
            case "reload":
                conductor.reload(lambda why: client.send({"ok": None} if why is None else {"error": why}))
            case "stop":
                client.send({"ok": None})
                conductor.stop()
            case "end" if request.connection:
                identity = request.connection
                conductor.inquiries.end_connection(
                    identity, lambda answers: client.send(_end_answer(identity, answers))
                )
            case _:
                client.send({"error": f"unknown request {request.do!r}"})

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


def _end_answer(identity: str, answers: Ask) -> dict[str, Any]:
    if answers.found:
        return {"ok": None}
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
        self._is_closed = False
        server.selector.register(sock, selectors.EVENT_READ, self._move)

    def send(self, answer: dict[str, Any]) -> None:
        if not self._is_closed:
            self._outgoing += msgspec.json.encode(answer) + b"\n"
            self._flush()

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
        try:
            data = self.socket.recv(REQUEST_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._incoming += data
        while not self._is_closed and b"\n" in self._incoming:
            line, _, rest = self._incoming.partition(b"\n")
            self._incoming = rest
            self._server.answer(self, bytes(line))
        if not data or len(self._incoming) > REQUEST_BYTES_MAX:
            self.close()

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
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
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
