"""TLS over blocking sockets of a host: what ``ssl`` promises of ``SSLSocket``."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.two_hosts import PORT, SERVER, client_tls, server_tls, world_of_two

Talk = Callable[[ssl.SSLSocket], Any]


def echo(conn: ssl.SSLSocket) -> None:
    while data := conn.recv(65_536):
        conn.sendall(data)
    conn.unwrap()


def meet(serve: Callable[[], Any], connect: Callable[[], Any], loss: str = "0%") -> tuple[Any, Any]:
    """Run two blocking programs, of the server and of the client; return what the client's and the server's return."""

    async def main() -> tuple[Any, Any]:
        serving = world[SERVER].run_blocking(serve)
        visited = await world["client"].run_blocking(connect)
        return visited, await serving

    with world_of_two(1, loss) as world:
        return world.play(main(), limit="10min")


def talk(visit: Talk, handle: Talk = echo, *, loss: str = "0%") -> Any:
    """Run a blocking client against a blocking server of one connection."""

    def serve() -> None:
        with socket.create_server(("", PORT)) as listener:
            conn, _ = listener.accept()
            with server_tls().wrap_socket(conn, server_side=True) as secured:
                handle(secured)

    def connect() -> Any:
        with socket.create_connection((SERVER, PORT), timeout=60) as plain:
            assert isinstance(plain, socket.socket)
            with client_tls().wrap_socket(plain, server_hostname=SERVER) as secured:
                assert isinstance(secured, ssl.SSLSocket)
                return visit(secured)

    return meet(serve, connect, loss)[0]


@pytest.mark.parametrize("loss", ["0%", "2%"])
def test_all_that_is_said_comes_back_and_both_say_goodbye(loss: str) -> None:
    data = bytes(range(256)) * 2_000

    def visit(secured: ssl.SSLSocket) -> bytes:
        sender = threading.Thread(target=secured.sendall, args=(data,))
        sender.start()
        got = b""
        while len(got) < len(data):
            got += secured.recv(100_000)
        sender.join()
        secured.unwrap()
        return got

    assert talk(visit, loss=loss) == data


def test_what_was_agreed_can_be_asked() -> None:
    def visit(secured: ssl.SSLSocket) -> None:
        assert secured.version() == "TLSv1.3"
        assert secured.cipher()[1] == "TLSv1.3"  # type: ignore[index]
        assert ("DNS", SERVER) in secured.getpeercert()["subjectAltName"]  # type: ignore[index,operator]
        assert isinstance(secured.getpeercert(binary_form=True), bytes)
        assert secured.selected_alpn_protocol() is None
        assert secured.server_hostname == SERVER
        assert not secured.server_side
        assert secured.context.check_hostname
        assert secured.getpeername()[1] == PORT
        assert secured.gettimeout() == 60
        assert secured.pending() == 0
        assert secured.family == socket.AF_INET
        secured.unwrap()

    talk(visit)


def test_lines_can_be_read_as_from_a_file() -> None:
    def visit(secured: ssl.SSLSocket) -> list[bytes]:
        with secured.makefile("rwb") as file:
            file.write(b"one\ntwo\nthree\n")
            file.flush()
            lines = [file.readline() for _ in range(3)]
        secured.unwrap()
        return lines

    assert talk(visit) == [b"one\n", b"two\n", b"three\n"]


def test_a_certificate_of_somebody_else_is_refused_and_the_peer_is_told() -> None:
    told: list[str] = []

    def serve() -> None:
        with socket.create_server(("", PORT)) as listener:
            conn, _ = listener.accept()
            with pytest.raises(ssl.SSLError) as caught:
                server_tls().wrap_socket(conn, server_side=True).recv(1)
            told.append(caught.value.reason)

    def connect() -> None:
        with socket.create_connection((SERVER, PORT)) as plain:
            with pytest.raises(ssl.SSLCertVerificationError):
                ssl.create_default_context().wrap_socket(plain, server_hostname=SERVER)
            assert plain.fileno() == -1

    meet(serve, connect)
    assert told == ["TLSV1_ALERT_UNKNOWN_CA"]


def test_the_secured_socket_takes_the_place_of_the_one_it_was_made_of() -> None:
    def serve() -> bytes:
        with socket.create_server(("", PORT)) as listener:
            conn, _ = listener.accept()
            with server_tls().wrap_socket(conn, server_side=True) as secured:
                return secured.recv(10)

    def connect() -> None:
        with socket.create_connection((SERVER, PORT)) as plain:
            plain.settimeout(7)
            secured = client_tls().wrap_socket(plain, server_hostname=SERVER)
            assert plain.fileno() == -1
            with pytest.raises(OSError, match="not connected"):
                plain.send(b"in the clear")
        assert secured.gettimeout() == 7
        secured.sendall(b"hello")  # whoever has closed the one below has closed nothing of this
        secured.close()

    assert meet(serve, connect)[1] == b"hello"


def test_a_peer_that_speaks_no_tls_is_let_go() -> None:
    def serve() -> None:
        with socket.create_server(("", PORT)) as listener:
            conn, _ = listener.accept()
            with pytest.raises(ssl.SSLError):
                server_tls().wrap_socket(conn, server_side=True)

    def connect() -> bytes:
        with socket.create_connection((SERVER, PORT), timeout=60) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            answer = b""
            while data := plain.recv(1_000):
                answer += data
            return answer

    meet(serve, connect)  # it ends: the connection was not left open


def test_who_waits_too_long_is_told() -> None:
    def visit(secured: ssl.SSLSocket) -> float:
        secured.settimeout(5)
        began_s = time.monotonic()
        with pytest.raises(TimeoutError, match="timed out"):
            secured.recv(1)
        passed_s = time.monotonic() - began_s
        secured.settimeout(None)
        secured.unwrap()
        return passed_s

    assert talk(visit) == 5.0


def test_an_end_without_goodbye_is_the_end_of_the_stream_unless_one_asks() -> None:
    def rude(conn: ssl.SSLSocket) -> None:
        conn.sendall(b"hello")
        conn.close()

    def visit(secured: ssl.SSLSocket) -> tuple[bytes, bytes]:
        return secured.recv(10), secured.recv(10)

    assert talk(visit, rude) == (b"hello", b"")

    def strict(secured: ssl.SSLSocket) -> None:
        secured.suppress_ragged_eofs = False
        assert secured.recv(10) == b"hello"
        with pytest.raises(ssl.SSLEOFError):
            secured.recv(10)

    talk(strict, rude)


def test_without_blocking_it_says_what_it_waits_for() -> None:
    def visit(secured: ssl.SSLSocket) -> bytes:
        secured.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            secured.recv(10)

        def send_for_ever() -> None:
            while True:
                secured.send(bytes(1_000_000))

        with pytest.raises(ssl.SSLWantWriteError):
            send_for_ever()
        secured.setblocking(True)
        return b"done"

    def stuck(conn: ssl.SSLSocket) -> None:
        time.sleep(60)

    assert talk(visit, stuck) == b"done"


def test_after_the_goodbye_the_socket_goes_on_in_the_clear() -> None:
    def handle(conn: ssl.SSLSocket) -> None:
        assert conn.recv(10) == b"secret"
        plain = conn.unwrap()
        plain.sendall(b"open")

    def visit(secured: ssl.SSLSocket) -> tuple[Any, bytes]:
        secured.sendall(b"secret")
        assert secured.recv(10) == b""
        plain = secured.unwrap()
        return secured.version(), plain.recv(10)

    assert talk(visit, handle) == (None, b"open")


def test_a_listener_may_be_secured_and_a_socket_before_it_connects() -> None:
    def serve() -> bytes:
        with server_tls().wrap_socket(socket.create_server(("", PORT)), server_side=True) as listener:
            conn, address = listener.accept()
            assert address[0] == "10.0.1.2"
            with conn:
                return conn.recv(100)

    def connect() -> None:
        with client_tls().wrap_socket(socket.socket(), server_hostname=SERVER) as secured:
            with pytest.raises(OSError, match="not connected"):
                secured.getpeername()
            secured.connect((SERVER, PORT))
            secured.sendall(b"hello")
            with pytest.raises(ValueError, match="already-connected"):
                secured.connect((SERVER, PORT))

    assert meet(serve, connect)[1] == b"hello"


def test_what_makes_no_sense_is_refused() -> None:
    def visit(secured: ssl.SSLSocket) -> None:
        for refused in (secured.sendto, secured.recvfrom):
            with pytest.raises(ValueError, match="not allowed"):
                refused(b"x", 1)
        for also_refused in (secured.recvmsg, secured.sendmsg, secured.dup):
            with pytest.raises(NotImplementedError):
                also_refused()
        with pytest.raises(ValueError, match="non-zero flags"):
            secured.recv(1, socket.MSG_PEEK)
        with pytest.raises(ValueError, match="check_hostname requires"):
            client_tls().wrap_socket(socket.socket())
        secured.unwrap()

    talk(visit)
