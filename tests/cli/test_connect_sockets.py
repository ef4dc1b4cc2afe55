"""``portside connect`` over real sockets: pipes, terminals and files at one end, good and bad servers at the other."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import Certificates
from support.client import read_to_end, reset
from support.connecting import connect, echo, starting
from support.listener import Listener
from support.waiting import WITHIN_S

INPUT = b"hello\r\nworld\n" + bytes(range(256)) + b"no end"


# ── over sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_input_and_answer_are_bytes_over_tcp() -> None:
    with Listener(echo) as server:
        done = connect(server.url, stdin=INPUT)
    assert (done.returncode, done.stdout, done.stderr) == (0, INPUT, b"")


@pytest.mark.parametrize("abstract", [False, True])
def test_unix_sockets_by_path_and_by_name(tmp_path: Path, abstract: bool) -> None:
    path = f"@portside-test-{os.getpid()}-{tmp_path.name}" if abstract else str(tmp_path / "x.sock")
    with Listener(echo, path=path) as server:
        done = connect(server.url, stdin=INPUT)
    assert (done.returncode, done.stdout) == (0, INPUT)


def test_a_large_input_passes_through_little_memory(tmp_path: Path) -> None:
    with open(tmp_path / "in", "wb") as file:
        file.truncate(100_000_000)
    with (
        Listener(echo) as server,
        open(tmp_path / "in", "rb") as source,
        open(tmp_path / "out", "wb") as sink,
        starting(server.url, stdin=source, stdout=sink) as process,
    ):
        allow_little_memory(process.pid)
        assert process.wait(WITHIN_S) == 0
    assert (tmp_path / "out").stat().st_size == 100_000_000


def allow_little_memory(pid: int) -> None:
    """Let the process fail if it holds more than the interpreter and a few pieces of the 100 MB."""
    # The peak that wait4(2) tells would be of no use: it counts what this process held when it forked.
    resource.prlimit(pid, resource.RLIMIT_DATA, (80_000_000, 80_000_000))


def test_a_server_that_never_reads_costs_patience_and_no_memory(tmp_path: Path) -> None:
    over = threading.Event()
    with open(tmp_path / "in", "wb") as file:
        file.truncate(100_000_000)
    with Listener(lambda _: over.wait(WITHIN_S) and None) as server, open(tmp_path / "in", "rb") as source:
        with starting(server.url, "--timeout", "200ms", stdin=source) as process:
            assert process.stderr is not None
            allow_little_memory(process.pid)
            said = process.stderr.read()
            status = process.wait(WITHIN_S)
        over.set()
    assert (status, said) == (1, b"portside: nothing moved for 0.2 s\n")


def test_a_server_that_never_answers_is_given_up_after_the_timeout() -> None:
    over = threading.Event()
    with Listener(lambda _: over.wait(WITHIN_S) and None) as server:
        done = connect(server.url, "--timeout", "100ms", stdin=b"hello\n")
        over.set()
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"portside: nothing moved for 0.1 s\n")


def test_silence_is_no_timeout_while_the_input_goes_on() -> None:
    with Listener(echo) as server, starting(server.url, "--timeout", "50ms") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"one\n", b"two\n"):
            process.stdin.write(word)
            process.stdin.flush()
            assert process.stdout.readline() == word
            # Twice the timeout without a byte: the only way to see that nothing happens is to let it not happen.
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        process.stdin.close()
        assert process.wait(WITHIN_S) == 0


def test_the_end_of_the_server_is_the_end_though_the_input_is_open() -> None:
    def bye(connection: socket.socket) -> None:
        connection.sendall(b"bye\n")

    ours, theirs = os.openpty()
    for still_open in (subprocess.PIPE, theirs):
        with Listener(bye) as server, starting(server.url, stdin=still_open) as process:
            assert process.stdout is not None
            assert process.stdout.read() == b"bye\n"
            assert process.wait(WITHIN_S) == 0
    os.close(ours)
    os.close(theirs)


def test_the_rest_of_a_file_is_sent_though_the_server_has_ended_its_stream(tmp_path: Path) -> None:
    got: list[bytes] = []

    def half(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        got.append(read_to_end(connection))

    (tmp_path / "in").write_bytes(bytes(5_000_000))
    with Listener(half) as server, open(tmp_path / "in", "rb") as source, starting(server.url, stdin=source) as process:
        assert process.wait(WITHIN_S) == 0
    assert len(got[0]) == 5_000_000


def test_a_terminal_ends_its_input_with_control_d() -> None:
    with Listener(echo) as server:
        ours, theirs = os.openpty()
        with starting(server.url, stdin=theirs) as process:
            os.close(theirs)
            assert process.stdout is not None
            os.write(ours, b"hello\n")
            assert process.stdout.readline() == b"hello\n"
            os.write(ours, b"\x04")
            assert process.wait(WITHIN_S) == 0
        os.close(ours)


def test_an_interrupt_ends_it_without_a_word() -> None:
    with Listener(echo) as server, starting(server.url) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"x\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(WITHIN_S) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    def chatter(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"chatter\n" * 1_000)

    with Listener(chatter) as server, starting(server.url, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"chatter\n"
        process.stdout.close()
        assert process.wait(WITHIN_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_standard_input_may_be_missing() -> None:
    def bye(connection: socket.socket) -> None:
        connection.sendall(b"%d bytes\n" % len(read_to_end(connection)))

    with Listener(bye) as server, starting(server.url, stdin=None, preexec_fn=lambda: os.close(0)) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"0 bytes\n"
        assert process.wait(WITHIN_S) == 0


def test_a_reset_is_one_sentence() -> None:
    def rude(connection: socket.socket) -> None:
        connection.recv(1)
        reset(connection)

    with Listener(rude) as server:
        done = connect(server.url, stdin=b"hello")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"portside: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:{port}", "unix:/nowhere/x.sock", "unix:@portside-nobody"])
def test_nobody_there_is_one_sentence(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = connect(url.format(port=port))
    assert (done.returncode, done.stdout) == (1, b"")
    assert re.fullmatch(rb"portside: [^\n]*\n", done.stderr), done.stderr


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tls_is_verified(certificates: Certificates) -> None:
    with Listener(echo, tls=certificates.server_context(certificates.issue("127.0.0.1"))) as server:
        url = server.url.replace("tcp:", "tls:")
        trusted = connect(url, "--tls-ca", str(certificates.ca), stdin=INPUT)
        by_option = connect(server.url, "--tls", "--tls-ca", str(certificates.ca), stdin=INPUT)
        stranger = connect(url, stdin=INPUT)
        insecure = connect(url, "--tls-insecure", stdin=INPUT)
        other_name = connect(url, "--tls-ca", str(certificates.ca), "--server-name", "other.example", stdin=INPUT)
    assert (trusted.returncode, trusted.stdout, trusted.stderr) == (0, INPUT, b"")
    assert (by_option.returncode, by_option.stdout) == (0, INPUT)
    assert (insecure.returncode, insecure.stdout) == (0, INPUT)
    assert (stranger.returncode, other_name.returncode) == (1, 1)
    assert b"cannot be verified" in stranger.stderr
    assert b"other.example" in other_name.stderr


def test_tls_over_a_unix_socket_asks_for_the_name_it_is_told(certificates: Certificates, tmp_path: Path) -> None:
    path = str(tmp_path / "x.sock")
    with Listener(echo, path=path, tls=certificates.server_context(certificates.issue("inner.example"))) as server:
        named = ("--tls", "--tls-ca", str(certificates.ca), "--server-name", "inner.example")
        done = connect(server.url, *named, stdin=INPUT)
    assert (done.returncode, done.stdout) == (0, INPUT)


def test_json_tells_what_tls_agreed_on(certificates: Certificates) -> None:
    with Listener(echo, tls=certificates.server_context(certificates.issue("127.0.0.1"))) as server:
        done = connect(server.url, "--tls", "--tls-insecure", "--json", stdin=b"x")
    assert json.loads(done.stdout.splitlines()[0])["tls"]["version"] == "TLSv1.3"


# ── UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def udp_echo() -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while (received := sock.recvfrom(1 << 16))[0] != b"stop":
                sock.sendto(*received)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"udp://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
                stop.sendto(b"stop", sock.getsockname())
            thread.join(WITHIN_S)


def test_each_line_is_a_datagram() -> None:
    with udp_echo() as url:
        done = connect(url, "--timeout", "200ms", stdin=b"one\ntwo\r\n\nlast")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"one\ntwo\r\n\nlast\n", b"")


def test_datagrams_are_dumped_one_by_one() -> None:
    with udp_echo() as url, starting(url, "--hex", "--timeout", "200ms") as process:
        assert process.stdin is not None
        process.stdin.write(b"one\n")
        process.stdin.close()
        assert process.stdout is not None
        assert [line[:24] for line in process.stdout.read().decode().splitlines()] == [
            "> 00000000  6f 6e 65    ",
            "< 00000000  6f 6e 65    ",
        ]


def test_answers_come_while_the_input_goes_on() -> None:
    with udp_echo() as url, starting(url, "--timeout", "50ms") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"one\n", b"two\n"):
            process.stdin.write(word)
            process.stdin.flush()
            assert process.stdout.readline() == word
        process.stdin.close()
        assert process.wait(WITHIN_S) == 0


def test_a_port_where_nobody_is_refuses_datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    done = connect(f"udp://127.0.0.1:{port}", stdin=b"anybody?\n")
    assert done.returncode == 1
    assert b"refused" in done.stderr


def test_a_line_that_fits_no_datagram_is_said_so() -> None:
    with udp_echo() as url:
        done = connect(url, stdin=bytes(65_508) + b"\n")
    assert done.returncode == 2
    assert b"at most 65507 can be sent" in done.stderr
