"""What a peer could do to a worker: cut ways before the gate, floods of datagrams, closed connections in a listing."""

from __future__ import annotations

import asyncio
import errno
from types import SimpleNamespace
from typing import Any

import pytest

from portside.address import Endpoint, InternetAddress
from portside.serve.models import accepting, event
from portside.serve.models.accepting import Acceptor, Visit, _Waiting, connect_visit
from portside.serve.roster import row_of

PROXY = InternetAddress("192.0.2.1", 40_000)


class Unreachable:
    """A socket whose way is cut: what recv(2) says after an ICMP error and the last retry."""

    def __init__(self) -> None:
        self.closed = False

    def recv(self, *_: object) -> bytes:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    def fileno(self) -> int:
        return 99

    def close(self) -> None:
        self.closed = True


def test_a_proxy_that_became_unreachable_costs_its_connection_and_not_the_worker() -> None:
    refused: list[object] = []
    acceptor: Any = Acceptor.__new__(Acceptor)
    acceptor._waiting = {}
    acceptor._service = SimpleNamespace(name="echo", refuse=lambda *what: refused.append(what))
    sock: Any = Unreachable()
    assert acceptor._listen_to(_Waiting(sock, PROXY, Endpoint("tcp"), 0.0)) is None
    assert sock.closed
    assert refused == [(PROXY, "proxy")]


def test_no_more_datagrams_are_taken_while_as_many_as_may_be_are_in_work(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[object] = []
    paused: list[object] = []
    monkeypatch.setattr(event, "waiting_messages", lambda *_: iter([taken.append("one")]))
    model: Any = event._EventModel.__new__(event._EventModel)
    model._messages = event.MESSAGES_AT_ONCE
    model._worker = model._service = model._loop = SimpleNamespace(has_plain_message_handler=False)
    model._pause = paused.append
    model._begin = lambda work: work.close()
    model._take_messages(None, "the socket")
    assert not taken
    assert paused == ["the socket"]


class Closed:
    """A connection that its handler has closed while it goes on with something else."""

    id, peer, tls, state, age_s, all_bytes_in, all_bytes_out = "7-1", PROXY, None, "closing", 1.0, 2, 3

    @property
    def started_at(self) -> Any:
        return SimpleNamespace(isoformat=lambda **_: "2026-01-01T00:00:00.000+00:00")

    @property
    def local(self) -> InternetAddress:
        raise OSError(errno.EBADF, "Bad file descriptor")


def test_a_closed_connection_is_listed_though_its_own_address_cannot_be_asked_for_any_more() -> None:
    closed: Any = Closed()
    assert row_of(closed).local == {"path": ""}


class Places:
    """A service that only counts who came and who went."""

    def __init__(self) -> None:
        self.name = "echo"
        self.tls = SimpleNamespace(context=None)
        self.left: list[object] = []

    def is_tls(self, endpoint: Endpoint) -> bool:
        return True

    def release(self, peer: object) -> None:
        self.left.append(peer)

    def failed_handshake(self, connection: Any, error: object) -> None:
        self.left.append(connection.peer)


class Handshaking:
    """A connection whose handshake fails in a way that nobody foresaw: a certificate that cannot be decoded."""

    def __init__(self, *_: object, peer: object = PROXY, **__: object) -> None:
        self.peer = peer

    def shake_hands(self, *_: object, **__: object) -> None:
        raise ValueError("a certificate that cannot be decoded")

    async def start_tls(self, *_: object) -> None:
        self.shake_hands()

    def abort(self) -> None: ...
    def finish(self) -> None: ...


def test_whatever_ends_a_handshake_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    service: Any = Places()
    sock: Any = Unreachable()
    monkeypatch.setattr(accepting, "BlockingConnection", Handshaking)
    assert connect_visit(service, Visit(sock, PROXY, Endpoint("tls"))) is None
    assert service.left == [PROXY]


def test_whatever_ends_a_handshake_gives_the_place_back_under_event() -> None:
    model: Any = event._EventModel.__new__(event._EventModel)
    model._service = service = Places()
    model._network = SimpleNamespace(adopt=Handshaking)
    asyncio.run(model._welcome_sealed(Unreachable(), PROXY))
    assert service.left == [PROXY]


def test_a_connection_that_the_epoll_has_no_room_for_leaves_no_place_taken() -> None:
    def adopt(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    model: Any = event._EventModel.__new__(event._EventModel)
    model._service = service = Places()
    service.admit = lambda peer: None  # type: ignore[attr-defined]
    service.has_plain_handler = False  # type: ignore[attr-defined]
    service.is_tls = lambda endpoint: False  # type: ignore[method-assign]
    model._network = SimpleNamespace(adopt=adopt)
    sock: Any = Unreachable()
    model._welcome(sock, PROXY, SimpleNamespace(endpoint=Endpoint("tcp")))
    assert sock.closed
    assert service.left == [PROXY]
