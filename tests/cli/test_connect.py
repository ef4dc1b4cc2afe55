"""``portside connect``: both directions to their end, whatever is at either end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import parse_endpoint
from portside.cli.client import parse_target
from portside.cli.connect import HexDump, Wishes, show_datagram, show_json, talk, with_crlf
from portside.cli.duplex import Sink, Source
from portside.contracts import Connection
from portside.errors import ConnectionLost, UsageError
from portside.protocols import small
from portside.testing.memory import MemoryNetwork
from support.certificates import Certificates
from support.client import read_to_end, reset
from support.listener import Listener
from support.server import environment
from support.waiting import WITHIN_S

INPUT = b"hello\r\nworld\n" + bytes(range(256)) + b"no end"


def connect(*arguments: str, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end with its input from a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "portside", "connect", *arguments],
        input=stdin,
        env=environment(),
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
        **options,
    )


@contextlib.contextmanager
def starting(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command with pipes; it is gone when the block ends."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(
        [sys.executable, "-m", "portside", "connect", *arguments], env=environment(), **{**pipes, **options}
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(1 << 16):
        connection.sendall(data)


# ── in memory ────────────────────────────────────────────────────────────────────────────────────────────────────────


def visit(handler: Callable[[Connection], Any], said: bytes, tmp_path: Path, **wishes: Any) -> bytes:
    """Return what a client in a world with only this handler prints, when it says that much and ends."""
    (tmp_path / "in").write_bytes(said)

    async def meet() -> None:
        network = MemoryNetwork()
        endpoint = parse_endpoint("tcp://192.0.2.1:9000")
        listener = await network.listen(endpoint)

        async def serve() -> None:
            async with await listener.accept() as visitor:
                await handler(visitor)

        talking = talk(network, endpoint, Source(source.fileno()), Sink(sink.fileno()), Wishes(**wishes))
        await asyncio.gather(talking, serve())

    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as sink:
        asyncio.run(meet())
    return (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_what_goes_in_comes_back_from_an_echo(tmp_path: Path, size: int) -> None:
    said = bytes(range(251)) * (size // 251 + 1)
    assert visit(small.echo, said[:size], tmp_path) == said[:size]


def test_the_rest_is_waited_for_after_the_end_of_the_input(tmp_path: Path) -> None:
    async def late(visitor: Connection) -> None:
        said = [piece async for piece in visitor]
        await visitor.network.sleep(0.01)
        await visitor.write(b"you said ", *said)

    assert visit(late, b"hello", tmp_path) == b"you said hello"


def test_an_answer_before_the_question_is_printed(tmp_path: Path) -> None:
    assert visit(small.daytime_battery(clock=lambda: 0.0).stream, b"", tmp_path) == (  # type: ignore[arg-type]
        b"Thursday, January 1, 1970 00:00:00-UTC\r\n"
    )


def test_lines_are_ended_as_asked(tmp_path: Path) -> None:
    assert visit(small.echo, b"a\nb\r\nc\rd\n\ne", tmp_path, crlf=True) == b"a\r\nb\r\nc\rd\r\n\r\ne"


def test_a_dump_shows_both_directions(tmp_path: Path) -> None:
    async def answer(visitor: Connection) -> None:
        await visitor.read_line()
        await visitor.write(bytes(range(16)), b"!")

    assert visit(answer, b"hi\n", tmp_path, show=HexDump()).decode() == (
        "> 00000000  68 69 0a                                          |hi.|\n"
        "< 00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|\n"
        "< 00000010  21                                                |!|\n"
    )


def test_json_tells_the_whole_story(tmp_path: Path) -> None:
    lines = visit(small.echo, b"h\xc3\xa9\n", tmp_path, show=show_json).splitlines()
    connected, sent, received, closed = (json.loads(line) for line in lines)
    assert {**connected, "time": 0} == {
        "event": "connected",
        "time": 0,
        "local": {"host": "198.51.100.7", "port": connected["local"]["port"]},
        "peer": {"host": "192.0.2.1", "port": 9000},
        "tls": None,
    }
    assert {**sent, "time": 0} == {"event": "sent", "time": 0, "bytes": 4, "text": "hé\n", "hex": None}
    assert {**received, "event": "sent", "time": 0} == {**sent, "time": 0}
    assert (closed["event"], closed["bytes_in"], closed["bytes_out"]) == ("closed", 4, 4)
    assert 0 <= closed["duration"] < WITHIN_S


def test_a_server_that_breaks_the_connection_is_an_error(tmp_path: Path) -> None:
    async def rude(visitor: Connection) -> None:
        await visitor.read()
        visitor.abort()

    with pytest.raises(ConnectionLost):
        visit(rude, b"hello", tmp_path)


# ── what is shown and read ───────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.text("\r\nx", max_size=5).map(str.encode)))
def test_crlf_does_not_depend_on_how_the_input_is_cut(pieces: list[bytes]) -> None:
    async def cut() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def sent() -> bytes:
        return b"".join([piece async for piece in with_crlf(cut())])

    assert asyncio.run(sent()) == re.sub(rb"(?<!\r)\n", b"\r\n", b"".join(pieces))


@given(st.lists(st.tuples(st.sampled_from(["in", "out"]), st.binary(max_size=40))))
def test_a_dump_can_be_read_back(said: list[tuple[Any, bytes]]) -> None:
    dump = HexDump()
    text = b"".join(dump(direction, data) for direction, data in said).decode("ascii")
    for direction, mark in (("in", "<"), ("out", ">")):
        rows = [line for line in text.splitlines() if line.startswith(mark)]
        whole = b"".join(data for way, data in said if way == direction)
        assert b"".join(bytes.fromhex(row[12:60]) for row in rows) == whole
        assert all(row[60:63] == "  |" for row in rows)


@pytest.mark.parametrize(("data", "shown"), [(b"a", b"a\n"), (b"a\r\n", b"a\r\n"), (b"", b"\n"), (b"a\n\n", b"a\n\n")])
def test_a_datagram_is_printed_as_a_line(data: bytes, shown: bytes) -> None:
    assert show_datagram("in", data) == shown
    assert show_datagram("out", data) == b""


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (":9000", "tcp://localhost:9000"),
        ("0.0.0.0:1", "tcp://localhost:1"),
        ("udp://[::]:1", "udp://localhost:1"),
        ("example.org:25", "tcp://example.org:25"),
        ("unix:@name", "unix:@name"),
    ],
)
def test_a_target_is_a_place_to_connect_to(text: str, target: str) -> None:
    assert str(parse_target(text)) == target


@pytest.mark.parametrize("text", ["fd://3", "systemd://", "localhost:0", "localhost", "tcp://"])
def test_what_nobody_can_connect_to_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


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
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert (tmp_path / "out").stat().st_size == 100_000_000
    assert usage.ru_maxrss < 80_000  # KiB: the interpreter and a few pieces


def test_a_server_that_never_reads_costs_patience_and_no_memory(tmp_path: Path) -> None:
    over = threading.Event()
    with open(tmp_path / "in", "wb") as file:
        file.truncate(100_000_000)
    with Listener(lambda _: over.wait(WITHIN_S) and None) as server, open(tmp_path / "in", "rb") as source:
        with starting(server.url, "--timeout", "200ms", stdin=source) as process:
            assert process.stderr is not None
            said = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        over.set()
    assert (process.returncode, said) == (1, b"portside: nothing moved for 0.2 s\n")
    assert usage.ru_maxrss < 80_000


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tcq://localhost:1",), "did you mean tcp?"),
        (("localhost",), "the port is missing"),
        (("fd://3",), "nobody can connect to fd://3"),
        (("udp://localhost:1", "--crlf"), "a datagram has no end of line"),
        (("udp://localhost:1", "--tls"), "there is no TLS over UDP here"),
        (("localhost:1", "--hex", "--json"), "give one of them"),
        (("localhost:1", "--tls-insecure"), "need --tls or a tls:// URL"),
        (("localhost:1", "--server-name", "x"), "needs --tls or a tls:// URL"),
        (("tls://localhost:1", "--tls-ca", "/nowhere.pem"), "/nowhere.pem"),
        (("localhost:1", "--timeout", "soon"), "not a duration"),
        (("localhost:1", "--timeout", "0"), "more than 0"),
    ],
)
def test_what_cannot_be_meant_is_said_with_status_2(arguments: tuple[str, ...], said: str) -> None:
    done = connect(*arguments)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def server_context(certificates: Certificates, *names: str) -> Any:
    import ssl

    issued = certificates.issue(*names, to=f"connect-{names[0]}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.chain, issued.key)
    return context


def test_tls_is_verified(certificates: Certificates) -> None:
    with Listener(echo, tls=server_context(certificates, "127.0.0.1")) as server:
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
    with Listener(echo, path=path, tls=server_context(certificates, "inner.example")) as server:
        named = ("--tls", "--tls-ca", str(certificates.ca), "--server-name", "inner.example")
        done = connect(server.url, *named, stdin=INPUT)
    assert (done.returncode, done.stdout) == (0, INPUT)


def test_json_tells_what_tls_agreed_on(certificates: Certificates) -> None:
    with Listener(echo, tls=server_context(certificates, "127.0.0.1")) as server:
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
