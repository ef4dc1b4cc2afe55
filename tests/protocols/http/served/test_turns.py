"""The turns of a server's life: what cannot be served, beginning, reload and stop, with requests on their way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as speak

from support.client import connect, read_exactly, read_to_end
from support.server import Server
from support.server import portside as run_portside
from support.waiting import WITHIN_S, wait_until

Asgi = Callable[..., Server]
Client = Callable[..., httpx.Client]

HERE = Path(__file__).parent / "applications"
GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


def talk_to(server: Server, path: str = "/chat", **options: object) -> ClientConnection:
    options.setdefault("proxy", None)
    return speak(f"ws://127.0.0.1:{server.port}{path}", open_timeout=WITHIN_S, close_timeout=WITHIN_S, **options)  # type: ignore[arg-type]


# ── what cannot be served ────────────────────────────────────────────────────────────────────────────────────────────

WRONG = {
    ("plain:ap",): "plain has no 'ap'; did you mean app?",
    ("plane:app",): "there is no module 'plane'",
    ("plain.py",): "'plain.py' names nothing: write MODULE:NAME, such as plain:handler",
    (): "which application? Name it as MODULE:NAME",
    ("plain:wsgi",): "is no ASGI application: it looks like WSGI",
    ("plain:Version2",): "is a class: name an instance, or say --factory",
    ("plain:not_callable",): "is no application: nothing that can be called",
    ("plain:make",): "is no ASGI application: if it makes one, say --factory",
    ("plain:app", "--factory"): "plain:app() failed: TypeError",
    ("plain:app", "--model", "thread"): "need an event loop: use --model event, not thread",
    ("plain:app", "--root-path", "shop"): "the root path 'shop' does not begin with a slash",
    ("plain:app", "--forwarded-from", "everybody"): "'everybody' is not a network",
    ("plain:app", "--lifespan", "maybe"): "is none of auto, on, off",
}


@pytest.mark.parametrize(("arguments", "sentence"), WRONG.items(), ids=[" ".join(words) for words in WRONG])
def test_what_cannot_be_served_is_said_at_the_start(arguments: tuple[str, ...], sentence: str) -> None:
    done = run_portside("serve", "asgi", *arguments, "--listen", "tcp://127.0.0.1:0", cwd=HERE)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_check_finds_it_too(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_bytes((HERE / "plain.py").read_bytes())
    (tmp_path / "portside.toml").write_text(
        '[service.shop]\nserve = "asgi"\napp = "plain:wsgi"\nlisten = ["tcp://127.0.0.1:0"]\n'
        '[service.good]\nserve = "asgi"\napp = "plain:make"\nfactory = true\nlisten = ["tcp://127.0.0.1:0"]\n'
        'forwarded_from = ["10.0.0.0/8", "unix"]\nbody_max = "1MB"\n'
    )
    done = run_portside("check", cwd=tmp_path)
    assert done.returncode == 2
    assert "it looks like WSGI" in done.stdout
    assert done.stdout.count("\n") == 1, done.stdout


def test_a_factory_is_called(asgi: Asgi, client: Client) -> None:
    with client(asgi("plain:make", "--factory")) as http:
        assert http.get("/x").text == "/x"


# ── beginning and end ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_application_begins_before_the_server_is_ready_and_ends_behind_the_last_request(asgi: Asgi) -> None:
    server = asgi("plain:app")
    assert server.lines[0] == "startup"
    with connect(server.at()) as visitor:
        visitor.sendall(GET % b"/slow")
        server.wait_for_line("slow begins")
        server.signal(signal.SIGTERM)
        assert read_to_end(visitor).endswith(b"slow but sure")
    assert server.wait() == 0
    assert "shutdown" in server.lines


def test_an_application_that_does_not_start_stops_the_server_with_its_reason(asgi: Asgi) -> None:
    server = asgi("plain:fails_to_start", listening=0)
    assert server.wait() == 3
    assert "the application did not start: the database is away" in server.said


def test_a_drain_finishes_requests_in_flight_and_closes_idle_connections(asgi: Asgi, loop: str) -> None:
    server = asgi("plain:app", loop=loop)
    with connect(server.at()) as busy, connect(server.at()) as idle, connect(server.at()) as half:
        idle.sendall(GET % b"/x")
        assert read_exactly(idle, 12) == b"HTTP/1.1 200"
        busy.sendall(GET % b"/slow")
        half.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        server.wait_for_line("slow begins")
        server.signal(signal.SIGTERM)
        assert read_to_end(idle).endswith(b"/x")
        half.sendall(b" you.")
        said = read_to_end(half)
        assert said.endswith(b"\r\n\r\nhello you.")
        assert b"connection: close" in said
        said = read_to_end(busy)
        assert said.endswith(b"slow but sure")
        assert b"connection: close" in said
    assert server.wait() == 0


def test_a_drain_has_an_end(asgi: Asgi) -> None:
    server = asgi("plain:app", "--drain", "300ms")
    with connect(server.at()) as waiting:
        waiting.sendall(GET % b"/wait")
        server.wait_for_line("waiting")
        server.signal(signal.SIGTERM)
        assert read_to_end(waiting) == b""
    assert server.wait() == 0
    assert "cut off 1 connection" in server.said


def test_a_reload_loses_no_request(asgi: Asgi, client: Client, tmp_path: Path) -> None:
    code = (HERE / "plain.py").read_text()
    (module := tmp_path / "plain.py").write_text(code)
    server = asgi("plain:app", cwd=tmp_path)
    answers: list[str] = []
    failures: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        with client(server) as http:
            while not stop.is_set():
                try:
                    answers.append(http.get("/x").text)
                except Exception as error:
                    failures.append(error)
                    return

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    wait_until(lambda: len(answers) > 20, "some answers")
    module.write_text(code.replace("path.encode()", "b'new ' + path.encode()"))
    server.signal(signal.SIGHUP)
    wait_until(lambda: answers[-3:] == ["new /x"] * 3, "answers of the new code on every connection")
    stop.set()
    for asker in askers:
        asker.join()
    assert failures == []
    assert set(answers) == {"/x", "new /x"}
    server.wait_for(lambda: server.lines.count("shutdown") == 1, "the old worker's end")


# ── WebSocket ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("application", ["plain:app", "star:app"])
def test_another_s_client_speaks_websocket(asgi: Asgi, loop: str, application: str) -> None:
    server = asgi(application, loop=loop)
    with talk_to(server, subprotocols=["chat", "other"]) as talk:
        assert talk.subprotocol == "chat"
        assert "permessage-deflate" in str(talk.response and talk.response.headers.get("Sec-WebSocket-Extensions"))
        for message in ("HELLO", "", "Ä" * 100_000):
            talk.send(message)
            assert talk.recv(WITHIN_S) == message
        assert talk.ping().wait(WITHIN_S)
        for number in range(200):
            talk.send(str(number))
        assert [talk.recv(WITHIN_S) for _ in range(200)] == [str(number) for number in range(200)]
        talk.close(4_000, "enough")
    if application == "plain:app":
        server.wait_for_line("closed with 4000")
    server.wait_for_record(event="connection", ended="done")


def test_without_compression(asgi: Asgi) -> None:
    with talk_to(asgi("plain:app", "--no-compression")) as talk:
        assert talk.response is not None
        assert "Sec-WebSocket-Extensions" not in talk.response.headers


def test_what_nobody_catches_of_a_client_s_leaving_is_no_failure(asgi: Asgi) -> None:
    server = asgi("star:app")
    with talk_to(server, "/stubborn"):
        pass
    server.wait_for_record(event="connection", ended="done")


def test_a_drain_sends_clients_away_with_a_code_that_lets_them_come_back(asgi: Asgi, loop: str) -> None:
    server = asgi("plain:app", loop=loop)
    with talk_to(server) as talk:
        talk.send("hello")
        assert talk.recv(WITHIN_S) == "hello"
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as caught:
            talk.recv(WITHIN_S)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012
    assert server.wait() == 0
    assert "closed with 1012" in server.lines


def test_a_reload_lets_clients_stay(asgi: Asgi) -> None:
    server = asgi("plain:app")
    with talk_to(server) as talk:
        server.signal(signal.SIGHUP)
        server.wait_for(lambda: server.lines.count("startup") == 2, "the new worker")
        talk.send("still here")
        assert talk.recv(WITHIN_S) == "still here"
    server.wait_for(lambda: server.lines.count("shutdown") == 1, "the old worker's end")


def test_a_client_that_is_silent_is_asked_and_left(asgi: Asgi) -> None:
    server = asgi("plain:app", "--ping", "200ms", "--limit-idle", "1s")
    with connect(server.at()) as mute:
        key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        mute.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + key + b"\r\n\r\n")
        said = read_to_end(mute)
    assert b"\x89\x08" in said, "a ping"
    assert b"\x88" in said.partition(b"\x89\x08")[2], "and a close"
    record = server.wait_for_record(event="connection", ended="timeout")
    assert "has not answered a ping" in record["detail"]
