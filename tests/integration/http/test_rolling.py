"""Reload and stop while clients ask: no request is lost, and what was begun is finished."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from integration.http.conftest import Start
from integration.http.test_wire import get, wire_to
from support.waiting import WITHIN_S, wait_until

MANY = ("--limit-accept-rate", "100000", "--limit-per-ip", "10000", "--log-level", "warning", "--workers", "2")
RELOADS = 2

APP = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"{size}")]}})
    await send({{"type": "http.response.body", "body": b"{words}"}})
"""


class Askers:
    """Clients without a pause, in threads: each asks over one connection until the server says that it closes it."""

    def __init__(self, port: int, threads: int = 2) -> None:
        self.port = port
        self.answers: list[bytes] = []
        self.failures: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WITHIN_S)
        while not self._stop.is_set():
            try:
                connection.request("GET", "/")
                self.answers.append(connection.getresponse().read())
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
                return
        connection.close()

    def __enter__(self) -> Askers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(WITHIN_S)


def write_app(folder: Path, words: str) -> None:
    (folder / "rolling.py").write_text(APP.format(size=len(words), words=words))


def test_no_request_is_lost_while_workers_roll(start: Start, tmp_path: Path) -> None:
    write_app(tmp_path, "version 0")
    served = start(*MANY, app="rolling:app", cwd=tmp_path)
    with Askers(served.port()) as askers:
        wait_until(lambda: b"version 0" in askers.answers, "the first answers")
        for number in range(1, RELOADS + 1):
            write_app(tmp_path, f"version {number}")
            served.server.signal(signal.SIGHUP)
            wait_until(lambda: askers.failures or b"version %d" % number in askers.answers, "a newer version")  # noqa: B023
    assert askers.failures == []
    assert set(askers.answers) == {b"version %d" % number for number in range(RELOADS + 1)}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_was_begun_is_finished_before_the_end(start: Start, scheme: str) -> None:
    served = start()
    with wire_to(served, scheme) as busy, wire_to(served, scheme) as waiting:
        waiting.say(get(b"/hello"))
        assert waiting.answer().body == b"hello"
        busy.say(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert busy.answer().status == 100  # so it has begun
        served.server.signal(signal.SIGTERM)
        assert waiting.is_over()  # without a word: it owes nobody an answer
        busy.say(b"hello")
        assert b"hello" in busy.reader.read()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", served.port(scheme)), WITHIN_S)
    assert served.server.wait() == 0


def test_who_talks_over_a_websocket_is_told_to_go(start: Start) -> None:
    served = start()
    with connect(served.url(scheme="ws"), open_timeout=WITHIN_S, proxy=None) as talk:
        talk.send("words")
        assert talk.recv(WITHIN_S) == "words"
        served.server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as ended:
            talk.recv(WITHIN_S)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1012  # service restart, RFC 6455's registry
    assert served.server.wait() == 0
