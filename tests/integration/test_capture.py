"""``portside capture SERVICE``: what the connections of a running server say, as packets that others can follow."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from portside.cli.capture_files import read_items
from portside.wire.captured import CapturedPacket
from portside.wire.ipv4 import parse_ipv4
from portside.wire.tcp import Flags, Segment, parse_tcp
from support.certificates import Certificates
from support.client import connect, exchange, read_exactly, reset
from support.peers import program
from support.server import COMMAND, Server, environment, portside

Serve = Callable[..., Server]
Listen = Callable[..., Server]
BULK = bytes(range(251)) * 8_000  # two megabytes
CHECKS = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
FAULTS = "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0 || udp.checksum.status == 0"


class Captured:
    """A capture into a file, while it lasts and afterwards."""

    def __init__(self, serve: Serve, control: Path, *options: str) -> None:
        self.file = control.with_name("out.pcapng")
        self._running = serve("capture", "--control", str(control), "-w", str(self.file), *options, listening=0)
        self._running.wait_for_line("capturing ")

    def end(self, server: Server) -> list[CapturedPacket]:
        """Stop the server, with which the capture ends by itself, and return the packets."""
        server.stop()
        assert self._running.wait() == 0, self._running.said
        return [item for item in read_items(str(self.file)) if isinstance(item, CapturedPacket)]

    def interrupt(self) -> None:
        self._running.signal(signal.SIGINT)
        assert self._running.wait() == 0, self._running.said

    def tshark(self, *arguments: str) -> str:
        command = [program("tshark"), "-n", "-r", str(self.file), *CHECKS, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    def followed(self, stream: int) -> tuple[bytes, bytes]:
        """Return what tshark follows of a stream: what the client said, and what the server did."""
        lines = self.tshark("-q", "-z", f"follow,tcp,raw,{stream}").splitlines()
        data = [line for line in lines if re.fullmatch(r"\t?[0-9a-f]+", line)]
        theirs = "".join(line for line in data if not line.startswith("\t"))
        return bytes.fromhex(theirs), bytes.fromhex("".join(line[1:] for line in data if line.startswith("\t")))


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "control"


@pytest.fixture
def echo(serve: Serve, control: Path) -> Listen:
    def start(*options: str, listen: str = "tcp://127.0.0.1:0") -> Server:
        return serve("serve", "echo", "--listen", listen, "--control", str(control), *options)

    return start


@pytest.fixture
def capture(serve: Serve, control: Path) -> Callable[..., Captured]:
    return lambda *options: Captured(serve, control, *options)


def segments(packets: list[CapturedPacket]) -> list[Segment]:
    found = []
    for packet in packets:
        four = parse_ipv4(packet.data, verify=True)
        found.append(parse_tcp(four.payload, source=four.source, target=four.target))
    return found


def said(packets: list[CapturedPacket], way: str) -> bytes:
    """Return what all segments of a capture of one connection carry that way."""
    both = zip(packets, segments(packets), strict=True)
    return b"".join(segment.payload for packet, segment in both if packet.direction == way)


@pytest.mark.parametrize("model", ["iterative", "fork", "prefork", "thread", "prethread", "event"])
def test_a_connection_is_captured_under_every_model(echo: Listen, capture: Callable[..., Captured], model: str) -> None:
    server = echo("--model", model)
    captured = capture("echo")
    assert exchange(server.at(), b"hello") == b"hello"
    packets = captured.end(server)
    assert said(packets, "in") == said(packets, "out") == b"hello"
    flags = [segment.flags for segment in segments(packets)]
    assert flags[:3] == [Flags.SYN, Flags.SYN | Flags.ACK, Flags.ACK]
    assert sum(bool(each & Flags.FIN) for each in flags) == 2
    assert {segment.source_port for segment in segments(packets)} > {server.port}


@pytest.mark.parametrize("model", ["thread", "event"])
def test_a_connection_that_stands_is_captured_from_there_on(
    echo: Listen, capture: Callable[..., Captured], model: str
) -> None:
    server = echo("--model", model)
    with connect(server.at()) as visitor:
        visitor.sendall(b"before")
        assert read_exactly(visitor, 6) == b"before"
        captured = capture("echo")
        visitor.sendall(b"after")
        assert read_exactly(visitor, 5) == b"after"
    packets = captured.end(server)
    assert said(packets, "in") == said(packets, "out") == b"after"
    assert any("stood before the capture" in comment for comment in packets[0].comments)


def test_nothing_is_captured_any_more_once_nobody_listens(echo: Listen, capture: Callable[..., Captured]) -> None:
    server = echo()
    with connect(server.at()) as visitor:
        captured = capture("echo")
        visitor.sendall(b"heard")
        assert read_exactly(visitor, 5) == b"heard"
        captured.interrupt()
        visitor.sendall(b"unheard")
        assert read_exactly(visitor, 7) == b"unheard"
    again = capture("echo")
    assert exchange(server.at(), b"anew") == b"anew"
    assert said(again.end(server), "in") == b"anew"


def test_tshark_follows_what_was_said_without_a_complaint(echo: Listen, capture: Callable[..., Captured]) -> None:
    server = echo()
    captured = capture("echo")
    assert exchange(server.at(), BULK) == BULK
    with connect(server.at()) as visitor:
        visitor.sendall(b"bye")
        assert read_exactly(visitor, 3) == b"bye"
        reset(visitor)
    captured.end(server)
    assert captured.tshark("-Y", FAULTS) == ""
    assert captured.tshark("-Y", "tcp.analysis.flags && !tcp.analysis.keep_alive") == ""
    assert captured.followed(0) == (BULK, BULK)
    assert captured.followed(1) == (b"bye", b"bye")
    assert "RST" in captured.tshark("-Y", "tcp.stream == 1")


def test_what_is_said_under_tls_is_captured_in_the_clear(
    echo: Listen, capture: Callable[..., Captured], certificates: Certificates
) -> None:
    issued = certificates.issue("localhost")
    server = echo("--tls-cert", str(issued.chain), "--tls-key", str(issued.key), listen="tls://127.0.0.1:0")
    captured = capture("echo")
    plain = connect(server.at())
    with certificates.client_context().wrap_socket(plain, server_hostname="localhost") as visitor:
        visitor.sendall(b"secret")
        assert visitor.recv(9) == b"secret"
        assert isinstance(visitor, ssl.SSLSocket)
    packets = captured.end(server)
    assert said(packets, "in") == said(packets, "out") == b"secret"
    assert any("TLSv1.3 taken off" in comment for comment in packets[0].comments)


def test_ftp_is_captured_with_its_data_connections(
    serve: Serve, control: Path, capture: Callable[..., Captured], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "bulk").write_bytes(BULK)
    server = serve("serve", "ftp", str(root), "--listen", "tcp://127.0.0.1:0", "--control", str(control))
    captured = capture("ftp")
    url = f"ftp://127.0.0.1:{server.port}/bulk"
    got = subprocess.run([program("curl"), "-sS", url], capture_output=True, timeout=60, check=True).stdout
    assert got == BULK
    captured.end(server)
    is_ftp = ("-d", f"tcp.port=={server.port},ftp")
    assert "226" in captured.tshark(*is_ftp, "-Y", "ftp.response.code == 226")
    assert captured.tshark(*is_ftp, "-Y", "ftp-data").count("FTP-DATA") > len(BULK) // 1_460
    assert captured.followed(1) == (b"", BULK)
    assert captured.tshark("-Y", FAULTS) == ""


@pytest.mark.parametrize("model", ["fork", "thread", "event"])
def test_datagrams_are_captured_with_their_answers(echo: Listen, capture: Callable[..., Captured], model: str) -> None:
    server = echo("--model", model, listen="udp://127.0.0.1:0")
    captured = capture("echo")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(20)
        asking.connect((server.at().host, server.port))
        asking.send(b"ping")
        assert asking.recv(9) == b"ping"
    packets = captured.end(server)
    assert [(packet.direction, packet.data[28:]) for packet in packets] == [("in", b"ping"), ("out", b"ping")]
    assert captured.tshark("-Y", FAULTS) == ""


def test_ftp_uploads_are_captured_where_the_kernel_moves_them(
    serve: Serve, control: Path, capture: Callable[..., Captured], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "bulk").write_bytes(BULK)
    options = ("--login", "ann:let-me-in", "--control", str(control), "--model", "thread")
    server = serve("serve", "ftp", str(root), "--listen", "tcp://[::1]:0", *options)
    captured = capture("ftp")
    command = [
        program("curl"),
        "-sS",
        "-g",
        "-u",
        "ann:let-me-in",
        "-T",
        str(tmp_path / "bulk"),
        f"ftp://[::1]:{server.port}/",
    ]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert (root / "bulk").read_bytes() == BULK
    captured.end(server)
    assert captured.followed(1) == (BULK, b"")
    assert captured.tshark("-Y", FAULTS) == ""


def test_a_capture_may_go_to_standard_output(echo: Listen, control: Path) -> None:
    server = echo(listen=f"unix:{control.with_name('echo')}")
    command = [*COMMAND, "capture", "echo", "--control", str(control), "-w", "-"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as running,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(running.kill)
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stderr.readline().startswith(b"capturing echo")
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.connect(str(control.with_name("echo")))
            visitor.sendall(b"over a path")
            assert read_exactly(visitor, 11) == b"over a path"
        server.stop()
        file = control.with_name("piped")
        file.write_bytes(running.stdout.read())
        assert running.wait(20) == 0
    packets = [item for item in read_items(str(file)) if isinstance(item, CapturedPacket)]
    assert said(packets, "in") == said(packets, "out") == b"over a path"
    assert any("made up" in comment for comment in packets[0].comments)


def test_workers_that_come_with_a_reload_capture_too(echo: Listen, capture: Callable[..., Captured]) -> None:
    server = echo("--workers", "2")
    captured = capture("echo")
    server.signal(signal.SIGHUP)
    server.wait_for_line("new workers have taken over")
    for _ in range(4):
        assert exchange(server.at(), b"again") == b"again"
    assert said(captured.end(server), "in") == b"again" * 4


def test_peers_may_be_chosen(echo: Listen, capture: Callable[..., Captured]) -> None:
    server = echo()
    captured = capture("echo", "--peer", "192.0.2.0/24", "--peer", "127.0.0.2")
    assert exchange(server.at(), b"no") == b"no"
    assert exchange(server.at(), b"yes", source="127.0.0.2") == b"yes"
    assert said(captured.end(server), "in") == b"yes"


def test_one_connection_may_be_chosen(echo: Listen, control: Path, capture: Callable[..., Captured]) -> None:
    server = echo()
    with connect(server.at()) as visitor, connect(server.at()) as other:
        for each in (visitor, other):
            each.sendall(b"x")
            assert read_exactly(each, 1) == b"x"
        listed = json.loads(portside("ps", "--control", str(control), "--json").stdout)[0]["connections"]
        chosen = next(one["id"] for one in listed if one["peer"]["port"] == visitor.getsockname()[1])
        captured = capture("echo", "--connection", chosen)
        for each, data in ((visitor, b"mine"), (other, b"theirs")):
            each.sendall(data)
            assert read_exactly(each, len(data)) == data
    assert said(captured.end(server), "in") == b"mine"


def test_a_capture_that_cannot_be_says_why(echo: Listen, control: Path) -> None:
    echo()
    done = portside("capture", "ecko", "--control", str(control))
    assert (done.returncode, "did you mean echo?" in done.stderr) == (1, True), done.stderr
    done = portside("capture", "echo", "--wire", "lo", "--control", str(control))
    assert (done.returncode, "give one or the other" in done.stderr) == (2, True), done.stderr
    done = portside("capture", "--connection", "1-1", "--wire", "lo")
    assert (done.returncode, "are for a SERVICE" in done.stderr) == (2, True), done.stderr
